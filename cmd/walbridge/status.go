package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// errProblems gives the exit status of a report that has said its problems.
var errProblems = errors.New("")

// inspectTimeout bounds the look at the servers.
const inspectTimeout = 20 * time.Second

func statusCommand() *cobra.Command {
	var file string
	var asJSON bool
	var at string
	c := &cobra.Command{
		Use:   "status",
		Short: "Show slot, log and targets as they are in PostgreSQL and Redis",
		Long: `Show what is found of a bridge in PostgreSQL and Redis: slot and WAL, the log, what
each target has still to do, and what somebody has to look at. No process of the
bridge need be alive. The exit status is 0 if there is no problem.

With --at, show instead where in the log a time is.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if at != "" {
				return showAt(cmd.Context(), cmd.OutOrStdout(), file, at, asJSON)
			}
			cfg, err := config.Load(file, os.LookupEnv)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), inspectTimeout)
			defer cancel()
			r := wire.Inspect(ctx, cfg, slog.New(slog.DiscardHandler))
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				err = writeReport(cmd.OutOrStdout(), r)
			}
			if err == nil && len(r.Problems) > 0 {
				err = errProblems
			}
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&at, "at", "", "a time such as 2026-11-25T09:30:00Z: show above which position lies what was committed from then on")
	return c
}

// showAt looks up a time in the log.
func showAt(ctx context.Context, out io.Writer, file, text string, asJSON bool) error {
	when, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return &usageError{fmt.Errorf("--at %s: not a time; write it as 2026-11-25T09:30:00Z", text)}
	}
	return withConfig(ctx, file, func(ctx context.Context, cfg *config.Config) error {
		at, err := wire.PositionAt(ctx, cfg, slog.New(slog.DiscardHandler), when)
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeJSON(out, at)
		case !at.Known:
			_, err = fmt.Fprintf(out, "the log does not know what was before %s: everything from then on that it has begins with its first entry\n", text)
			return err
		}
		_, err = fmt.Fprintf(out, "everything that was committed from %s on lies above position %s, which is LSN %s of the source\n", text, at.Position, at.LSN)
		return err
	})
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeReport writes a report for people.
func writeReport(out io.Writer, r wire.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) } // errors come with Flush
	line("bridge %s, %s", r.Name, r.Now.Format(time.RFC3339))
	for _, p := range r.Problems {
		line("  problem: %s", p)
	}
	if len(r.Problems) == 0 {
		line("  no problem found")
	}
	if r.Source != nil {
		line("")
		writeSlot(w, r.Source)
	}
	if l := r.Log; l != nil {
		line("\nlog\tpartitions %d, epoch base %s", l.Partitions, l.Base)
		line("  appended\t%s, of the commit at %s", l.Appended, l.AppendedLSN)
		line("  whole up to\t%s, all that was committed by %s", l.Durable, moment(l.CompleteUntil))
		durable := orNone(l.Durability)
		if l.DurabilityHint != "" {
			durable += ": " + l.DurabilityHint
		}
		line("  durable by\t%s", durable)
		line("  lag\t%s, %s", size(l.LagBytes), seconds(l.LagSeconds))
		for _, t := range slices.Sorted(maps.Keys(l.Stopped)) {
			line("  stopped\t%s: %s", t, l.Stopped[t])
		}
		if l.Held != nil {
			writeHeld(line, r.Now, l.Held)
		}
	}
	if len(r.Backfills) > 0 {
		line("\nbackfills")
		writeBackfills(w, r.Backfills)
	}
	if len(r.Replays) > 0 {
		line("\nreplays")
		writeReplaysLeft(w, r.Replays)
	}
	for _, t := range r.Targets {
		line("\ntarget %s\tdead letters %d, deferred %d, %s", t.Name, t.DeadLetters, t.Deferred, ownership(&t))
		writeWorkers(line, r.Now, &t)
		if t.State != "" {
			line("  state\t%s", t.Condition(r.Now))
		}
		if t.Waits != "" {
			line("  to mend\t%s", t.Waits)
		}
		if t.Rate != nil {
			line("  account %s\t%s", t.Rate.Account, t.Rate.Words())
			if !t.Rate.BulkUntil.IsZero() && t.Rate.Left > 0 {
				line("  bulk\twaits until %s: what is left of the day is for the other lanes", t.Rate.BulkUntil.Format(time.RFC3339))
			}
		}
		for _, lane := range t.Lanes {
			more := ""
			if lane.More {
				more = " or more"
			}
			line("  %s\t%d%s to do, oldest %s, %s behind", lane.Lane, lane.Entries, more, seconds(lane.Seconds), size(lane.Bytes))
		}
	}
	return w.Flush()
}

// writeHeld writes what the log holds, and for whom.
func writeHeld(line func(string, ...any), now time.Time, h *wire.HeldReport) {
	bound := "no bound"
	if h.Retention.Bytes > 0 {
		bound = size(h.Retention.Bytes)
	}
	line("  retention\t%s, %s, high mark %d%%, on full %s", seconds(h.Retention.Seconds), bound, h.Retention.HighMark, h.Retention.OnFull)
	if h.MaxMemory > 0 {
		line("  memory\tredis uses %s of %s", size(h.Memory), size(h.MaxMemory))
	} else {
		line("  memory\tredis uses %s, and has no maxmemory", size(h.Memory))
	}
	for _, l := range h.Lanes {
		oldest := "empty"
		if l.Entries > 0 {
			oldest = "the oldest " + seconds(now.Sub(l.Oldest).Seconds())
		}
		line("  %s\t%d entries, %s, %s", l.Lane, l.Entries, size(l.Bytes), oldest)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Readers)) {
		if n := h.Readers[name]; n > 0 {
			line("  held by\t%s, which has not read about %s of it", name, size(n))
		}
	}
}

// writeSlot writes what is known of the slot.
func writeSlot(w io.Writer, s *wire.SourceReport) {
	state := "does not exist"
	if s.Exists {
		state = "read by nobody"
		if s.ActivePID != 0 {
			state = fmt.Sprintf("read by pid %d, %s", s.ActivePID, orNone(s.Holder))
		}
	}
	fmt.Fprintf(w, "slot %s\t%s\n", s.Slot, state)
	if !s.Exists {
		return
	}
	wal := s.WALStatus
	if s.Invalidated != "" {
		wal += ", " + s.Invalidated
	}
	safe := "no limit set on the server"
	if s.Safe >= 0 {
		safe = size(s.Safe) + " until the server gives it up"
	}
	fmt.Fprintf(w, "  server\tPostgreSQL %d.%d, WAL ends at %s\n", s.Version/10000, s.Version%10000, s.ServerEnd)
	fmt.Fprintf(w, "  confirmed\t%s, needs WAL from %s\n", s.Confirmed, s.Restart)
	fmt.Fprintf(w, "  WAL kept\t%s of a budget of %s (%s; %s)\n", size(s.Retained), size(s.Budget), wal, safe)
	if s.Warning != "" {
		fmt.Fprintf(w, "  warning\t%s\n", s.Warning)
	}
	fmt.Fprintf(w, "  publication\t%s, %d tables\n", s.Publication, s.Tables)
	if s.Failover {
		fmt.Fprintf(w, "  failover\tcopied to standbys\n")
	}
}

func size(n int64) string { return wire.Bytes(n) }

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d > time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "nobody knows when"
	}
	return t.Format(time.RFC3339)
}

func orNone(s string) string {
	if s == "" {
		return "nobody"
	}
	return s
}
