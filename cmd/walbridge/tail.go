package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func tailCommand() *cobra.Command {
	var file string
	var r wire.TailRequest
	var asJSON, values, noFollow bool
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print the changes in the log, and those that come",
		Long: `Print the entries of the log in the order of their positions, one in a line: when it was
committed, its LSN at the source, its id, its lane and partition, what it is, and of which
row. Of a row the key and the names of the columns that were sent are printed; where the
log has the row as it was, only those that changed. The values of the columns are printed with --values, or
with --json, which prints an object in each line. A truncate and a sweep, which stand in all
streams, are one line.

It begins with what comes (--from now) and goes on until it is stopped. It reads as a
stranger: nothing is kept for it, and no target notices.`,
		Example: `  walbridge tail
  walbridge tail --table deals --lane urgent --values
  walbridge tail --from 5m
  walbridge tail --from 2026-11-25T09:30:00Z --until 2026-11-25T09:40:00Z --json > part.jsonl
  walbridge tail --from 16/B374D848 --no-follow`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, l := range r.Lanes {
				if !slices.Contains(cdc.Lanes(), l) {
					return &usageError{fmt.Errorf("--lane %s: there are the lanes %s", l, strings.Join(cdc.Lanes(), ", "))}
				}
			}
			if noFollow && r.From == "now" {
				r.From = "beginning"
			}
			r.Follow = !noFollow
			cfg, err := config.Load(file, os.LookupEnv)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			ctx := cmd.Context()
			var whole string // what stood in all streams was written last
			err = wire.Tail(ctx, cfg, slog.New(slog.DiscardHandler), r, func(e *wire.LogEntry) error {
				if asJSON {
					return lines.Encode(e)
				}
				if e.Everywhere() {
					at := e.Position + e.Table
					if at == whole {
						return nil
					}
					whole = at
				}
				return writeEntry(out, e, values)
			})
			if ctx.Err() != nil { // it was asked to end
				return nil
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	f.StringSliceVar(&r.Tables, "table", nil, "only changes of these tables")
	f.StringSliceVar(&r.Lanes, "lane", nil, "only these lanes: "+strings.Join(cdc.Lanes(), ", "))
	f.StringVar(&r.From, "from", "now", "where to begin: an LSN, a time such as 2026-11-25T09:30:00Z, how long ago such as 5m, an entry's id, beginning, or now")
	f.StringVar(&r.Until, "until", "", "where to end, which is printed too; a time or LSN to come is waited for")
	f.BoolVar(&noFollow, "no-follow", false, "end where the log ends now; without --from it begins with the first entry")
	f.BoolVar(&values, "values", false, "print the values of the rows")
	f.BoolVar(&asJSON, "json", false, "print a JSON object in each line, with the values of the rows")
	return c
}

// writeEntry writes a line for people.
func writeEntry(out io.Writer, e *wire.LogEntry, values bool) error {
	var b strings.Builder
	lsn := e.LSN
	if lsn == "" {
		lsn = "-"
	}
	at := fmt.Sprintf("%s/%d", e.Lane, e.Partition)
	if e.Everywhere() {
		at = "all"
	}
	fmt.Fprintf(&b, "%s  %s  %s  %-8s  %-8s  %s", e.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), lsn, e.Position, at, wire.OpWord(e.Op), e.Table)
	if len(e.Key) > 0 {
		fmt.Fprintf(&b, "  %s", e.Key)
	}
	if values {
		for _, part := range []struct {
			name string
			text json.RawMessage
		}{{"after", e.After}, {"before", e.Before}} {
			if len(part.text) > 0 {
				fmt.Fprintf(&b, "  %s %s", part.name, part.text)
			}
		}
	} else if names := wire.SomeNames(e.Columns()); len(names) > 0 {
		fmt.Fprintf(&b, "  %s", strings.Join(names, ", "))
	}
	for _, part := range []struct {
		name string
		list []string
	}{{"absent", e.Absent}, {"unread", e.Unread}, {"for", e.For}} {
		if len(part.list) > 0 {
			fmt.Fprintf(&b, "  %s: %s", part.name, strings.Join(part.list, ", "))
		}
	}
	if e.Since != "" {
		fmt.Fprintf(&b, "  since %s", e.Since)
	}
	_, err := fmt.Fprintln(out, b.String())
	return err
}

// since writes how long ago a moment was, for people.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return seconds(max(0, now.Sub(t).Seconds()))
}
