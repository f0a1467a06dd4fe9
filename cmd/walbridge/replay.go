package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func replayCommand() *cobra.Command {
	var file string
	var r wire.ReplayRequest
	var dryRun, detach, asJSON bool
	c := &cobra.Command{
		Use:   "replay",
		Short: "Deliver a part of the log to a target once more",
		Long: `Deliver a part of the log to a target once more, beside what is delivered live: after a
mapping was changed, or where the target lost what it had. First it is said what that means; --dry-run says no more.

The process that delivers to the target does the work, in the bulk lane, or the next one that
starts. It goes on after a crash where it was. No record becomes older for it: a change that
the target has a newer state of is not sent. A row whose newest change lies in the range is
mapped again, and sent if that comes to something else than the target has, or with --force
in any case. A row that has changed since is sent as the source has it now, or with --within
not at all. The log is kept until the replay has read it.`,
		Example: `  walbridge replay --target crm --from 2026-11-25T00:00:00Z --dry-run
  walbridge replay --target crm --mapping deals-to-crm --from beginning
  walbridge replay --target crm --key 17 --from 16/B374D848 --force`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Target == "" || r.From == "" {
				return &usageError{errors.New("say for whom and from where: walbridge replay --target NAME --from PLACE, or use list, stop, resume or cancel")}
			}
			return withReplays(cmd.Context(), file, func(ctx context.Context, w *wire.Replays) error {
				p, err := w.Plan(ctx, &r)
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				if asJSON {
					err = writeJSON(out, p)
				} else {
					err = writePlan(out, p)
				}
				if err != nil || dryRun {
					return err
				}
				if err := w.Add(ctx, p); err != nil {
					return err
				}
				if detach {
					_, err := fmt.Fprintln(out, p.ID)
					return err
				}
				return followReplay(ctx, out, w, p.ID)
			})
		},
	}
	c.PersistentFlags().StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	f := c.Flags()
	f.StringVar(&r.Target, "target", "", "the target")
	f.StringVar(&r.Mapping, "mapping", "", "only this mapping")
	f.StringVar(&r.Key, "key", "", "only this row: the value of its key, or a JSON object of the key's columns")
	f.StringVar(&r.From, "from", "", "where to begin: an LSN, a time such as 2026-11-25T09:30:00Z, how long ago such as 5m, an entry's id, or beginning")
	f.StringVar(&r.To, "to", "now", "where to end, which belongs to it")
	f.BoolVar(&r.Force, "force", false, "also records that the target has already")
	f.BoolVar(&r.Within, "within", false, "leave out rows that have changed since the range")
	f.BoolVar(&dryRun, "dry-run", false, "say what it means, and do nothing")
	f.BoolVar(&detach, "detach", false, "print the id and do not wait for the end")
	f.BoolVar(&asJSON, "json", false, "print what it means as JSON")
	c.AddCommand(replayListCommand(&file),
		replayWishCommand(&file, "stop", "Let a replay rest; it keeps its place, and the log for it", "rests", func(ctx context.Context, w *wire.Replays, id string) error { return w.Wish(ctx, id, false) }),
		replayWishCommand(&file, "resume", "Let a replay go on that rests", "goes on", func(ctx context.Context, w *wire.Replays, id string) error { return w.Wish(ctx, id, true) }),
		replayWishCommand(&file, "cancel", "End a replay; what was sent stays sent", "has ended", func(ctx context.Context, w *wire.Replays, id string) error { return w.Cancel(ctx, id) }))
	return c
}

func withReplays(ctx context.Context, file string, f func(context.Context, *wire.Replays) error) error {
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	return wire.WithReplays(ctx, cfg, slog.New(slog.DiscardHandler), func(w *wire.Replays) error { return f(ctx, w) })
}

func replayWishCommand(file *string, use, short, done string, do func(context.Context, *wire.Replays, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " ID", Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("name one replay: walbridge replay %s ID; walbridge replay list shows them", use)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withReplays(cmd.Context(), *file, func(ctx context.Context, w *wire.Replays) error {
				s, err := w.Find(ctx, args[0])
				if err != nil {
					return err
				}
				if err := do(ctx, w, s.ID); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "replay %s to %s %s\n", s.ID, s.Target, done)
				return err
			})
		},
	}
}

