package nemesis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/walbridge/walbridge/test/judge"
)

// deeds are what was done to the bridge.
type deeds struct {
	mu     sync.Mutex // covers what follows
	list   []judge.Deed
	counts map[string]int
}

// begin notes a deed of a kind; the end of it is told by the function it gives.
func (d *deeds) begin(kind, detail string) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[kind]++
	i := len(d.list)
	now := time.Now()
	d.list = append(d.list, judge.Deed{From: now, To: now, What: strings.TrimSpace(kind + " " + detail)})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.list[i].To = time.Now()
	}
}

// undo takes one that came to nothing off the count.
func (d *deeds) undo(kind string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[kind]--
}

func (d *deeds) all() []judge.Deed {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list)
}

// summary counts the deeds by kind.
func (d *deeds) summary() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(d.counts)) {
		out = append(out, fmt.Sprintf("%s %d", kind, d.counts[kind]))
	}
	return fmt.Sprintf("%d (%s)", len(d.list), strings.Join(out, ", "))
}

// last lists the last deeds, for a failure.
func (d *deeds) last(n int) string {
	all := d.all()
	var b strings.Builder
	for _, x := range all[max(0, len(all)-n):] {
		fmt.Fprintf(&b, "    %s  %s, for %s\n", x.From.UTC().Format("15:04:05.000"), x.What, x.To.Sub(x.From).Round(time.Millisecond))
	}
	return b.String()
}
