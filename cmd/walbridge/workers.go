package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// ownership says in short who delivers to a target.
func ownership(t *wire.TargetReport) string {
	silent := 0
	for _, w := range t.Workers {
		if w.Silent {
			silent++
		}
	}
	switch n := len(t.Workers); {
	case n == 0:
		return "owner nobody"
	case n == 1 && len(t.Unowned) == 0 && silent == 0:
		return "owner " + t.Owner
	case silent > 0:
		return fmt.Sprintf("%d workers, %d of them silent", n, silent)
	case n == 1:
		return "1 worker"
	default:
		return fmt.Sprintf("%d workers", n)
	}
}

// writeWorkers writes who owns what of a target, where that is not one worker alone.
func writeWorkers(line func(string, ...any), now time.Time, t *wire.TargetReport) {
	if strings.HasPrefix(ownership(t), "owner ") {
		return
	}
	for i := range t.Workers {
		w := &t.Workers[i]
		text := fmt.Sprintf("%s: %d of %d partitions", w.Name, len(w.Partitions), t.Partitions)
		if len(w.Partitions) > 0 {
			text += " (" + wire.Ranges(w.Partitions) + ")"
		}
		if w.Address != "" {
			text += ", console " + w.Address
		}
		if more := situation(now, t, w); more != "" {
			text += "; " + more
		}
		line("  worker\t%s", text)
	}
	if len(t.Unowned) > 0 {
		line("  nobody's\tpartitions %s; nothing of these is delivered until a worker takes them", wire.Ranges(t.Unowned))
	}
}

// situation says what is special about a worker; empty if nothing is.
func situation(now time.Time, t *wire.TargetReport, w *wire.WorkerReport) string {
	switch {
	case w.Silent:
		return "silent for as long as a lease lasts (killed, stopped, or cut off from Redis): others take over when its leases have run out"
	case w.QuietSeconds > 0 && len(w.Partitions) == 0:
		return "not heard of for " + seconds(w.QuietSeconds)
	case w.QuietSeconds > 0:
		return fmt.Sprintf("not heard of for %s: if that goes on, others take over when its leases have run out", seconds(w.QuietSeconds))
	case len(w.Lacks) > 0:
		return "waits, as it does not know mapping " + strings.Join(w.Lacks, ", ")
	case w.State != "":
		return "finds the target " + w.Condition(now)
	case len(w.Partitions) > 0:
		return ""
	case len(t.Workers) > t.Partitions:
		return "spare: it takes over when another one ends, as there are more workers than partitions"
	case len(t.Unowned) > 0:
		return "is about to take what nobody has"
	}
	return "waits until others hand its part over"
}
