package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// model is the queue written without lists or heaps: it keeps every change and
// looks at all of them each time.
type model struct {
	policy      map[string]sinks.Coalesce
	keys        map[Key]*modelKey
	now         time.Time
	paused      time.Time
	next        int
	pausedGroup map[string]time.Time
	floor       int
	passed      [lanes]int    // batches of others while a key of it was ready
	tokens      map[*Mark]int // how often each was released
	lane        map[*Mark]Lane
	inFlight    []*Entry

	jobs   Jobs
	single bool
	stored map[Key]json.RawMessage // the retry set
	asked  []Key

	names []string     // of keys
	gates map[int]Lane // those that are not open
	lost  lost
}

type modelKey struct {
	pending, flight []modelChange
	first, last     time.Time
	flightFirst     time.Time
	notBefore       time.Time
	waitUntil       time.Time
	woken           bool // while in flight
	full            bool // a batch was full while it was pending, or it was due
	may             bool // likewise, if what is behind a gate counts
	attempts        int
	alone           bool // it goes in no job

	deferring bool          // what is in flight goes to the retry set
	away      []modelChange // what is there
	coming    bool          // to be read from there, before its time
	later     time.Time     // when it is to be asked for again, if it could not be read
}

type modelChange struct {
	ch       cdc.Change
	mark     *Mark
	at       time.Time
	released bool
}

func (m *model) due(k Key) time.Time {
	s := m.keys[k]
	at := s.last.Add(m.policy[k.Mapping].Quiet)
	if l := s.first.Add(m.policy[k.Mapping].MaxDelay); l.Before(at) || s.full {
		at = l
	}
	if s.full {
		at = s.last
	}
	if s.until().After(at) {
		at = s.until()
	}
	return at
}

// idle lists the keys of a mapping that are pending, not in flight and not in
// back-off.
func (m *model) idle(mapping string) (out []*modelKey) {
	for k, s := range m.keys {
		if k.Mapping == mapping && s.pending != nil && s.flight == nil && s.away == nil && !s.until().After(m.now) {
			out = append(out, s)
		}
	}
	return out
}

func (m *model) noteFull() {
	for name, p := range m.policy {
		idle := m.idle(name)
		for _, s := range idle {
			s.full = s.full || len(idle)-m.behind(name) >= p.MaxBatch
			s.may = s.may || len(idle) >= p.MaxBatch
		}
	}
}

func (m *model) add(t *rapid.T, q *Queue) {
	m.next++
	k := m.key(t)
	// Positions do not come in order: lanes are read side by side.
	p := rapid.IntRange(0, 3).Draw(t, "back")
	ch := row(max(1, m.next-p)*100+m.next, rapid.SampledFrom([]string{"x=1 y=?", "x=2 y=2", "x=? y=3"}).Draw(t, "columns"))
	if rapid.IntRange(0, 5).Draw(t, "delete") == 0 {
		ch = gone(int(ch.Position.LSN))
	}
	lane := rapid.SampledFrom([]Lane{Urgent, Normal, Bulk}).Draw(t, "lane")
	mark := &Mark{}
	m.tokens[mark], m.lane[mark] = 0, lane
	q.Add(m.now, Arrival{Key: k, Partition: partition(k), Change: ch, Lane: lane, Token: Token{Mark: mark, Lane: lane, Size: 1}})
	s := m.keys[k]
	if s == nil {
		s = &modelKey{}
		m.keys[k] = s
	}
	if s.pending == nil {
		s.first = m.now
	}
	s.last = m.now
	s.hurry(m.now)
	s.pending = append(s.pending, modelChange{ch: ch, mark: mark, at: m.now})
	m.noteFull()
}

// lane is that of the most urgent change that is pending.
func (m *model) laneOf(s *modelKey) Lane {
	l := Bulk
	for _, c := range s.pending {
		l = min(l, m.lane[c.mark])
	}
	return l
}

// turn looks whether the lane that leads a batch had the turn: ready tells of which lanes
// keys were.
func (m *model) turn(t *rapid.T, b Batch, ready [lanes]bool, least Lane) {
	if !ready[b.Lane] || b.Lane > least || b.Entries[0].Lane != b.Lane {
		t.Fatalf("a batch of lane %v with %v, of lanes up to %v; ready are %v", b.Lane, b.Entries[0].Lane, least, ready)
	}
	for _, e := range b.Entries {
		if max(e.Lane, b.Lane) == Bulk && min(e.Lane, b.Lane) == Urgent {
			t.Fatalf("a batch of lane %v has %v of lane %v", b.Lane, e.Key, e.Lane)
		}
	}
	m.passed[b.Lane]++
	for l := range lanes {
		switch {
		case l < b.Lane && ready[l] && (m.floor == 0 || m.passed[b.Lane] < m.floor):
			t.Fatalf("%v waits for %v, which was passed %d times of %d", l, b.Lane, m.passed[b.Lane], m.floor)
		case l > b.Lane && l <= least && ready[l]:
			// With its own batch it is one in so many; another lane may be due just before.
			if m.passed[l]++; m.floor > 0 && m.passed[l] > m.floor {
				t.Fatalf("%v starves: %d batches of others, with a floor of one in %d", l, m.passed[l], m.floor)
			}
		case l < b.Lane && ready[l]:
			m.passed[l]++
		}
	}
	m.passed[b.Lane] = 0
}

