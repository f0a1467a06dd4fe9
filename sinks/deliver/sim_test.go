package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
)

// sim is a random run: changes in three lanes, faults of target and store, stops,
// crashes and lost leases, and a checker that knows what must hold throughout.
type sim struct {
	*world
	rng   *rand.Rand
	rngMu sync.Mutex // the faults are drawn by several goroutines

	deals   map[int]*deal
	moving  bool     // the target keys of rows change
	history []logged // every change, in order of Position
	delayed map[string][]cdc.Change
	faults  bool // guarded by rngMu
	changes *changes
	mirror  *mirror
	// hold and aside are the engine's bounds for what is put aside.
	hold  time.Duration
	aside int
	times []time.Time // of requests, where there is an account; guarded by rngMu
	// strict tells that the target takes no record whose parent it does not have.
	strict     bool
	parentWait time.Duration
	// few has rows with few different values, which come again.
	few        bool
	suppressed uint64     // in the midst of it, of records that the target had
	jobs       *jobTarget // nil if there are none
	several    bool       // there are other workers
	stuck      int        // the deal that is to be tried later, or -1; guarded by rngMu
}

// deal is a row of the source.
type deal struct {
	a, b, note int
	k          int // the target key, where rows move
	c, d       int // few values, which come again
	parent     int // another row that it refers to, itself perhaps, or -1
	on         bool
}

type logged struct {
	lane string
	ch   cdc.Change
}

func newSim(t testing.TB, seed uint64) *sim {
	s := &sim{world: newWorld(t), rng: rand.New(rand.NewPCG(seed, 1)), deals: map[int]*deal{}, delayed: map[string][]cdc.Change{}, faults: true}
	if s.rng.IntN(2) == 0 {
		s.mapper.coalesce = sinks.Coalesce{Quiet: 200 * time.Millisecond, MaxDelay: time.Second, MaxBatch: 5}
	}
	s.mapper.gone = []string{"", "", "ignore", "set"}[s.rng.IntN(4)]
	if s.moving = s.rng.IntN(2) == 0; s.moving {
		s.mapper.key = "k"
	}
	s.mapper.slim = s.rng.IntN(4) == 0
	s.mapper.always = s.rng.IntN(2) == 0
	s.few = s.rng.IntN(2) == 0
	s.slack = []time.Duration{0, 0, time.Minute}[s.rng.IntN(3)]
	s.mapper.set = []sinks.Field{{Name: "C", Value: json.RawMessage("-1")}}
	s.changes = watchChanges(s.world)
	s.mirror = s.mirrors()
	s.target.limits.Timeout = time.Duration(500+s.rng.IntN(4500)) * time.Millisecond
	if s.rng.IntN(3) == 0 {
		s.log.max = 1 + s.rng.IntN(3)
	}
	if s.rng.IntN(2) == 0 {
		s.maxCommit = 1 + s.rng.IntN(3)
	}
	s.hold = []time.Duration{0, 200 * time.Millisecond, 2 * time.Second}[s.rng.IntN(3)]
	s.aside = []int{1, 4, 1000}[s.rng.IntN(3)]
	s.limit()
	if s.rng.IntN(2) == 0 {
		s.mapper.parent = "deals"
		s.strict = s.rng.IntN(2) == 0 && !s.moving // it knows parents by their ids
		s.parentWait = []time.Duration{time.Millisecond, 300 * time.Millisecond, 3 * time.Second}[s.rng.IntN(3)]
	}
	s.stick()
	s.carryOut()
	s.several = s.rng.IntN(3) == 0
	s.target.answer = s.answer
	s.store.fault = s.storeFault
	return s
}

func (s *sim) chance(n int) bool { return s.draw(n) == 0 }

func (s *sim) draw(n int) int {
	s.rngMu.Lock()
	defer s.rngMu.Unlock()
	return s.rng.IntN(n)
}

func (s *sim) faulty() bool {
	s.rngMu.Lock()
	defer s.rngMu.Unlock()
	return s.faults
}

func (s *sim) storeFault(call string) (before, after error) {
	if !s.faulty() || s.few && !s.chance(4) {
		return nil, nil
	}
	switch s.draw(25) {
	case 0:
		return errors.New("connection refused"), nil
	case 1:
		if call != "release" {
			return nil, errors.New("answer lost")
		}
	}
	return nil, nil
}

