package pgsource

import (
	"slices"
	"strconv"

	"github.com/walbridge/walbridge/cdc"
)

// plan says which rows of a backfill are read next, and how far all are in the log. It
// is a pure state machine: it deals out parts, which may be under way side by side, be
// dealt with in any order, and have to be read again.
type plan struct {
	// at is from where on no row was dealt out yet; ended tells that there is none.
	at    []string
	ended bool
	keys  []string // of a backfill by keys: at is a number of them
	byKey bool
	// parts are those dealt out, in the order of the keys, from the first that is not
	// durable on.
	parts []*part
	// cursor is the key up to which everything is durable.
	cursor []string
}

// part is a range of keys, those above from, and where to is given not above it, or a
// list of keys.
type part struct {
	from, to []string
	keys     []string
	state    partState
	end      cdc.LSN // from where on it is durable, once it is appended
}

type partState uint8

const (
	partAgain    partState = iota // to be read again
	partReading                   // dealt out
	partAppended                  // in the log
)

// newPlan goes on from a cursor.
func newPlan(b *cdc.Backfill, cursor []string) *plan {
	p := &plan{cursor: cursor, at: cursor, byKey: len(b.Keys) > 0, keys: b.Keys}
	if !p.byKey || len(cursor) == 0 {
		return p
	}
	n, err := strconv.Atoi(cursor[0])
	if err != nil || n > len(b.Keys) {
		p.cursor, p.at = nil, nil // from the beginning: nothing is lost by that
		return p
	}
	p.keys, p.ended = b.Keys[n:], n == len(b.Keys)
	return p
}

// next deals out the part that is to be read next; nil if there is none for now. limit
// is how many rows will be read at the most.
func (p *plan) next(limit int) *part {
	for _, t := range p.parts {
		if t.state == partAgain {
			t.state = partReading
			return t
		}
	}
	if p.ended {
		return nil
	}
	t := &part{from: p.at, state: partReading}
	if p.byKey {
		n := min(limit, len(p.keys))
		t.keys, p.keys = p.keys[:n], p.keys[n:]
		p.at = []string{strconv.Itoa(offset(p.at) + n)}
		t.to, p.ended = p.at, len(p.keys) == 0
	}
	p.parts = append(p.parts, t)
	return t
}

func offset(cursor []string) int {
	if len(cursor) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(cursor[0]) // written by next, or checked by newPlan
	return n
}

// read says how far the reading of a part came: up to a key, beyond which there may be
// more, or to its end.
func (p *plan) read(t *part, last []string, more bool) {
	switch {
	case len(t.keys) > 0:
	case t.to == nil && more:
		t.to, p.at = last, last
	case t.to == nil:
		p.ended = true
	case more: // of a part that is read again: the rest is one of its own
		i := slices.Index(p.parts, t)
		p.parts = slices.Insert(p.parts, i+1, &part{from: last, to: t.to})
		t.to = last
	}
}

// again says that a part has to be read once more.
func (p *plan) again(t *part) {
	t.state = partAgain
	if len(t.keys) == 0 && t.to == nil && p.ended {
		// It was the last, and may have more rows by now: from its beginning on all is
		// open again.
		p.ended, p.at = false, t.from
		p.parts = slices.DeleteFunc(p.parts, func(o *part) bool { return o == t })
	}
}

// appended says that a part is in the log, durably from an LSN on. Of some keys the
// rows have to be read again by themselves: the cursor does not pass before.
func (p *plan) appended(t *part, end cdc.LSN, keys []string) {
	t.state, t.end = partAppended, end
	i := slices.Index(p.parts, t)
	for some := range slices.Chunk(keys, keysAtOnce) {
		p.parts = slices.Insert(p.parts, i, &part{from: t.from, keys: some})
	}
}

// keysAtOnce is how many rows are read by themselves at once: they are those with large
// values.
const keysAtOnce = 100

// durable moves the cursor to where everything is durable, and tells whether it moved.
func (p *plan) durable(lsn cdc.LSN) bool {
	moved := false
	for len(p.parts) > 0 && p.parts[0].state == partAppended && p.parts[0].end <= lsn {
		if to := p.parts[0].to; to != nil {
			p.cursor = to
		}
		p.parts, moved = p.parts[1:], true
	}
	return moved
}

// reading counts the parts that are under way to the log.
func (p *plan) reading() (n int) {
	for _, t := range p.parts {
		if t.state == partReading {
			n++
		}
	}
	return n
}

// done tells that everything is durable.
func (p *plan) done() bool { return p.ended && len(p.parts) == 0 }
