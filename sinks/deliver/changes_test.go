package deliver

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
)

// changes watches the fields that are only written when they change. Of C, which is
// never absent, the target has what the row had, or what it had later, whenever it says
// yes to a record. And neither field is sent again as it is known to be.
type changes struct {
	w *world

	mu   sync.Mutex
	rows map[string][]version
	// sure is, by source and field, the value that the target certainly has.
	sure map[string]map[string]string
}

// version is what a row of the source had in c from a Position on.
type version struct {
	from cdc.Position
	c    int
}

func watchChanges(w *world) *changes {
	c := &changes{w: w, rows: map[string][]version{}, sure: map[string]map[string]string{}}
	w.target.seen = c.seen
	w.store.noted = c.noted
	w.mapper.ignored = c.unsure // made whole when it is meant again
	return c
}

// was notes what a row has from a Position on; d is nil if it is gone.
func (c *changes) was(key string, from cdc.Position, d *deal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d != nil {
		c.rows[key] = append(c.rows[key], version{from, d.c})
	}
}

// begin forgets everything: what a session before handed over is sent again.
func (c *changes) begin(context.Context, Beginning) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.sure)
	return nil
}

func (c *changes) unsure(source string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sure, source)
}

// noted takes it as sent what was about to be, as when the answer to the note is lost.
func (c *changes) noted(w state.Write) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, v := range c.sure[w.Key.Source] {
		if !slices.Contains(strings.Split(w.Known.Prior().Sent, ","), name+":"+v) {
			delete(c.sure[w.Key.Source], name)
		}
	}
}

// seen is called with the lock of the target.
func (c *changes) seen(b sinks.Batch, said []error) {
	gone, moving := make([]bool, len(b.Records)), make([]bool, len(b.Records))
	doubt := c.w.store.wasUnclean() || c.w.mapper.always
	for i, r := range b.Records {
		gone[i], moving[i] = c.w.source.wasGone(r.Source), c.w.store.movingOn(r.Source)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range b.Records {
		sure := c.sure[r.Source]
		if sure == nil {
			sure = map[string]string{}
			c.sure[r.Source] = sure
		}
		if r.Op != sinks.Upsert || r.Left || refused(said[i]) || moving[i] {
			clear(sure)
			continue
		}
		for _, f := range r.Fields {
			if f.Name != "C" && f.Name != "D" {
				continue
			}
			v := string(f.Value)
			if sure[f.Name] == v && !gone[i] && !doubt {
				c.w.target.wrong = append(c.w.target.wrong, fmt.Sprintf("%s: %s=%s is sent again at %v", r.Source, f.Name, v, r.Position))
			}
			if delete(sure, f.Name); said[i] == nil {
				sure[f.Name] = v
			}
		}
		if has := c.w.target.rows[string(r.Key.Value)].fields["C"]; said[i] == nil && !c.possible(r, has) {
			c.w.target.wrong = append(c.w.target.wrong, fmt.Sprintf("%s: C is %s after %v was accepted", r.Source, has, r.Position))
		}
	}
}

// possible tells whether the row of a record had a value, at its Position or later.
func (c *changes) possible(r sinks.Record, has string) bool {
	for _, v := range slices.Backward(c.rows[r.Source]) {
		if strconv.Itoa(v.c) == has {
			return true
		}
		if !r.Position.Before(v.from) {
			return false
		}
	}
	return false
}