// answer is a target that fails in every way it may.
func (s *sim) answer(ctx context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
	s.asked()
	n := len(b.Records)
	if !s.faulty() || s.few && !s.chance(4) { // what comes again must come through first
		return s.refuse(b)
	}
	time.Sleep(time.Duration(s.draw(300)) * time.Millisecond) // the bubble's time
	kinds := 14
	if s.few { // mostly without an answer
		kinds = 6
	}
	switch s.draw(kinds) {
	case 0:
		return nil, nil, &sinks.Retryable{Err: errors.New("503")}
	case 1, 2: // carried out in part, without an answer
		apply := all(n, false)
		for i := range apply {
			apply[i] = s.chance(2)
		}
		return apply, nil, &sinks.Retryable{Unknown: true, Err: errors.New("timeout")}
	case 3:
		return nil, nil, &sinks.Throttled{Err: errors.New("429"), After: time.Second}
	case 4: // until the engine gives up or is cut
		<-ctx.Done()
		return all(n, s.chance(2)), nil, ctx.Err()
	case 5:
		return nil, nil, errors.New("who knows")
	case 6:
		return nil, nil, &sinks.Rejected{Code: "http_400", Err: errors.New("400")}
	}
	apply, rs, err := s.refuse(b)
	for i := range rs {
		switch {
		case !apply[i]:
		case b.Records[i].Source == keyOf(s.stuckAt()):
			apply[i], rs[i].Err = false, &sinks.Retryable{After: time.Duration(s.draw(6)) * time.Second, Err: errors.New("locked")}
		case s.chance(12):
			apply[i], rs[i].Err = s.chance(2), &sinks.Retryable{Unknown: true, Err: errors.New("unclear")}
		case s.chance(40):
			rs = rs[:i]
			return apply, rs, err
		}
	}
	return apply, rs, err
}

func (s *sim) stuckAt() int {
	s.rngMu.Lock()
	defer s.rngMu.Unlock()
	return s.stuck
}

// stick chooses another deal that the target is busy with, or none.
func (s *sim) stick() {
	s.rngMu.Lock()
	defer s.rngMu.Unlock()
	s.stuck = s.rng.IntN(12) - 1
}

// refuse is a target that does not take an a of 7.
func (s *sim) refuse(b sinks.Batch) ([]bool, []sinks.Result, error) {
	apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
	for i, r := range b.Records {
		if r.Op == sinks.Upsert && strings.HasPrefix(string(r.Fields[0].Value), `"7+`) {
			apply[i], rs[i].Err = false, &sinks.Rejected{Code: "NO_SEVENS", Err: errors.New("seven")}
		}
		if s.strict && !s.target.hasParents(r) {
			apply[i], rs[i].Err = false, errNoParent
		}
	}
	return apply, rs, nil
}

func (d *deal) row(id int, without ...string) string {
	cols := []string{fmt.Sprintf(`"id":%d`, id), fmt.Sprintf(`"on":%v`, d.on), `"parent":null`}
	if d.parent >= 0 {
		cols[2] = fmt.Sprintf(`"parent":%d`, d.parent)
	}
	for _, c := range []struct {
		name string
		v    int
	}{{"a", d.a}, {"b", d.b}, {"k", d.k}, {"note", d.note}, {"c", d.c}, {"d", d.d}} {
		if !slices.Contains(without, c.name) {
			cols = append(cols, fmt.Sprintf("%q:%d", c.name, c.v))
		}
	}
	return "{" + strings.Join(cols, ",") + "}"
}