func replayListCommand(file *string) *cobra.Command {
	var asJSON bool
	var target string
	c := &cobra.Command{
		Use: "list", Short: "List the replays that are under way, and the last ones that ended", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withReplays(cmd.Context(), *file, func(ctx context.Context, w *wire.Replays) error {
				list, err := w.List(ctx, target)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), append([]cdc.ReplayStatus{}, list...))
				}
				return writeReplays(cmd.OutOrStdout(), list)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&target, "target", "", "only those to a target")
	return c
}

func writePlan(out io.Writer, p *wire.ReplayPlan) error {
	fmt.Fprintf(out, "replay to %s", p.Target) // errors come with the last line
	if p.FromLSN != "" && p.ToLSN != "" {
		fmt.Fprintf(out, ", LSN %s to %s of the source", p.FromLSN, p.ToLSN)
	}
	fmt.Fprintln(out)
	var err error
	for _, w := range p.Words() {
		_, err = fmt.Fprintf(out, "  %s\n", w)
	}
	return err
}

func writeReplays(out io.Writer, list []cdc.ReplayStatus) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(list) == 0 {
		fmt.Fprintln(w, "no replay was asked for")
		return w.Flush()
	}
	fmt.Fprintln(w, "ID\tTARGET\tSTATE\tCHANGES\tOF\tTHE SAME\tOLDER\tQUEUED\tOF THE SOURCE\tPARTITIONS LEFT\tASKED FOR")
	for i := range list {
		s := &list[i]
		p := &s.Progress
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d of %d\t%s\n", s.ID, s.Target, s.State, p.Changes, s.Changes, p.Same, p.Older, p.Queued, p.Source, s.Left, s.Partitions, moment(s.Created))
	}
	return w.Flush()
}

// writeReplaysLeft writes how far the replays are that are under way.
func writeReplaysLeft(w io.Writer, list []wire.ReplayReport) {
	fmt.Fprintln(w, "ID\tTARGET\tSTATE\tDONE\tLEFT\tCHANGES\tOF\tTHE SAME\tOLDER\tQUEUED")
	for i := range list {
		s := &list[i]
		p := &s.Progress
		left := "-"
		if s.Seconds > 0 {
			left = seconds(s.Seconds)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f%%\t%s\t%d\t%d\t%d\t%d\t%d\n", s.ID, s.Target, s.State, 100*s.Share, left, p.Changes, s.Changes, p.Same, p.Older, p.Queued)
	}
}

// followReplay shows the progress of a replay until its end. The end of ctx leaves it be.
func followReplay(ctx context.Context, out io.Writer, w *wire.Replays, id string) error {
	f := follower{what: "replay " + id,
		left: fmt.Sprintf("the delivery goes on with it; walbridge replay list shows it, walbridge replay stop %s lets it rest", id),
		idle: "nobody has begun with it: does a process deliver to the target (walbridge status)?"}
	return f.follow(ctx, out, func(ctx context.Context) (followed, error) {
		s, err := w.Find(ctx, id)
		end := s.State != cdc.ReplayRunning
		return followed{line: replayLine(&s, end), end: end, idle: s.Progress.Changes == 0 && !end, bad: s.State == cdc.ReplayCancelled}, err
	})
}

// replayLine says how far a replay is.
func replayLine(s *cdc.ReplayStatus, end bool) string {
	p := &s.Progress
	line := fmt.Sprintf("%s: %d changes", s.State, p.Changes)
	if !end {
		line += fmt.Sprintf(" of %d", s.Changes)
	}
	line += fmt.Sprintf(", %d the same, %d older, %d queued (%d read at the source)", p.Same, p.Older, p.Queued, p.Source)
	if s.State == cdc.ReplayDone {
		line += fmt.Sprintf(" in %s", s.Ended.Sub(s.Created).Round(10*time.Millisecond))
	}
	return line
}
