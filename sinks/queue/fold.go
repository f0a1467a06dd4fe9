package queue

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
)

// Folded is what several changes of one key come to. Folding is associative,
// commutative and idempotent: what comes out depends on the set of changes and
// their Positions, not on the order or the grouping in which they arrive.
//
// The rule is: the newest change decides. A column it did not send takes its
// value from the newest older change that sent it, but never from below the
// base, which is the newest change that leaves nothing open: a delete, a row with
// all its columns, or one of which some could not be read.
type Folded struct {
	newest cdc.Change
	// base is the Position of the base; zero if no change folded in is one.
	base cdc.Position
	// bare says that at the base there was no row, or one that could not be read in
	// full, so that columns still absent are not what the target holds, but unknown.
	bare bool
	// older are values that changes below the newest sent and the newest did not,
	// sorted by name.
	older []column
}

type column struct {
	name  string
	value cdc.Value
	pos   cdc.Position
}

// Fold makes a Folded of one change. The change must be of a row.
func Fold(ch cdc.Change) Folded {
	f := Folded{newest: ch}
	switch {
	case leaves(ch.Op), len(ch.Unread) > 0, ch.Op == cdc.OpCreate && len(ch.Absent) > 0:
		// What is below says nothing of the columns: there was no row, or another one,
		// which a delete or a truncate has ended.
		f.base, f.bare = ch.Position, true
	case len(ch.Absent) == 0:
		f.base = ch.Position
	}
	return f
}

// leaves tells whether a row may be there no more after a change.
func leaves(o cdc.Op) bool { return o == cdc.OpDelete || o == cdc.OpSweep }

// Merge folds two changes of one key into one, by Position.
func Merge(older, newer cdc.Change) cdc.Change {
	return Fold(older).Merge(Fold(newer)).Change()
}

// Position is that of the newest change folded in.
func (f Folded) Position() cdc.Position { return f.newest.Position }

// sweeps tells that it is to be looked for at the source.
func (f *Folded) sweeps() bool { return f.newest.Op == cdc.OpSweep }

// Newest is the newest change folded in, as it came.
func (f Folded) Newest() cdc.Change { return f.newest }

// Bare tells that columns which are still absent cannot be what the target
// holds: the row was deleted beneath them, or an older change was not readable.
func (f Folded) Bare() bool { return f.bare && len(f.newest.Absent) > 0 }

// Filled tells that an older change gave a value for a column that the newest
// did not send.
func (f Folded) Filled() bool {
	for _, c := range f.older {
		if slices.Contains(f.newest.Absent, c.name) {
			return true
		}
	}
	return false
}

// Above forgets what lies at or below a Position at which the row was dealt with
// before: values from there are older than what came of it, though they arrived
// later. lost tells that this was something about the columns that are absent now.
// The newest change must lie above.
func (f Folded) Above(seen cdc.Position) (out Folded, lost bool) {
	out = f
	if !seen.Before(f.base) {
		lost = f.Bare()
		out.base, out.bare = cdc.Position{}, false
	}
	out.older = nil
	for _, c := range f.older {
		if seen.Before(c.pos) {
			out.older = append(out.older, c)
		} else if slices.Contains(f.newest.Absent, c.name) {
			lost = true
		}
	}
	return out, lost
}

// Merge folds g into f and gives the result; neither is changed.
func (f Folded) Merge(g Folded) Folded {
	hi, lo := f, g
	if hi.newest.Position.Before(lo.newest.Position) {
		hi, lo = lo, hi
	}
	if hi.base == hi.newest.Position {
		return hi // nothing below it counts
	}
	out := Folded{newest: hi.newest, base: hi.base, bare: hi.bare}
	switch lo.base.Compare(hi.base) {
	case 0:
		out.bare = hi.bare || lo.bare
	case 1:
		out.base, out.bare = lo.base, lo.bare
	}
	sent, err := columnsOf(hi.newest)
	if err != nil {
		return out // the mapping says what is wrong with it
	}
	below, err := columnsOf(lo.newest)
	if err != nil && out.base.Before(lo.newest.Position) {
		// Values that cannot be read are not forgotten: below is the unknown.
		out.base, out.bare = lo.newest.Position, true
	}
	out.older = out.above(sent, below, hi.older, lo.older)
	return out
}

// above gives the newest value of every column that some list has from the base
// upwards and that sent does not have.
func (f Folded) above(sent []column, lists ...[]column) []column {
	var all []column
	for _, l := range lists {
		for _, c := range l {
			if !c.pos.Before(f.base) {
				all = append(all, c)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	own := make(map[string]bool, len(sent))
	for _, c := range sent {
		own[c.name] = true
	}
	slices.SortStableFunc(all, func(a, b column) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return b.pos.Compare(a.pos)
	})
	out := all[:0]
	last := ""
	for i, c := range all {
		if !own[c.name] && (i == 0 || c.name != last) {
			out = append(out, c)
		}
		last = c.name
	}
	if len(out) == 0 {
		return nil
	}
	return slices.Clip(out)
}

// columnsOf lists the columns that a change sent.
func columnsOf(ch cdc.Change) ([]column, error) {
	if leaves(ch.Op) {
		return nil, nil
	}
	out := make([]column, 0, 1+strings.Count(ch.After, ",")/2)
	err := cdc.EachColumn(ch.After, func(name string, v cdc.Value) bool {
		out = append(out, column{name: name, value: v, pos: ch.Position})
		return true
	})
	return out, err
}

// Change gives the newest change with the absent columns filled from the older
// ones. Those that nobody sent stay absent.
func (f Folded) Change() cdc.Change {
	if len(f.older) == 0 || len(f.newest.Absent) == 0 {
		return f.newest
	}
	values := make(map[string]string, len(f.older))
	for _, c := range f.older {
		values[c.name] = c.value.JSON()
	}
	return Fill(f.newest, values)
}

// Fill puts values, as JSON text by column name, into the absent columns of a
// change; other columns are left alone. The change itself is not altered.
func Fill(ch cdc.Change, values map[string]string) cdc.Change {
	body, ok := strings.CutSuffix(strings.TrimSpace(ch.After), "}")
	if !ok {
		return ch
	}
	var b strings.Builder
	b.WriteString(body)
	comma := strings.TrimSpace(body) != "{"
	var left []string
	for _, name := range ch.Absent {
		v, ok := values[name]
		quoted, err := json.Marshal(name)
		if !ok || err != nil { // a string always has a JSON form
			left = append(left, name)
			continue
		}
		if comma {
			b.WriteByte(',')
		}
		comma = true
		b.Write(quoted)
		b.WriteByte(':')
		b.WriteString(v)
	}
	b.WriteByte('}')
	ch.After, ch.Absent = b.String(), left
	return ch
}