// change makes one change of the source and puts it on its way to the log.
func (s *sim) change() {
	id := s.draw(6)
	if s.few {
		id /= 2
	}
	s.last++
	ch := cdc.Change{Position: at(s.last), Table: deals, Key: keyOf(id), Time: time.Now(), XID: uint64(s.last)}
	d := s.deals[id]
	s.source.mu.Lock()
	switch {
	case d == nil:
		d = &deal{a: s.value(10), b: s.value(10), k: s.newKey(), c: s.draw(3), d: s.draw(3), note: s.note(), on: true, parent: s.draw(12) - 6}
		s.deals[id] = d
		ch.Op, ch.After = cdc.OpCreate, d.row(id)
		if s.chance(4) { // a row that got this key takes its unchanged note along
			ch.Absent = []string{"note"}
			if s.chance(2) {
				ch.Absent = append(ch.Absent, "d")
			}
			ch.After = d.row(id, ch.Absent...)
		}
		s.source.rows[ch.Key] = d.row(id)
	case s.chance(6):
		delete(s.deals, id)
		delete(s.source.rows, ch.Key)
		ch.Op = cdc.OpDelete
	case s.few && s.chance(2): // A or B, as a whole
		n := s.draw(2)
		d.a, d.b, d.c, d.d, d.note, d.on = n, n, n, n, n, true
		ch.Op, ch.After = cdc.OpUpdate, d.row(id)
		s.source.rows[ch.Key] = ch.After
	default:
		d.a, d.on = s.value(10), !s.chance(6)
		ch.Op = cdc.OpUpdate
		if s.chance(3) {
			d.parent = s.draw(12) - 6
		}
		if s.chance(3) {
			d.b = s.value(10)
		} else if s.chance(3) {
			ch.Absent = append(ch.Absent, "b")
		}
		if s.chance(3) {
			d.note = s.note()
		} else if s.chance(2) {
			ch.Absent = append(ch.Absent, "note")
		}
		if s.chance(3) {
			d.c = s.draw(3)
		}
		if s.chance(3) {
			d.d = s.draw(3)
		} else if s.chance(2) {
			ch.Absent = append(ch.Absent, "d")
		}
		ch.After = d.row(id, ch.Absent...)
		s.source.rows[ch.Key] = d.row(id)
	}
	s.changes.was(ch.Key, ch.Position, s.deals[id])
	s.source.mu.Unlock()
	lane := s.lane()
	s.history = append(s.history, logged{lane, ch})
	s.delayed[lane] = append(s.delayed[lane], ch)
}

// value draws a value of a column.
func (s *sim) value(n int) int {
	if s.few {
		n = 2
	}
	return s.draw(n)
}

// note draws a note: one that was never there, mostly.
func (s *sim) note() int {
	if s.few {
		return s.draw(2)
	}
	return s.last
}

// everywhere puts an entry without a key on its way in every lane.
func (s *sim) everywhere(ch cdc.Change) {
	s.last++
	ch.Position, ch.Table, ch.Time, ch.XID = at(s.last), deals, time.Now(), uint64(s.last)
	for _, lane := range cdc.Lanes() {
		s.delayed[lane] = append(s.delayed[lane], ch)
	}
}

// truncate takes all rows away at once.
func (s *sim) truncate() {
	s.source.mu.Lock()
	clear(s.deals)
	clear(s.source.rows)
	s.source.mu.Unlock()
	s.everywhere(cdc.Change{Op: cdc.OpTruncate})
}

// generation loses some changes, and then has the table read again.
func (s *sim) generation() {
	s.source.mu.Lock()
	for id := range 6 {
		switch d := s.deals[id]; {
		case d != nil && s.chance(3):
			delete(s.deals, id)
			delete(s.source.rows, keyOf(id))
		case d != nil && s.chance(3):
			s.last++
			d.a, d.b, d.c, d.d, d.note = s.draw(10), s.draw(10), s.draw(3), s.draw(3), s.last
			s.source.rows[keyOf(id)] = d.row(id)
			s.changes.was(keyOf(id), at(s.last), d)
		}
	}
	s.source.mu.Unlock()
	s.last++
	since := at(s.last)
	for range s.draw(4) {
		s.change()
	}
	for id := range 6 {
		d := s.deals[id]
		if d == nil {
			continue
		}
		s.last++
		ch := cdc.Change{Position: at(s.last), Op: cdc.OpRead, Table: deals, Key: keyOf(id), After: d.row(id), Time: time.Now(), XID: uint64(s.last)}
		s.history = append(s.history, logged{cdc.LaneBulk, ch})
		s.delayed[cdc.LaneBulk] = append(s.delayed[cdc.LaneBulk], ch)
	}
	s.everywhere(cdc.Change{Op: cdc.OpSweep, Since: since})
}

