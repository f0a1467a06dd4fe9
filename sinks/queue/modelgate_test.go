package queue

import (
	"slices"
	"time"

	"pgregory.net/rapid"
)

// lost is what was left of partitions when they were dropped.
type lost struct {
	inFlight []*Entry
	asked    []Key
	aside    map[Key]left // what is in the retry set
}

// left is what is in the retry set of a key.
type left struct {
	changes  []modelChange
	attempts int
}

func (m *model) key(t *rapid.T) Key {
	return Key{rapid.SampledFrom([]string{"m", "n"}).Draw(t, "mapping"), rapid.SampledFrom(m.names).Draw(t, "key")}
}

// partition is that of a key: there are two.
func partition(k Key) int { return int(k.Source[0]-'a') / 4 }

// shut tells whether the gate of a key's partition is not open.
func (m *model) shut(k Key) bool {
	_, ok := m.gates[partition(k)]
	return ok
}

// gated tells whether what is pending of a key is behind the gate.
func (m *model) gated(k Key, s *modelKey) bool {
	open, ok := m.gates[partition(k)]
	return ok && m.laneOf(s) >= open
}

// behind counts the idle keys of a mapping that may be ready, but for a gate: they fill no
// batch.
func (m *model) behind(mapping string) (n int) {
	for k, s := range m.keys {
		if k.Mapping == mapping && slices.Contains(m.idle(mapping), s) && m.gated(k, s) && !m.earliest(k).After(m.now) {
			n++
		}
	}
	return n
}

// earliest is from when on a key may be ready. Whether those that became due behind a gate
// still counted when a batch was full is left to the queue.
func (m *model) earliest(k Key) time.Time {
	s := m.keys[k]
	if at := m.due(k); !s.may || at.Before(s.last) {
		return at
	}
	if s.until().After(s.last) {
		return s.until()
	}
	return s.last
}

// agree asks the queue about those of which that is left to it.
func (m *model) agree(q *Queue) {
	for k, s := range m.keys {
		if s.may && q.nodes[k] != nil && q.nodes[k].ready != nil {
			s.full = true
		}
	}
}

// comes is when a key that is away is to be read.
func (s *modelKey) comes() time.Time {
	if !s.later.IsZero() {
		return s.later
	}
	return s.until()
}

func (m *model) gate(t *rapid.T, q *Queue) {
	p, open := rapid.IntRange(0, 1).Draw(t, "partition"), rapid.SampledFrom([]Lane{All, All, Bulk, Normal, Urgent}).Draw(t, "open")
	q.promote(m.now)
	m.promoted()
	q.Gate(m.now, p, open)
	if m.gates[p] = open; open == All {
		delete(m.gates, p)
	}
	m.noteFull()
}

func (m *model) rest(t *rapid.T, q *Queue) {
	k := m.key(t)
	until := m.now.Add(time.Duration(rapid.IntRange(-5, 20).Draw(t, "rests")) * time.Second)
	q.promote(m.now)
	m.promoted()
	there, s := q.Has(k), m.keys[k]
	q.Rest(m.now, k, until)
	if !there || !until.After(s.notBefore) || !until.After(m.now) {
		return
	}
	s.notBefore, s.full, s.may = until, false, false
	if s.away != nil {
		s.coming = false
		s.later = time.Time{}
	}
	m.noteFull()
}

// later is that what was asked for could not be read.
func (m *model) later(t *rapid.T, q *Queue) {
	if len(m.asked) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.asked)-1).Draw(t, "which")
	k := m.asked[i]
	m.asked = slices.Delete(m.asked, i, i+1)
	m.keys[k].later = m.now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "for")) * time.Second)
	q.Later(k, m.keys[k].later)
}

func (m *model) drop(t *rapid.T, q *Queue) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		return
	}
	p, pending := rapid.IntRange(0, 1).Draw(t, "partition"), 0
	q.promote(m.now)
	m.promoted()
	for k, s := range m.keys {
		if partition(k) != p {
			continue
		}
		if s.pending != nil {
			pending++
		}
		if s.away != nil {
			m.lost.aside[k] = left{s.away, s.attempts}
		}
		delete(m.keys, k)
	}
	mine := func(e *Entry) bool { return e.Partition == p }
	for _, e := range m.inFlight {
		if mine(e) {
			m.lost.inFlight = append(m.lost.inFlight, e)
		}
	}
	m.inFlight = slices.DeleteFunc(m.inFlight, mine)
	for _, k := range m.asked {
		if partition(k) == p {
			m.lost.asked = append(m.lost.asked, k)
		}
	}
	m.asked = slices.DeleteFunc(m.asked, func(k Key) bool { return partition(k) == p })
	delete(m.gates, p)
	if got := q.Drop(p); got != pending {
		t.Fatalf("%d were pending of %d, want %d", got, p, pending)
	}
}

// lostDone tells the queue what became of something that it was to forget; check sees that
// nothing comes of it.
func (m *model) lostDone(t *rapid.T, q *Queue) {
	if n := len(m.lost.inFlight); n > 0 {
		o := Outcome{Entry: m.lost.inFlight[n-1], Again: rapid.Bool().Draw(t, "again"), Until: m.now.Add(time.Hour)}
		o.Away = !o.Again && rapid.Bool().Draw(t, "away")
		m.lost.inFlight = m.lost.inFlight[:n-1]
		if released := q.Done(m.now, []Outcome{o}); len(released) > 0 {
			t.Fatalf("%d tokens of what was dropped are released", len(released))
		}
	}
	if n := len(m.lost.asked); n > 0 {
		k := m.lost.asked[n-1]
		m.lost.asked = m.lost.asked[:n-1]
		switch e, err := Decode(k, partition(k), m.stored[k]); {
		case slices.Contains(m.asked, k): // it is asked for again
		case rapid.Bool().Draw(t, "later"):
			q.Later(k, m.now.Add(time.Hour))
		case err == nil: // else it was finished since
			q.Restore(m.now, e)
		}
	}
}

// takeOver has a key come back that was away when its partition was dropped.
func (m *model) takeOver(t *rapid.T, q *Queue) {
	for _, k := range []Key{{"m", "a"}, {"m", "e"}, {"n", "a"}, {"n", "e"}, {"m", "b"}, {"m", "f"}} {
		was, ok := m.lost.aside[k]
		if !ok || q.Has(k) || m.keys[k] != nil {
			continue
		}
		delete(m.lost.aside, k)
		due, waits := m.now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "due"))*time.Second), rapid.Bool().Draw(t, "waits")
		s := &modelKey{away: was.changes, attempts: was.attempts, notBefore: due}
		if waits {
			s.notBefore, s.waitUntil = time.Time{}, due
		}
		m.keys[k] = s
		q.Away(k, partition(k), due, waits)
		return
	}
}

// checkBack looks at how many keys each mapping has asked for or restored.
func (m *model) checkBack(t *rapid.T, q *Queue) {
	want := map[string]int{}
	for _, k := range m.asked {
		want[k.Mapping]++
	}
	away := 0
	for k, s := range m.keys {
		if slices.ContainsFunc(slices.Concat(s.pending, s.flight), func(c modelChange) bool { return c.released }) {
			want[k.Mapping]++
		}
		if s.away != nil {
			away++
		}
	}
	for _, g := range q.groups {
		if g.back != want[g.name] {
			t.Fatalf("%d of %s are back, want %d", g.back, g.name, want[g.name])
		}
	}
	if q.away != away {
		t.Fatalf("%d are away, want %d", q.away, away)
	}
}
