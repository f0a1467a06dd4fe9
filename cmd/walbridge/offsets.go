package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func offsetsCommand() *cobra.Command {
	var file, target string
	var asJSON bool
	c := &cobra.Command{
		Use:   "offsets",
		Short: "Show where each target is in the log, or set it",
		Long: `Show for each target, and whoever else reads the log, up to where it has dealt with each
stream: the position, the LSN of the source and the time of that commit, and what lies
behind it. walbridge status has the sums.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withConfig(cmd.Context(), file, func(ctx context.Context, cfg *config.Config) error {
				list, err := wire.Offsets(ctx, cfg, slog.New(slog.DiscardHandler), target)
				switch {
				case err != nil:
					return err
				case asJSON:
					return writeJSON(cmd.OutOrStdout(), list)
				}
				return writeOffsets(cmd.OutOrStdout(), time.Now(), list)
			})
		},
	}
	c.PersistentFlags().StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	c.PersistentFlags().StringVar(&target, "target", "", "only this target")
	c.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(offsetsSetCommand(&file, &target, &asJSON))
	return c
}

func offsetsSetCommand(file, target *string, asJSON *bool) *cobra.Command {
	var to string
	var force bool
	c := &cobra.Command{
		Use:   "set",
		Short: "Set where a stopped target goes on in the log",
		Long: `Set from where a target goes on, in all streams: with what was committed at an LSN, an
entry's id or a time, or after it; with the first entry; or with what comes from now on.
No process may deliver to the target.

Back, entries are read again. What was dealt with is not sent again for that: a target
never sees an older state of a record after a newer one. To have records sent again use
walbridge backfill. Forward, entries are skipped: they are never delivered, which is a
loss of data and needs --force. Rows that they were about stay as the target has them until they
change again, or a backfill reads them.`,
		Example: `  walbridge offsets set --target crm --to 2026-11-25T09:30:00Z
  walbridge offsets set --target crm --to now --force`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if *target == "" || to == "" {
				return &usageError{errors.New("say which and where: walbridge offsets set --target NAME --to PLACE; walbridge offsets shows them")}
			}
			return withConfig(cmd.Context(), *file, func(ctx context.Context, cfg *config.Config) error {
				m, err := wire.SetOffsets(ctx, cfg, slog.New(slog.DiscardHandler), wire.OffsetRequest{Target: *target, To: to, Force: force})
				if err != nil {
					return err
				}
				if *asJSON {
					err = writeJSON(cmd.OutOrStdout(), m)
				} else {
					err = writeMove(cmd.OutOrStdout(), &m)
				}
				if err == nil && !m.Done {
					err = &usageError{fmt.Errorf("nothing was changed: add --force to skip %s", counted(m.Skipped, m.SkippedMore))}
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "an LSN, a time such as 2026-11-25T09:30:00Z, how long ago such as 5m, an entry's id, beginning, or now")
	c.Flags().BoolVar(&force, "force", false, "also where entries are skipped, which are never delivered then")
	return c
}

func counted(n int64, more bool) string {
	text := fmt.Sprintf("%d entries", n)
	if n == 1 {
		text = "1 entry"
	}
	if more {
		text = fmt.Sprintf("more than %d entries", n)
	}
	return text
}

func writeMove(out io.Writer, m *wire.OffsetMove) error {
	var b strings.Builder
	goes := "would go on"
	if m.Done {
		goes = "goes on"
	}
	fmt.Fprintf(&b, "target %s %s above position %s", m.Target, goes, m.Position)
	if m.LSN != "" {
		fmt.Fprintf(&b, ", LSN %s of the source", m.LSN)
	}
	b.WriteString("\n")
	if m.Again > 0 {
		fmt.Fprintf(&b, "  %s are read again; of those, what was dealt with is not sent again\n", counted(m.Again, m.AgainMore))
	}
	if m.Gone {
		b.WriteString("  the log does not reach back to there: it goes on with the first entry that there is, and walbridge backfill reads what was before\n")
	}
	switch {
	case m.Skipped > 0 && m.Done:
		fmt.Fprintf(&b, "  data_loss: %s are skipped and never delivered; walbridge backfill TABLE --for %s reads the rows as they are\n", counted(m.Skipped, m.SkippedMore), m.Target)
	case m.Skipped > 0:
		fmt.Fprintf(&b, "  data_loss: %s would be skipped and never delivered\n", counted(m.Skipped, m.SkippedMore))
	case m.Again == 0 && !m.Gone:
		b.WriteString("  no entry lies between there and where it was\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func writeOffsets(out io.Writer, now time.Time, list []wire.ReaderOffsets) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, r := range list { // errors come with Flush
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s %s, owner %s\n", r.State, r.Reader, orNone(r.Owner))
		if r.State == wire.TargetDetached {
			fmt.Fprintln(w, "  it has no place in the log, and comes back by a backfill")
			continue
		}
		fmt.Fprintln(w, "  STREAM\tPOSITION\tLSN\tCOMMITTED\tTO DO\tOLDEST\tWAL BEHIND")
		for _, s := range r.Streams {
			more, lsn, at := "", s.LSN, "-"
			if s.More {
				more = " or more"
			}
			if lsn == "" {
				lsn = "-"
			}
			if !s.Time.IsZero() {
				at = s.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00")
			}
			position := s.Position
			if !s.Began {
				position = "not begun"
			}
			fmt.Fprintf(w, "  %s/%d\t%s\t%s\t%s\t%d%s\t%s\t%s\n", s.Lane, s.Partition, position, lsn, at, s.Entries, more, since(now, s.Next), size(s.Bytes))
		}
	}
	return w.Flush()
}