// retry has the rows of what is parked read again, as a backfill by keys does.
func (s *sim) retry() {
	s.store.mu.Lock()
	keys := slices.SortedFunc(maps.Keys(s.store.parked), func(a, b state.Key) int { return cmp.Compare(a.Source, b.Source) })
	s.store.mu.Unlock()
	for _, k := range keys {
		s.last++
		ch := cdc.Change{Position: at(s.last), Op: cdc.OpDelete, Table: deals, Key: k.Source, Time: time.Now(), XID: uint64(s.last), For: []string{"crm/deals"}}
		for id, d := range s.deals {
			if keyOf(id) == k.Source {
				ch.Op, ch.After = cdc.OpRead, d.row(id)
			}
		}
		s.history = append(s.history, logged{cdc.LaneBulk, ch})
		s.delayed[cdc.LaneBulk] = append(s.delayed[cdc.LaneBulk], ch)
	}
}

// flow lets some of the changes on their way arrive, in order within each lane.
func (s *sim) flow(everything bool) {
	for _, lane := range cdc.Lanes() {
		wait := s.delayed[lane]
		n := len(wait)
		if !everything {
			n = s.draw(n + 1)
		}
		for _, ch := range wait[:n] {
			s.log.append(lane, ch)
		}
		s.delayed[lane] = wait[n:]
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.complete = at(s.last + 1)
	for _, wait := range s.delayed {
		if len(wait) > 0 && wait[0].Position.Before(s.log.complete) {
			s.log.complete = wait[0].Position
		}
	}
}

// trim takes entries out of the log that are behind the checkpoint.
func (s *sim) trim() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for st, all := range s.log.streams {
		n := 0
		upTo := s.replays.low(st, s.store.checkpoints[st])
		for n < len(all) && !upTo.Before(all[n].Position) {
			n++
		}
		s.log.streams[st] = all[s.draw(n+1):]
	}
}

// check looks at the order the target saw and at the checkpoint.
func (s *sim) check() {
	if s.jobs != nil {
		s.jobs.settle()
	}
	s.target.mu.Lock()
	defer s.target.mu.Unlock()
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, w := range s.target.wrong {
		key, _, _ := strings.Cut(w, ": ")
		s.Fatalf("order: %s\nhistory %s\n%s", w, s.tell(key), s.lines.text.String())
	}
	s.mirror.mu.Lock()
	defer s.mirror.mu.Unlock()
	for _, w := range s.mirror.wrong {
		key, _, _ := strings.Cut(w, ": ")
		s.Fatalf("%s\nhistory %s\n%s", w, s.tell(key), s.lines.text.String())
	}
	dead := map[string]bool{}
	for _, d := range s.store.dead {
		dead[d.Key+" "+d.Position.String()] = true
	}
	s.mapper.mu.Lock()
	defer s.mapper.mu.Unlock()
	for _, h := range s.history {
		st := cdc.Stream{Lane: h.lane, Partition: partitionOf(h.ch.Key)}
		if s.store.checkpoints[st].Before(h.ch.Position) {
			continue
		}
		k := s.store.known[keyStateOf(h.ch.Key)]
		if gone := s.store.collected[keyStateOf(h.ch.Key)]; k.Seen.Before(gone) {
			k.Seen = gone
		}
		if d, ok := s.store.deferred[keyStateOf(h.ch.Key)]; ok && !d.Position.Before(h.ch.Position) {
			continue // in the retry set
		}
		if k.Seen.Before(h.ch.Position) {
			s.Fatalf("the checkpoint of %v is %v, but %s was seen only up to %v, not %v", st, s.store.checkpoints[st], h.ch.Key, k.Seen, h.ch.Position)
		}
		what := h.ch.Key + " " + k.Seen.String()
		if s.moving && s.store.left[what] { // its record was another row's
			continue
		}
		if !s.target.applied[what] && !s.mapper.filtered[what] && !s.store.same[what] && !dead[what] && !s.source.gone[h.ch.Key] {
			s.Fatalf("%s counts as seen, but was neither delivered, filtered nor parked%s", what, s.tell(h.ch.Key))
		}
	}
}

