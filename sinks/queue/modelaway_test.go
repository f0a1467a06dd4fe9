package queue

import (
	"slices"
	"time"

	"pgregory.net/rapid"
)

var patience = Patience{Hold: 8 * time.Second, Entries: 4, Bytes: 1 << 20, Least: time.Second, Most: 100}

func (m *model) releasedOnce(t *rapid.T, changes []modelChange, released []Token) {
	n := 0
	for _, c := range changes {
		if c.released {
			continue
		}
		if n++; m.tokens[c.mark] != 1 {
			t.Fatalf("a token was released %d times", m.tokens[c.mark])
		}
	}
	if len(released) != n {
		t.Fatalf("%d tokens released, want %d", len(released), n)
	}
}

// promoted notes what is ready from now on, as time went by.
func (m *model) promoted() {
	m.noteFull()
	for k, s := range m.keys {
		if s.pending != nil && s.flight == nil && s.away == nil && !m.due(k).After(m.now) {
			s.full = true
		}
		if s.away != nil && !slices.Contains(m.asked, k) && !s.comes().After(m.now) && !m.now.Before(m.paused) && !m.now.Before(m.pausedGroup[k.Mapping]) {
			s.coming = true
		}
	}
}

func (s *modelKey) until() time.Time {
	if s.waitUntil.After(s.notBefore) {
		return s.waitUntil
	}
	return s.notBefore
}

// hurry is what a new change does to a wait.
func (s *modelKey) hurry(now time.Time) {
	if at := now.Add(lookAgain); s.waitUntil.After(at) {
		s.waitUntil, s.later = at, time.Time{}
	}
}

func (m *model) wake(t *rapid.T, q *Queue) {
	k := m.key(t)
	q.Wake(m.now, k)
	s := m.keys[k]
	if s == nil {
		return
	}
	s.woken = s.flight != nil
	if s.waitUntil.After(m.now) {
		s.waitUntil, s.later = m.now, time.Time{}
	}
}

// wait begins a wait for something else, unless it came while the key was in flight.
func (s *modelKey) wait(now, until time.Time) {
	if s.waitUntil = until; s.woken && until.After(now) {
		s.waitUntil = now
	}
	s.woken = false
}

// over tells whether a key is to be put away, or to be read again to be so.
func (m *model) over(k Key, s *modelKey) bool {
	if s.pending == nil || s.flight != nil || s.coming || m.shut(k) || m.now.Before(m.pausedGroup[k.Mapping]) || s.until().Sub(m.now) < patience.Least {
		return false
	}
	n, oldest := 0, m.now
	for _, c := range s.pending {
		if !c.released {
			if n++; c.at.Before(oldest) {
				oldest = c.at
			}
		}
	}
	return n == 0 || n >= patience.Entries || m.now.Sub(oldest) >= patience.Hold
}

func (m *model) overdue(t *rapid.T, q *Queue) {
	room := rapid.Bool().Draw(t, "room")
	if m.now.Before(m.paused) {
		if got := q.Overdue(m.now, patience, func(*Entry) bool { return true }); len(got) > 0 {
			t.Fatalf("%d are overdue in a pause", len(got))
		}
		return
	}
	m.promoted()
	var want []Key
	for k, s := range m.keys {
		switch {
		case slices.Contains(m.asked, k) || !m.over(k, s):
		case s.away != nil:
			s.coming = true
		case room:
			want = append(want, k)
		}
	}
	got := q.Overdue(m.now, patience, func(*Entry) bool { return room })
	if len(got) != len(want) {
		t.Fatalf("%d are overdue, want %v", len(got), want)
	}
	for _, e := range got {
		if !slices.Contains(want, e.Key) {
			t.Fatalf("%v is overdue, want %v", e.Key, want)
		}
		s := m.keys[e.Key]
		m.sameContent(t, e, s.pending)
		s.flight, s.flightFirst, s.pending, s.full, s.may, s.deferring = s.pending, s.first, nil, false, false, true
	}
	m.inFlight = append(m.inFlight, got...)
}

// leave is what follows when an entry is written in the retry set.
func (m *model) leave(t *rapid.T, q *Queue, e *Entry) {
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m.stored[e.Key] = text
	o := Outcome{Entry: e, Away: true}
	if rapid.Bool().Draw(t, "waits") {
		o.Wait = m.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "for")) * time.Second)
	}
	released := q.Done(m.now, []Outcome{o})
	for _, tok := range released {
		m.tokens[tok.Mark]++
	}
	s := m.keys[e.Key]
	m.releasedOnce(t, s.flight, released)
	for i := range s.flight {
		s.flight[i].released = true
	}
	s.away, s.flight, s.deferring = s.flight, nil, false
	if s.wait(m.now, o.Wait); s.pending != nil {
		s.hurry(m.now)
	}
	m.noteFull()
}

func (m *model) come(t *rapid.T, q *Queue) {
	m.promoted()
	var want []Key
	for k, s := range m.keys {
		if s.coming && !m.shut(k) {
			want = append(want, k)
		}
	}
	got := q.Coming(m.now, 100)
	if len(got) != len(want) {
		t.Fatalf("%v are to be read, want %v", got, want)
	}
	for _, k := range got {
		if !slices.Contains(want, k) {
			t.Fatalf("%v is to be read, want %v", k, want)
		}
		m.keys[k].coming, m.keys[k].later = false, time.Time{}
	}
	m.asked = append(m.asked, got...)
}

func (m *model) restore(t *rapid.T, q *Queue) {
	if len(m.asked) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.asked)-1).Draw(t, "restored")
	k := m.asked[i]
	m.asked = slices.Delete(m.asked, i, i+1)
	e, err := Decode(k, partition(k), m.stored[k])
	if err != nil {
		t.Fatal(err)
	}
	delete(m.stored, k)
	s := m.keys[k]
	if s.first = (time.Time{}); s.pending == nil {
		s.last = time.Time{}
	}
	s.pending, s.away, s.later = append(s.away, s.pending...), nil, time.Time{}
	q.Restore(m.now, e)
	if !m.due(k).After(m.now) {
		s.full = true
	}
	m.noteFull()
}
