package queue

import "time"

// turn says whose batch the next one is: the mapping, and the lane that leads it. Of
// the lanes up to least it is the most urgent one that has a ready key, unless a lower
// lane was passed over so often that its floor gives it the turn; of the mappings, the
// one whose key of that lane has been ready longest. Mappings that are paused have no
// turn. ok is false when nothing is ready.
func (q *Queue) turn(now time.Time, least Lane) (g *group, lead Lane, ok bool) {
	var best [lanes]*group
	for l := least; ; l-- {
		if best[l] = q.longestReady(now, l); best[l] != nil {
			lead, ok = l, true
		}
		if l == Urgent {
			break
		}
	}
	if !ok {
		return nil, 0, false
	}
	most := q.limits.Floor - 2
	for l := lead + 1; l <= least && q.limits.Floor > 0; l++ {
		if best[l] != nil && q.passed[l] > most {
			lead, most = l, q.passed[l]
		}
	}
	for l := Urgent; l <= least; l++ {
		switch {
		case l == lead:
			q.passed[l] = 0
		case best[l] != nil:
			q.passed[l]++
		}
	}
	return best[lead], lead, true
}

func (q *Queue) longestReady(now time.Time, l Lane) (best *group) {
	var first *node
	for _, g := range q.groups {
		if f := q.head(g, now, l); f != nil && !now.Before(g.paused) && (best == nil || f.seq < first.seq) {
			best, first = g, f
		}
	}
	return best
}

// head is the node of a mapping and lane that has been ready longest, of those that go in a
// batch.
func (q *Queue) head(g *group, now time.Time, l Lane) *node {
	f := g.ready[l].first
	if n := g.forJob.first; l == Bulk && n != nil && (f == nil || n.seq < f.seq) && q.stage(g, now) == single {
		return n
	}
	return f
}

// fill takes the ready keys of a mapping into a batch: those of the lane that leads it,
// then the others, most urgent first. Urgent and bulk are not mixed: a request takes the
// longer the more records it has, and what is refused as a whole is sent again in parts.
func (q *Queue) fill(now time.Time, b *Batch, g *group) {
	from := func(l Lane) {
		for len(b.Entries) < g.policy.MaxBatch {
			n := q.head(g, now, l)
			if n == nil {
				return
			}
			q.give(b, n)
		}
	}
	from(b.Lane)
	for l := Urgent; l < lanes; l++ {
		if max(l, b.Lane) != Bulk || min(l, b.Lane) != Urgent {
			from(l)
		}
	}
}
