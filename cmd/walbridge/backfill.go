package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func backfillCommand() *cobra.Command {
	var file string
	var r wire.Request
	var detach bool
	c := &cobra.Command{
		Use:   "backfill TABLE",
		Short: "Read rows of a table into the log, beside the live changes",
		Long: `Read rows of a captured table into the log: all of them, those of a condition, or those
of some keys. The running capture does the work, in chunks by key, without a lock and
without a long transaction; live changes of the same rows win. It goes on after a crash
where it was. The rows travel in the bulk lane.

A new mapping, a new table and whatever was lost are read by themselves: this is for
repairs. --keys takes values of a key of one column with commas between them, or one JSON
object, or @FILE with a value or an object in each line; a key that has no row is deleted
at the targets.`,
		Example: `  walbridge backfill public.deals
  walbridge backfill deals --where "updated_at > '2026-11-01'" --rate 2000
  walbridge backfill deals --keys 17,18 --for crm`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("name one table: walbridge backfill TABLE, or use list, pause, resume or cancel")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			r.Table = args[0]
			if r.Keys, err = readKeys(r.Keys); err != nil {
				return &usageError{err}
			}
			if r.Rate < 0 {
				return &usageError{errors.New("--rate is a number of rows a second")}
			}
			return withBackfills(cmd.Context(), file, func(ctx context.Context, b *wire.Backfills) error {
				spec, err := b.Add(ctx, r)
				if err != nil {
					return err
				}
				if detach {
					_, err := fmt.Fprintln(cmd.OutOrStdout(), spec.ID)
					return err
				}
				return follow(ctx, cmd.OutOrStdout(), b, spec.ID)
			})
		},
	}
	c.PersistentFlags().StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	c.Flags().StringVar(&r.Where, "where", "", "an SQL condition on the rows")
	c.Flags().StringArrayVar(&r.Keys, "keys", nil, "keys of rows; may be given several times")
	c.Flags().IntVar(&r.Rate, "rate", 0, "at most so many rows a second (default no bound)")
	c.Flags().StringSliceVar(&r.For, "for", nil, "only for these targets, or mappings as target/mapping (default all)")
	c.Flags().BoolVar(&r.Generation, "sweep", false, "afterwards delete at the targets what is not in the table any more")
	c.Flags().BoolVar(&detach, "detach", false, "print the id and do not wait for the end")
	c.AddCommand(backfillListCommand(&file))
	for _, w := range []struct {
		use, short, done string
		wish             cdc.BackfillWish
	}{
		{"pause", "Let a backfill rest; it keeps its place", "will pause", cdc.WishPause},
		{"resume", "Let a backfill go on that rests or has failed", "goes on", cdc.WishRun},
		{"cancel", "End a backfill; what it has read stays in the log", "will end", cdc.WishCancel},
	} {
		c.AddCommand(backfillWishCommand(&file, w.use, w.short, w.done, w.wish))
	}
	return c
}

func backfillWishCommand(file *string, use, short, done string, w cdc.BackfillWish) *cobra.Command {
	return &cobra.Command{
		Use: use + " ID", Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("name one backfill: walbridge backfill %s ID; walbridge backfill list shows them", use)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBackfills(cmd.Context(), *file, func(ctx context.Context, b *wire.Backfills) error {
				s, err := b.Find(ctx, args[0])
				if err != nil {
					return err
				}
				if err := b.Wish(ctx, s, w); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "backfill %s of %s %s\n", s.ID, s.Table, done)
				return err
			})
		},
	}
}

func backfillListCommand(file *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the backfills that are under way, and the last ones that ended", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withBackfills(cmd.Context(), *file, func(ctx context.Context, b *wire.Backfills) error {
				list, err := b.List(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), append([]cdc.BackfillStatus{}, list...))
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				writeBackfills(w, list)
				return w.Flush()
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// writeBackfills writes a line for each backfill.
func writeBackfills(w io.Writer, list []cdc.BackfillStatus) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no backfill was asked for")
		return
	}
	fmt.Fprintln(w, "ID\tTABLE\tSTATE\tROWS\tOF ABOUT\tROWS/S\tLEFT\tREASON\tNOTE")
	for i := range list {
		b := &list[i]
		p := &b.Progress
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%.0f\t%s\t%s\t%s\n", b.ID, b.Table, stateOf(b), p.Rows, about(p.Estimate), p.RowsPerSecond, left(b), b.Reason, p.Note)
	}
}

// stateOf tells also what somebody wants and has not come yet.
func stateOf(b *cdc.BackfillStatus) string {
	s := string(b.Progress.State)
	switch {
	case b.Progress.State.Final():
	case b.Wish == cdc.WishPause && b.Progress.State != cdc.BackfillPaused:
		s += ", to pause"
	case b.Wish == cdc.WishCancel:
		s += ", to end"
	}
	return s
}

func about(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func left(b *cdc.BackfillStatus) string {
	if d := b.Left(); d > 0 {
		return d.String()
	}
	return "-"
}

// withBackfills runs f with the backfills of a configuration.
func withBackfills(ctx context.Context, file string, f func(context.Context, *wire.Backfills) error) (err error) {
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	b, err := wire.OpenBackfills(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return f(ctx, b)
}

// follow shows the progress of a backfill until its end. The end of ctx leaves it be.
func follow(ctx context.Context, out io.Writer, b *wire.Backfills, id string) error {
	f := follower{what: "backfill " + id,
		left: fmt.Sprintf("the capture goes on with it; walbridge backfill list shows it, walbridge backfill cancel %s ends it", id),
		idle: "nobody has begun with it: is a capture running (walbridge status), or is it busy with other tables?"}
	return f.follow(ctx, out, func(ctx context.Context) (followed, error) {
		s, err := b.Find(ctx, id)
		state := s.Progress.State
		end := state.Final() || state == cdc.BackfillPaused
		return followed{line: progressLine(&s, end), end: end, idle: state == cdc.BackfillWaiting,
			bad: state == cdc.BackfillFailed || state == cdc.BackfillCancelled}, err
	})
}

// progressLine says how far a backfill is.
func progressLine(s *cdc.BackfillStatus, end bool) string {
	p := &s.Progress
	line := fmt.Sprintf("%s: %d rows", p.State, p.Rows)
	if p.Estimate > 0 && !end {
		line += fmt.Sprintf(" of about %d", p.Estimate)
	}
	if p.State == cdc.BackfillRunning {
		line += fmt.Sprintf(", %.0f rows/s, %s left", p.RowsPerSecond, left(s))
	}
	if end && !p.Started.IsZero() {
		line += fmt.Sprintf(" in %s", p.Updated.Sub(p.Started).Round(10*time.Millisecond))
	}
	if p.Note != "" {
		line += " (" + p.Note + ")"
	}
	return line
}

// readKeys reads the files that keys are in.
func readKeys(list []string) (out []string, err error) {
	for _, text := range list {
		path, isFile := strings.CutPrefix(text, "@")
		switch {
		case strings.HasPrefix(text, "{"):
			out = append(out, text)
			continue
		case !isFile:
			out = append(out, strings.Split(text, ",")...)
			continue
		}
		keys, err := readLines(path)
		if err != nil {
			return nil, fmt.Errorf("--keys @%s: %w", path, err)
		}
		out = append(out, keys...)
	}
	return out, nil
}

func readLines(path string) (lines []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if line := strings.TrimSpace(in.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, in.Err()
}
