package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func traceCommand() *cobra.Command {
	var file string
	var r wire.TraceRequest
	var asJSON bool
	c := &cobra.Command{
		Use:   "trace TABLE KEY",
		Short: "Tell the story of one record: its changes, requests and answers, and how it stands",
		Long: `Tell the story of one record, for each mapping that leads from its table: which changes of
it were committed, into which request they were folded, what the target answered, what
waits and why, and how it stands now. The newest is last.

The changes are those that the log still has (redis.retention); what became of them is from
a history of bounded size (delivery.trace), which may have gaps. How far both go back is
said. Names of columns are printed, and values only with --values: of the row, of its key
at the target, and the target's own words, which may quote it.

TABLE is a name, or schema.name. KEY is the value of the key, id=42, a=1,b=2, or a JSON
object of the key's columns.`,
		Example: `  walbridge trace deals 42
  walbridge trace deals 42 --target crm --values
  walbridge trace crm.line_items order_id=7,line=2 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{errors.New("name a table and the key of a row: walbridge trace TABLE KEY, such as walbridge trace deals 42")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.Limit < 0 {
				return &usageError{fmt.Errorf("--limit %d: it is a number of lines, 0 for all", r.Limit)}
			}
			r.Table, r.Key = args[0], args[1]
			cfg, err := config.Load(file, os.LookupEnv)
			if err != nil {
				return err
			}
			report, err := wire.Trace(cmd.Context(), cfg, slog.New(slog.DiscardHandler), r)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), report)
			}
			return writeTrace(cmd.OutOrStdout(), report)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	f.StringVar(&r.Target, "target", "", "only what became of it at this target")
	f.StringVar(&r.Mapping, "mapping", "", "only what became of it by this mapping")
	f.BoolVar(&r.Values, "values", false, "print the values of the row, and what may quote them")
	f.IntVar(&r.Limit, "limit", 50, "how many changes and steps of each mapping are printed at most, the newest; 0 for all")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// writeTrace writes the story for people.
func writeTrace(out io.Writer, r *wire.TraceReport) error {
	for _, l := range r.Lines() {
		if _, err := fmt.Fprintln(out, l); err != nil {
			return err
		}
	}
	return nil
}