func (m *model) take(t *rapid.T, q *Queue) {
	least := rapid.SampledFrom([]Lane{Bulk, Bulk, Normal, Urgent}).Draw(t, "least")
	stages := m.stages(t, q)
	b, ok := q.Take(m.now, least)
	if m.now.Before(m.paused) {
		if ok {
			t.Fatalf("took %v in a pause", b)
		}
		return
	}
	m.promoted() // back-offs that ended count now
	var ready [lanes]bool
	for k, s := range m.keys {
		if s.pending == nil || s.flight != nil || s.away != nil || m.due(k).After(m.now) {
			continue
		}
		s.full = true // once ready, always ready
		if m.now.Before(m.pausedGroup[k.Mapping]) || m.gated(k, s) {
			continue
		}
		if m.mayJob(s) && stages[k.Mapping] != single {
			continue
		}
		l := m.laneOf(s)
		if ready[l] = true; !ok && l <= least {
			t.Fatalf("nothing to take, but %v was due at %v, now %v", k, m.due(k), m.now)
		}
	}
	if !ok {
		return
	}
	m.turn(t, b, ready, least)
	if len(b.Entries) > m.policy[b.Mapping].MaxBatch {
		t.Fatalf("a batch of %d", len(b.Entries))
	}
	m.took(t, b, stages[b.Mapping])
}

// took is what follows for the entries of a batch or job.
func (m *model) took(t *rapid.T, b Batch, of stage) {
	for _, e := range b.Entries {
		s := m.keys[e.Key]
		switch {
		case m.mayJob(s) && !b.Job && of != single, !m.mayJob(s) && b.Job:
			t.Fatalf("took %v, which may go in a job: %v; the batch is one: %v, and they are %v", e.Key, m.mayJob(s), b.Job, of)
		case e.Key.Mapping != b.Mapping:
			t.Fatalf("%v in a batch of %s", e.Key, b.Mapping)
		case s == nil || s.pending == nil || s.flight != nil || s.away != nil:
			t.Fatalf("took %v, which is not pending or is in flight", e.Key)
		case m.gated(e.Key, s):
			t.Fatalf("took %v of lane %v, whose gate lets only those above %v pass", e.Key, m.laneOf(s), m.gates[partition(e.Key)])
		case m.due(e.Key).After(m.now):
			t.Fatalf("took %v at %v, due at %v", e.Key, m.now, m.due(e.Key))
		case e.Attempts != s.attempts:
			t.Fatalf("%v has %d attempts, want %d", e.Key, e.Attempts, s.attempts)
		}
		m.sameContent(t, e, s.pending)
		s.flight, s.flightFirst, s.pending, s.full, s.may = s.pending, s.first, nil, false, false
	}
	m.inFlight = append(m.inFlight, b.Entries...)
}

func (m *model) sameContent(t *rapid.T, e *Entry, changes []modelChange) {
	f := Fold(changes[0].ch)
	var want, got []string
	for _, c := range changes {
		f = f.Merge(Fold(c.ch))
		if !c.released {
			want = append(want, fmt.Sprintf("%p", c.mark))
		}
	}
	for _, tok := range e.Tokens {
		got = append(got, fmt.Sprintf("%p", tok.Mark))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) || e.Changes != len(changes) {
		t.Fatalf("%v carries tokens %v, want %v", e.Key, got, want)
	}
	if a, b := show(t, e.Row.Change()), show(t, f.Change()); a != b {
		t.Fatalf("%v folded to %s, want %s", e.Key, a, b)
	}
}

func (m *model) done(t *rapid.T, q *Queue) {
	if len(m.inFlight) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.inFlight)-1).Draw(t, "which")
	e := m.inFlight[i]
	m.inFlight = slices.Delete(m.inFlight, i, i+1)
	s := m.keys[e.Key]
	if s.deferring {
		m.leave(t, q, e)
		return
	}
	o := Outcome{Entry: e, Again: rapid.Bool().Draw(t, "again")}
	if o.Again {
		o.Counted, o.Alone = rapid.Bool().Draw(t, "counted"), rapid.IntRange(0, 3).Draw(t, "alone") == 0
		if rapid.Bool().Draw(t, "waits") {
			o.Wait = m.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "for")) * time.Second)
		}
		o.Until = m.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "wait")) * time.Second)
	}
	released := q.Done(m.now, []Outcome{o})
	for _, tok := range released {
		m.tokens[tok.Mark]++
	}
	if !o.Again {
		m.releasedOnce(t, s.flight, released)
		s.flight, s.attempts, s.alone, s.waitUntil, s.woken = nil, 0, false, time.Time{}, false
		if s.pending != nil && !m.due(e.Key).After(m.now) {
			s.full = true
		}
		m.noteFull()
		return
	}
	if len(released) != 0 {
		t.Fatal("a retry released tokens")
	}
	if s.wait(m.now, o.Wait); s.pending == nil {
		s.last = e.last
	} else {
		s.hurry(m.now)
	}
	s.first = s.flightFirst
	s.pending, s.flight = append(s.flight, s.pending...), nil
	s.alone = s.alone || o.Alone
	if o.Counted {
		s.attempts++
	}
	if o.Until.After(s.notBefore) {
		s.notBefore = o.Until
	}
	if !m.due(e.Key).After(m.now) {
		s.full = true
	}
	m.noteFull()
}

