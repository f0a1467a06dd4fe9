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
	c := &cobra.Command{
		Use:   "status",
		Short: "Show slot, log and targets as they are in PostgreSQL and Redis",
		Long: `Show what is found of a bridge in PostgreSQL and Redis: slot and WAL, the log, what
each target has still to do, and what somebody has to look at. No process of the
bridge need be alive. The exit status is 0 if there is no problem.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
	return c
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
	}
	if len(r.Backfills) > 0 {
		line("\nbackfills")
		writeBackfills(w, r.Backfills)
	}
	for _, t := range r.Targets {
		line("\ntarget %s\tdead letters %d, owner %s", t.Name, t.DeadLetters, orNone(t.Owner))
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
