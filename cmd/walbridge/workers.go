package main

import (
	"fmt"
	"strings"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// ownership says in short who delivers to a target.
func ownership(t *wire.TargetReport) string {
	switch n := len(t.Workers); {
	case n == 0:
		return "owner nobody"
	case n == 1 && len(t.Unowned) == 0 && !t.Workers[0].Silent:
		return "owner " + t.Owner
	default:
		return fmt.Sprintf("%d workers", n)
	}
}

// writeWorkers writes who owns what of a target, where that is not one worker alone.
func writeWorkers(line func(string, ...any), t *wire.TargetReport) {
	if strings.HasPrefix(ownership(t), "owner ") {
		return
	}
	for _, w := range t.Workers {
		text := fmt.Sprintf("%s: %d of %d partitions", w.Name, len(w.Partitions), t.Partitions)
		if len(w.Partitions) > 0 {
			text += " (" + wire.Ranges(w.Partitions) + ")"
		}
		if w.Address != "" {
			text += ", console " + w.Address
		}
		switch {
		case w.Silent:
			text += "; it was not heard of lately, and others take over when its leases have run out"
		case len(w.Lacks) > 0:
			text += "; it waits, as it does not know mapping " + strings.Join(w.Lacks, ", ")
		case w.State != "":
			text += "; " + w.State
		}
		line("  worker\t%s", text)
	}
	if len(t.Unowned) > 0 {
		line("  nobody's\tpartitions %s", wire.Ranges(t.Unowned))
	}
}