func (m *model) check(t *rapid.T, q *Queue) {
	var want Counts
	for k, s := range m.keys {
		if s.pending != nil {
			want.Pending++
		}
		if s.flight != nil {
			want.InFlight++
		}
		for _, c := range append(slices.Clone(s.pending), s.flight...) {
			if c.released {
				continue
			}
			want.Entries[m.lane[c.mark]]++
			want.Bytes[m.lane[c.mark]]++
		}
		if s.away != nil && !s.coming && (s.comes().After(m.now) || m.now.Before(m.paused)) && !slices.Contains(m.asked, k) { // once due it is Coming
			if at, ok := q.Next(m.now, Bulk); !ok || at.After(s.comes()) && at.After(m.now) && at.After(m.paused) {
				t.Fatalf("next is %v (%v), but %v is due at %v", at, ok, k, s.comes())
			}
		}
		if s.pending != nil && s.flight == nil && s.away == nil && !m.gated(k, s) {
			at, ok := q.Next(m.now, m.laneOf(s))
			if m.mayJob(s) && q.stage(q.byName[k.Mapping], m.now) != single {
				continue // see stages
			}
			if limit := m.due(k); !ok || at.After(limit) && at.After(m.now) && at.After(m.paused) && at.After(m.pausedGroup[k.Mapping]) {
				t.Fatalf("next is %v (%v), but %v is due at %v", at, ok, k, limit)
			}
		}
	}
	m.checkBack(t, q)
	if got := q.Counts(); got != want {
		t.Fatalf("counts %+v, want %+v", got, want)
	}
}

// TestQueueModel runs random schedules against the model.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		if rapid.Bool().Draw(t, "few") { // of which more becomes
			names = []string{"a", "e"}
		}
		floor := rapid.SampledFrom([]int{0, 3, 4, 7}).Draw(t, "floor")
		q := New(Limits{Entries: 1 << 20, Bytes: 1 << 30, Floor: floor})
		m := &model{
			floor: floor, pausedGroup: map[string]time.Time{},
			policy: map[string]sinks.Coalesce{
				"m": {Quiet: 5 * time.Second, MaxDelay: 20 * time.Second, MaxBatch: 3},
				"n": {MaxBatch: 2},
			},
			keys: map[Key]*modelKey{}, now: epoch, tokens: map[*Mark]int{}, lane: map[*Mark]Lane{},
			stored: map[Key]json.RawMessage{}, gates: map[int]Lane{}, names: names, lost: lost{aside: map[Key]left{}},
			jobs: Jobs{From: rapid.SampledFrom([]int{0, 2, 3}).Draw(t, "from"), Most: 4, Quiet: 2 * time.Second, Gather: 5 * time.Second},
		}
		q.SetJobs(m.jobs)
		q.Group("m", m.policy["m"])
		q.Group("n", m.policy["n"])
		t.Repeat(map[string]func(*rapid.T){
			"add":     func(t *rapid.T) { m.add(t, q) },
			"add2":    func(t *rapid.T) { m.add(t, q) },
			"take":    func(t *rapid.T) { m.take(t, q) },
			"job":     func(t *rapid.T) { m.takeJob(t, q) },
			"done":    func(t *rapid.T) { m.done(t, q) },
			"wake":    func(t *rapid.T) { m.wake(t, q) },
			"defer":   func(t *rapid.T) { m.overdue(t, q) },
			"coming":  func(t *rapid.T) { m.come(t, q) },
			"restore": func(t *rapid.T) { m.restore(t, q) },
			"later":   func(t *rapid.T) { m.later(t, q) },
			"gate":    func(t *rapid.T) { m.gate(t, q) },
			"rest":    func(t *rapid.T) { m.rest(t, q) },
			"drop":    func(t *rapid.T) { m.drop(t, q) },
			"lost":    func(t *rapid.T) { m.lostDone(t, q) },
			"again":   func(t *rapid.T) { m.takeOver(t, q) },
			"time":    func(t *rapid.T) { m.now = m.now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "s")) * time.Second) },
			"pause": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "rarely") == 0 {
					m.paused = m.now.Add(3 * time.Second)
					q.Pause(m.paused)
				}
			},
			"pauseGroup": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "rarely") == 0 {
					name := rapid.SampledFrom([]string{"m", "n"}).Draw(t, "mapping")
					m.pausedGroup[name] = m.now.Add(3 * time.Second)
					q.PauseGroup(name, m.pausedGroup[name])
				}
			},
			"": func(t *rapid.T) { m.check(t, q) },
		})
	})
}
