package salesforce

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/walbridge/walbridge/sinks"
)

// lots are records that Salesforce locks while it writes others: the parents of what is
// written, and what is written itself. Requests that hold children of one parent at once make
// it fail with UNABLE_TO_LOCK_ROW, in storms where many do. So they go one after the other.
//
// Whoever wants several names stands in the line of each, and gets them all in one step. Since
// the lines are joined in one step too, the order is the same in all of them, so nobody waits
// in a circle, and nobody is overtaken for ever.
type lots struct {
	mu    sync.Mutex // covers all below
	lines map[string][]*waiter
}

type waiter struct {
	names  []string
	behind int           // in how many lines somebody is before it
	ready  chan struct{} // closed when it is none
}

// take waits until all names are ours. They are given back by what it returns.
func (l *lots) take(ctx context.Context, names []string) (func(), error) {
	w := &waiter{names: names, ready: make(chan struct{})}
	l.mu.Lock()
	if l.lines == nil {
		l.lines = make(map[string][]*waiter)
	}
	for _, name := range names {
		if len(l.lines[name]) > 0 {
			w.behind++
		}
		l.lines[name] = append(l.lines[name], w)
	}
	if w.behind == 0 {
		close(w.ready)
	}
	l.mu.Unlock()
	give := func() { l.leave(w) }
	select {
	case <-w.ready:
		return give, nil
	default:
	}
	select {
	case <-w.ready:
		return give, nil
	case <-ctx.Done():
		give()
		return nil, &sinks.Retryable{Err: fmt.Errorf("wait for another request with records of the same parent: %w", ctx.Err())}
	}
}

func (l *lots) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range w.names {
		line := l.lines[name]
		i := slices.Index(line, w)
		line = slices.Delete(line, i, i+1)
		if len(line) == 0 {
			delete(l.lines, name)
			continue
		}
		l.lines[name] = line
		if i > 0 {
			continue
		}
		first := line[0]
		if first.behind--; first.behind == 0 {
			close(first.ready)
		}
	}
}

// locked gives the names of what a record locks: itself, and its parents. Owners and record
// types are not locked by those that refer to them.
func (c *Client) locked(object string, r *sinks.Record) (own string, parents []string) {
	own = r.Mapping + "\x00" + c.FoldKey(object, r.Key)
	for i := range r.Parents {
		if p := &r.Parents[i]; locks(p.Field) {
			parents = append(parents, p.Mapping+"\x00"+c.FoldKey("", p.Key))
		}
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if rel, ok := relationOf(r, f.Name); ok && strings.Contains(f.Name, ".") && !isNull(f.Value) && locks(rel.name) {
			parents = append(parents, "\x00"+rel.name+"\x00"+rel.by+"\x00"+c.FoldKey("", *f))
		}
	}
	return own, parents
}

func locks(field string) bool {
	return relationName(field) != "Owner" && relationName(field) != "RecordType"
}

// lockNames are those of all records, each once.
func (c *Client) lockNames(b *sinks.Batch, of []int) []string {
	seen := make(map[string]bool, 2*len(of))
	var names []string
	add := func(n string) {
		if !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	for _, i := range of {
		own, parents := c.locked(b.Object, &b.Records[i])
		add(own)
		for _, p := range parents {
			add(p)
		}
	}
	return names
}

// byParent sorts records so that those of one parent are side by side.
func (c *Client) byParent(b *sinks.Batch, of []int) {
	first := make(map[int]string, len(of))
	for _, i := range of {
		if _, ps := c.locked(b.Object, &b.Records[i]); len(ps) > 0 {
			first[i] = slices.Min(ps)
		}
	}
	if len(first) > 0 {
		slices.SortStableFunc(of, func(i, j int) int { return strings.Compare(first[i], first[j]) })
	}
}
