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
	for _, g := range q.groups {
		if f := g.ready[l].first; f != nil && !now.Before(g.paused) && (best == nil || f.seq < best.ready[l].first.seq) {
			best = g
		}
	}
	return best
}

// fill takes the ready keys of a mapping into a batch: those of the lane that leads it,
// then the others, most urgent first. Urgent and bulk are not mixed: a request takes the
// longer the more records it has, and what is refused as a whole is sent again in parts.
func (q *Queue) fill(b *Batch, g *group) {
	from := func(l Lane) {
		for g.ready[l].first != nil && len(b.Entries) < g.policy.MaxBatch {
			n := g.ready[l].first
			g.ready[l].remove(n)
			n.ready = false
			n.inFlight, n.pending = n.pending, nil
			b.Entries = append(b.Entries, n.inFlight)
		}
	}
	from(b.Lane)
	for l := Urgent; l < lanes; l++ {
		if max(l, b.Lane) != Bulk || min(l, b.Lane) != Urgent {
			from(l)
		}
	}
}