// converged looks whether the target has what the source has.
func (s *sim) converged() {
	if !s.caughtUp() {
		s.Fatalf("not all is dealt with: checkpoints %v, tails %v\n%+v\n%s", s.store.checkpoints, s.log.tails(), s.engine.Stats(), s.lines.text.String())
	}
	for k, d := range s.store.deferred {
		if s.rival(k) {
			continue
		}
		if l, ok := s.store.parked[k]; !ok || l.Code != codeWaiting {
			s.Fatalf("still aside is %+v\n%+v\nhistory %s\n%s", d, s.engine.Stats(), s.tell(k.Source), s.lines.text.String())
		}
	}
	parked := map[string]cdc.Position{}
	for _, d := range s.store.parked {
		parked[d.Key] = d.Position
	}
	newest := map[string]cdc.Position{}
	for _, h := range s.history {
		newest[h.ch.Key] = h.ch.Position
	}
	for id := range 6 {
		key := keyOf(id)
		if at, ok := parked[key]; ok { // loud, and in the dead letters
			if d := s.store.deferred[keyStateOf(key)]; at.Before(d.Position) {
				at = d.Position // waits aside with what came since
			}
			if at.Before(newest[key]) { // it may be of a sweep
				s.Fatalf("%s is parked at %v, but %v was dealt with since\nhistory %s", key, at, newest[key], s.tell(key))
			}
			continue
		}
		want := "nothing"
		if d := s.deals[id]; d != nil && d.on {
			if want = fmt.Sprintf("C=%d D=%d", d.c, d.d); !s.mapper.slim {
				want += fmt.Sprintf(" Note=%d Sum=%d+%d", d.note, d.a, d.b)
			}
		}
		got := s.has(id)
		if s.moving {
			got = "nothing"
			if d := s.deals[id]; d != nil {
				got = s.has(d.k)
			}
			if want == "nothing" || s.doubled(id) {
				continue // see leftOver
			}
		}
		if want == "nothing" && (s.mapper.gone == "ignore" || s.mapper.gone == "set" && strings.Contains(got, "C=-1")) {
			continue
		}
		if got != want {
			s.Fatalf("the target has %s of %d, the source %s\nhistory %s\n%s", got, id, want, s.tell(key), s.lines.text.String())
		}
	}
}

func (s *sim) tell(key string) string {
	var b strings.Builder
	for _, h := range s.history {
		if h.ch.Key == key {
			fmt.Fprintf(&b, "\n%v %s %s %s absent %v", h.ch.Position, h.lane, h.ch.Op, h.ch.After, h.ch.Absent)
		}
	}
	for _, line := range s.store.trail[keyStateOf(key)] {
		b.WriteString("\nstate " + line)
	}
	for _, batch := range s.target.batches {
		for _, r := range batch {
			if strings.Contains(r, key) {
				fmt.Fprintf(&b, "\nsent %s", r)
			}
		}
	}
	return b.String()
}

// begin starts an engine.
func (s *sim) begin() { s.start(s.options) }

func (s *sim) options(o *Options) {
	o.MaxAttempts = 1000
	o.Limits = queue.Limits{Entries: 30, Bytes: 1 << 20, Floor: 3}
	o.Begin = s.changes.begin
	o.Hold, o.Deferred, o.ParentWait = s.hold, s.aside, s.parentWait
	if s.jobs != nil {
		o.Target = s.jobs
	}
}

