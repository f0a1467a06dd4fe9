package queue

import (
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Watermark follows one stream: entries are read in order and released in any
// order, and the checkpoint is the last one before the first that is not
// released (I1). Its memory grows with the entries not released, never with
// those read.
type Watermark struct {
	read        cdc.Position
	first, last *Mark
	open        int
}

// Mark stands for an entry that is not released yet.
type Mark struct {
	of         *Watermark
	uses       int
	pos        cdc.Position
	before     cdc.Position // of the entry read before it
	committed  time.Time
	prev, next *Mark
}

// NewWatermark gives a watermark for a stream read from after a checkpoint.
func NewWatermark(checkpoint cdc.Position) *Watermark { return &Watermark{read: checkpoint} }

// Add tells that the next entry was read, when its transaction committed, and by
// how many it is used. One that nobody uses is released at once; it has no mark.
func (w *Watermark) Add(pos cdc.Position, committed time.Time, uses int) *Mark {
	before := w.read
	w.read = pos
	if uses <= 0 {
		return nil
	}
	m := &Mark{of: w, uses: uses, pos: pos, before: before, committed: committed, prev: w.last}
	if w.last != nil {
		w.last.next = m
	} else {
		w.first = m
	}
	w.last = m
	w.open++
	return m
}

// Release takes one use away; the last one releases the entry.
func (m *Mark) Release() {
	if m == nil || m.uses == 0 {
		return
	}
	if m.uses--; m.uses > 0 {
		return
	}
	w := m.of
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		w.first = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	} else {
		w.last = m.prev
	}
	m.prev, m.next = nil, nil
	w.open--
}

// Use adds a use of an entry that is not released.
func (m *Mark) Use() { m.uses++ }

// Uses is how many uses are not released.
func (m *Mark) Uses() int { return m.uses }

// Position is that of the entry.
func (m *Mark) Position() cdc.Position { return m.pos }

// Checkpoint is the Position up to which every entry is released.
func (w *Watermark) Checkpoint() cdc.Position {
	if w.first != nil {
		return w.first.before
	}
	return w.read
}

// Settled tells whether every entry below a Position is released, of those that were
// read.
func (w *Watermark) Settled(below cdc.Position) bool {
	return w.first == nil || !w.first.pos.Before(below)
}

// SettledBut is Settled, but for one entry that may be open.
func (w *Watermark) SettledBut(m *Mark, below cdc.Position) bool {
	first := w.first
	if first != nil && first == m {
		first = m.next
	}
	return first == nil || !first.pos.Before(below)
}

// Read is the Position of the last entry read.
func (w *Watermark) Read() cdc.Position { return w.read }

// Oldest is when the first entry that is not released was committed; zero if
// there is none.
func (w *Watermark) Oldest() time.Time {
	if w.first != nil {
		return w.first.committed
	}
	return time.Time{}
}

// Open is how many entries are not released.
func (w *Watermark) Open() int { return w.open }
