package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// planCommand says what mapping files would send.
func planCommand() *cobra.Command {
	var o wire.RowOptions
	return rowsCommand(&cobra.Command{
		Use:   "plan",
		Short: "Say what new or changed mapping files would send, before they do",
		Long: `Read every row of the tables that mappings are of, make its record by the mapping files as
they are now, and compare that with what was delivered: how many records would be created,
updated, removed, or are as they are, which rows would be refused and why, how many requests
that takes, and how long at the least by what the account of the target allows.
It tells what is sent without anybody asking for it once processes run with these files (a
new mapping), and what has the rest sent (a changed one).

It asks no target and writes nothing, and works beside a bridge that runs, or without any.
The exit status is 0 only if no row would be refused. See docs/plan.md.`,
		Example: `  walbridge plan
  walbridge plan --target crm --mapping deals-to-crm
  walbridge plan --sample 5% --json`,
	}, &o, func(cmd *cobra.Command, cfg *config.Config) (rowsReport, error) {
		return wire.PlanMappings(cmd.Context(), cfg, slog.New(slog.DiscardHandler), o)
	})
}