func (s *sim) run() {
	begin := s.begin
	begin()
	for range 40 + s.draw(80) {
		if s.several && s.chance(5) {
			s.crowd()
		}
		switch s.draw(14) {
		case 13:
			s.askReplay()
		case 12:
			s.stick()
		case 0:
			if s.few && s.chance(2) {
				break
			}
			s.crash()
			s.suppressed += s.engine.Stats().Suppressed
			s.check()
			begin()
		case 1:
			if s.chance(3) {
				s.end()
				s.suppressed += s.engine.Stats().Suppressed
				s.check()
				begin()
			}
		case 2:
			if s.chance(3) && !s.several {
				s.store.steal()
			}
		case 3:
			switch s.draw(5) {
			case 0:
				s.truncate()
			case 1:
				s.generation()
			case 2:
				s.retry()
			}
			s.trim()
			s.flow(false)
		case 4:
			s.trim()
			rest(time.Duration(s.draw(2000)) * time.Millisecond)
			if s.few && s.chance(2) { // until little is in doubt
				rest(5 * time.Minute)
				s.trim()
				rest(10 * time.Second)
				s.touch()
			}
			s.check()
		default:
			for range s.draw(6) {
				s.change()
				if s.moving && s.chance(3) {
					s.move()
				}
				if id := s.draw(6); s.few && s.deals[id] != nil {
					s.rewrite(id)
				}
			}
			s.flow(false)
			pause := 100
			if s.few {
				pause = 1500
			}
			rest(time.Duration(s.draw(pause)) * time.Millisecond)
		}
	}
	s.rngMu.Lock()
	s.faults = false
	s.rngMu.Unlock()
	s.flow(true)
	rest(30 * time.Minute)
	s.check()
	s.converged()
	s.acceptAll()
	s.mend()
	s.flow(true)
	rest(30 * time.Minute)
	s.retry()
	s.flow(true)
	rest(30 * time.Minute)
	s.check()
	if s.converged(); len(s.store.parked)+len(s.store.deferred) > 0 {
		s.Fatalf("the target takes all, and still parked are %+v", s.store.parked)
	}
	s.leftOver()
	s.replaysEnd()
	for len(s.more) > 0 {
		s.leaves(s.more[0])
	}
	s.nothingToSay()
	s.end()
	s.check()
	s.keptTheRate()
}

// TestRandomRuns is the checker over random runs. WALBRIDGE_SIM_RUNS asks for
// more of them, WALBRIDGE_SIM_SEED for a single one.
func TestRandomRuns(t *testing.T) {
	runs, first, asides, collected, suppressed, jobs := 50, uint64(1), 0, 0, uint64(0), 0
	var replayed cdc.ReplayProgress
	var several moves
	if os.Getenv("WALBRIDGE_FULL") == "1" {
		runs = 150
	}
	if n, err := strconv.Atoi(os.Getenv("WALBRIDGE_SIM_RUNS")); err == nil {
		runs = n
	}
	if n, err := strconv.ParseUint(os.Getenv("WALBRIDGE_SIM_SEED"), 10, 64); err == nil {
		runs, first = 1, n
	}
	var mu sync.Mutex // covers the counts: a run keeps no more than one processor busy
	ok := t.Run("seed", func(all *testing.T) {
		for seed := first; seed < first+uint64(runs); seed++ {
			all.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				if all.Failed() { // one is enough to look at
					return
				}
				synctest.Test(t, func(t *testing.T) {
					s := newSim(t, seed)
					defer func() {
						mu.Lock()
						asides += s.store.asides
						collected += len(s.store.collected)
						suppressed += s.suppressed
						if s.jobs != nil {
							jobs += len(s.jobs.hasRun())
						}
						s.addReplays(&replayed)
						several.add(s)
						mu.Unlock()
						if t.Failed() {
							s.engine.kill(errKilled)
							<-s.ended
							for len(s.more) > 0 {
								s.killed(s.more[0])
							}
						}
					}()
					s.run()
				})
			})
		}
	})
	if !ok {
		return
	}
	if runs > 1 && (replayed.Same < int64(runs)/10 || replayed.Queued < int64(runs) || replayed.Source < int64(runs) || replayed.Older < int64(runs)) {
		t.Errorf("in %d runs replays came to no more than %+v: that is not tried", runs, replayed)
	}
	if runs > 1 && several.few(runs) {
		t.Errorf("in %d runs partitions moved no more than %+v: that is not tried", runs, several)
	}
	if runs > 1 && asides < runs {
		t.Errorf("in %d runs only %d entries were put aside: that is not tried", runs, asides)
	}
	if runs > 1 && collected < runs/20 {
		t.Errorf("in %d runs only %d states were collected: that is not tried", runs, collected)
	}
	if runs > 1 && jobs < runs/2 {
		t.Errorf("in %d runs only %d jobs were carried out: that is not tried", runs, jobs)
	}
	if runs > 1 && suppressed < uint64(runs)/2 {
		t.Errorf("in %d runs only %d records were not sent as the target had them: that is not tried", runs, suppressed)
	}
}
