package deliver

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
)

// simKeys is how many target keys the rows of a run move between.
const simKeys = 8

// newKey draws a target key for a new row: mostly one that no row has.
func (s *sim) newKey() int {
	k := s.draw(simKeys)
	for !s.chance(12) && s.rowWith(k) >= 0 {
		k = (k + 1) % simKeys
	}
	return k
}

// rowWith gives a row with a target key, or -1.
func (s *sim) rowWith(k int) int {
	for id := range 6 {
		if d := s.deals[id]; d != nil && d.k == k {
			return id
		}
	}
	return -1
}

// doubled tells whether another row makes the same target key.
func (s *sim) doubled(id int) bool {
	for other, d := range s.deals {
		if other != id && d.k == s.deals[id].k {
			return true
		}
	}
	return false
}

// rival tells whether a row that waits aside does so as another one has its target key.
func (s *sim) rival(k state.Key) bool {
	if s.store.parked[k].Code != sinks.CodeDuplicateKey {
		return false
	}
	for id, d := range s.deals {
		if keyOf(id) == k.Source {
			return d.on && s.doubled(id)
		}
	}
	return false
}

// rewrite puts an update of a row on its way, in any lane.
func (s *sim) rewrite(id int) {
	s.last++
	ch := cdc.Change{Position: at(s.last), Op: cdc.OpUpdate, Table: deals, Key: keyOf(id), Time: time.Now(), XID: uint64(s.last)}
	if s.chance(3) {
		ch.Absent = []string{"note"}
	}
	s.put(id, ch)
}

// put puts an update of a row on its way, in any lane.
func (s *sim) put(id int, ch cdc.Change) {
	d := s.deals[id]
	ch.After = d.row(id, ch.Absent...)
	s.source.mu.Lock()
	s.source.rows[ch.Key] = d.row(id)
	s.changes.was(ch.Key, ch.Position, d)
	s.source.mu.Unlock()
	lane := s.lane()
	s.history = append(s.history, logged{lane, ch})
	s.delayed[lane] = append(s.delayed[lane], ch)
}

// move changes the target keys of rows: one goes to a free key, two swap theirs, three
// rotate, or one row takes what another has just left.
func (s *sim) move() {
	ids := slices.Sorted(maps.Keys(s.deals))
	if len(ids) == 0 {
		return
	}
	s.rngMu.Lock()
	s.rng.Shuffle(len(ids), func(a, b int) { ids[a], ids[b] = ids[b], ids[a] })
	s.rngMu.Unlock()
	n := min(len(ids), 1+s.draw(3))
	ids = ids[:n]
	last := s.deals[ids[n-1]].k
	if s.chance(3) {
		last = s.newKey()
	}
	for i := range ids {
		s.deals[ids[i]].k, last = last, s.deals[ids[i]].k
	}
	for _, id := range ids {
		s.rewrite(id)
	}
}

// mend gives every row a target key of its own.
func (s *sim) mend() {
	for id := range 6 {
		d := s.deals[id]
		if d == nil || !s.moving || !s.doubled(id) {
			continue
		}
		for d.k = 0; s.doubled(id); {
			d.k++
		}
		s.rewrite(id)
	}
}

// leftOver looks for records at the target that are of no row, and for keys with owners
// that do not name them.
func (s *sim) leftOver() {
	if !s.moving {
		return
	}
	wanted := map[string]bool{}
	for _, d := range s.deals {
		if d.on {
			wanted[strconv.Itoa(d.k)] = true
		}
	}
	for key, h := range s.target.rows {
		if wanted[key] || s.mapper.gone == "ignore" || s.mapper.gone == "set" && h.fields["C"] == "-1" {
			continue
		}
		all := ""
		for id := range 6 {
			all += "\n" + keyOf(id) + s.tell(keyOf(id))
		}
		s.Fatalf("the target has %v of %s, which no row makes\n%s\n%s", h.fields, key, all, s.lines.text.String())
	}
	owners := map[string]bool{}
	for id := range 6 {
		k, d := s.store.known[keyState(id)], s.deals[id]
		if d == nil || !d.on {
			continue
		}
		entry := s.store.owners[targetkey.Of("Opportunity", "Ext", strconv.Itoa(d.k))]
		o, err := targetkey.OwnerOf(entry)
		if err != nil || o.Source != keyOf(id) || !targetkey.Held(entry) || owners[entry] {
			s.Fatalf("the owner of %d is %q, want row %d\n%s", d.k, entry, id, s.tell(keyOf(id)))
		}
		owners[entry] = true
		if len(k.Old) > 0 {
			s.Fatalf("row %d still has %v\n%s", id, k.Old, s.tell(keyOf(id)))
		}
	}
}
