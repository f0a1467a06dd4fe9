package queue

import (
	"slices"

	"pgregory.net/rapid"
)

// mayJob tells whether what is pending of a key may go in a job.
func (m *model) mayJob(s *modelKey) bool {
	return m.jobs.From > 0 && m.laneOf(s) == Bulk && s.attempts == 0 && !s.alone && !slices.ContainsFunc(s.pending, func(c modelChange) bool { return c.released })
}

// stages are what is to become of the keys of each mapping that may go in a job. Whether they
// still wait for more is left to the queue, where it may.
func (m *model) stages(t *rapid.T, q *Queue) map[string]stage {
	out := map[string]stage{}
	if m.now.Before(m.paused) {
		return out
	}
	q.promote(m.now)
	m.promoted()
	m.agree(q)
	for name := range m.policy {
		n := 0
		for k, s := range m.keys {
			if k.Mapping == name && s.pending != nil && s.flight == nil && s.away == nil && !m.due(k).After(m.now) && m.mayJob(s) && !m.gated(k, s) {
				n++
			}
		}
		var may []stage
		switch {
		case n == 0 || m.single:
			may = []stage{single}
		case n >= m.jobs.Most:
			may = []stage{ripe}
		case n >= m.jobs.From:
			may = []stage{ripe, gathering}
		default:
			may = []stage{single, gathering}
		}
		g := q.byName[name]
		if out[name] = q.stage(g, m.now); !slices.Contains(may, out[name]) || len(may) > 1 && (out[name] == gathering) != m.now.Before(q.gathered(g)) {
			t.Fatalf("%d keys of %s are %v, want one of %v; they wait until %v", n, name, out[name], may, q.gathered(g))
		}
		if m.now.Add(m.jobs.Quiet).Before(q.gathered(g)) {
			t.Fatalf("keys of %s wait until %v", name, q.gathered(g))
		}
		if out[name] != gathering {
			continue
		}
		if at, ok := q.Next(m.now, Bulk); !ok || at.After(q.gathered(g)) && at.After(m.pausedGroup[name]) {
			t.Fatalf("next is %v (%v), but keys of %s wait until %v", at, ok, name, q.gathered(g))
		}
	}
	return out
}

func (m *model) takeJob(t *rapid.T, q *Queue) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") == 0 {
		m.single = !m.single
	}
	q.Single(m.single)
	stages := m.stages(t, q)
	b, ok := q.TakeJob(m.now)
	want := false
	for name, s := range stages {
		want = want || s == ripe && !m.now.Before(m.pausedGroup[name])
	}
	if ok != want {
		t.Fatalf("a job: %v, of %v", ok, stages)
	}
	if !ok {
		return
	}
	if n := len(b.Entries); n < m.jobs.From || n > m.jobs.Most || !b.Job || b.Lane != Bulk || stages[b.Mapping] != ripe {
		t.Fatalf("a job of %d, of lane %v, whose keys were %v", n, b.Lane, stages[b.Mapping])
	}
	m.passed[Bulk] = 0
	for _, e := range b.Entries {
		if !q.InJob(e.Key) {
			t.Fatalf("%v is in no job", e.Key)
		}
	}
	m.took(t, b, ripe)
}
