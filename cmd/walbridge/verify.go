package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// verifyCommand compares source and targets.
func verifyCommand() *cobra.Command {
	var o wire.VerifyOptions
	c := rowsCommand(&cobra.Command{
		Use:   "verify",
		Short: "Compare every row with what was delivered, and with what the target holds",
		Long: `Read every row of the tables that mappings are of, make its record, and compare that with
what was delivered, and with the target itself where it can be read (salesforce, hubspot,
postgres, and http with a read: in its form), within the limits of its account. Missing,
stale, different and orphan records are told apart. What changes meanwhile is looked at
again once the target has dealt with it, so nothing has to stand still.

--repair has what is wrong be read and delivered again, in the bulk lane, and looks at it
once more. The exit status is 0 only if nothing is wrong. See docs/verify.md.`,
		Example: `  walbridge verify
  walbridge verify --target crm --sample 5%
  walbridge verify --mapping deals-to-crm --repair`,
	}, &o.RowOptions, func(cmd *cobra.Command, cfg *config.Config) (rowsReport, error) {
		return wire.Verify(cmd.Context(), cfg, slog.New(slog.DiscardHandler), o)
	})
	f := c.Flags()
	f.BoolVar(&o.StateOnly, "state-only", false, "do not ask targets, compare with what was delivered")
	f.BoolVar(&o.Repair, "repair", false, "have what is wrong be delivered again")
	return c
}
