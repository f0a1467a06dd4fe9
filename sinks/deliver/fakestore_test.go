package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
)

// fakeStore keeps state in memory by the rules of package state. It outlives the
// engines, as Redis does.
type fakeStore struct {
	mu          sync.Mutex
	token       int
	owner       [partitions]int // the tokens that hold the leases, or 0
	names       [partitions]string
	expires     [partitions]time.Time
	workers     map[string]fakeWorker
	cut         map[string]bool // the workers that cannot reach it
	known       map[state.Key]state.Known
	owners      map[targetkey.ID]string
	left        map[string]bool            // "source position" with which it was written that the target has no record
	place       map[state.Key]int          // their partitions
	collected   map[state.Key]cdc.Position // up to where keys were seen whose state was taken away
	dead        []deadletter.Letter        // all that ever were
	parked      map[state.Key]deadletter.Letter
	deferred    map[state.Key]state.Deferred
	asides      int // how often something was put there
	totals      [partitions]deadletter.Totals
	bound       int // of the dead letters of a partition, if above zero
	checkpoints map[cdc.Stream]cdc.Position
	sent        map[cdc.Stream]cdc.Position
	swept       [partitions]cdc.Position
	hold        [partitions]time.Time
	open        [partitions]bool
	mirror      *mirror
	replays     *fakeReplays
	unclean     bool            // as the last session was told
	same        map[string]bool // "source position" with which it was written that the target has the same already
	commits     int
	last        [partitions]fakeCommit
	trail       map[state.Key][]string // what was written of each key, and when
	// fault says what happens to a call: an error before or after it is done.
	fault func(call string) (before, after error)
	// late is by how much the answer about owners comes too late; it may be nil.
	late func(ops []targetkey.Op) time.Duration
	// slow is how long a worker's asking for a partition is on its way, and the answer to it; it
	// may be nil.
	slow func(worker string, partition int) (there, back time.Duration)
	// meeting is how long a worker's look at the others is on its way there; it may be nil.
	meeting func(worker string) time.Duration
	// noted is told of what is noted before records are sent; it may be nil.
	noted func(state.Write)
}

const fakeTTL = 10 * time.Second

func newFakeStore() *fakeStore {
	return &fakeStore{
		workers: map[string]fakeWorker{}, cut: map[string]bool{}, known: map[state.Key]state.Known{}, owners: map[targetkey.ID]string{}, left: map[string]bool{}, collected: map[state.Key]cdc.Position{}, same: map[string]bool{}, place: map[state.Key]int{}, parked: map[state.Key]deadletter.Letter{}, deferred: map[state.Key]state.Deferred{}, trail: map[state.Key][]string{}, checkpoints: map[cdc.Stream]cdc.Position{}, sent: map[cdc.Stream]cdc.Position{},
		fault: func(string) (error, error) { return nil, nil },
	}
}

// fakeWorker is what a worker says of itself, and until when it counts as there.
type fakeWorker struct {
	about   state.Worker
	expires time.Time
}

func (s *fakeStore) leases() leases { return s.leasesOf("one") }

// leasesOf are those that a worker of a name takes.
func (s *fakeStore) leasesOf(name string) leases {
	return leases{ttl: fakeTTL, name: name, claim: func() claim { return &fakeClaim{s: s, name: name} }}
}

// do runs a script: f under the lease of token, unless that is 0.
func (s *fakeStore) do(call string, partition, token int, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, after := s.fault(call)
	if before != nil {
		return before
	}
	if token != 0 && !s.holds(partition, token) {
		return &state.LostError{Partition: partition}
	}
	if err := f(); err != nil {
		return err
	}
	return after
}

func (s *fakeStore) holds(partition, token int) bool {
	return token != 0 && s.owner[partition] == token && time.Now().Before(s.expires[partition])
}

func (s *fakeStore) write(call string, w state.Write) {
	k, err := state.ParseKnown(w.Known.String()) // as it is stored
	if err != nil {
		panic(err)
	}
	if call == "commit" {
		s.mirror.written(w.Key, s.known[w.Key], k)
	}
	if was := s.known[w.Key]; call == "commit" && was.Holds(k.Payload) && k.Holds(was.Payload) {
		s.same[w.Key.Source+" "+k.Seen.String()] = true
	}
	s.known[w.Key] = k
	if call == "commit" && !k.Live && !k.Doubt {
		s.left[w.Key.Source+" "+k.Seen.String()] = true
	}
	if call == "prepare" && s.noted != nil {
		s.noted(w)
	}
	s.trail[w.Key] = append(s.trail[w.Key], fmt.Sprintf("%s %s %s", time.Now().Format("05.000"), call, w.Known))
}

// movingOn tells whether a record of a row still lies under an old key: until that is
// removed its new one is not dealt with, and may be sent again.
func (s *fakeStore) movingOn(source string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known[keyStateOf(source)].Old) > 0
}

// wasUnclean tells whether the session before did not end in order, so that nothing that
// it may have sent is certain.
func (s *fakeStore) wasUnclean() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unclean
}

// steal ends the leases, as if another owner had taken them and gone.
func (s *fakeStore) steal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = [partitions]int{}
	clear(s.workers)
}

// other has another worker own all for a time, whose name is in no list.
func (s *fakeStore) other(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.owner {
		s.token++
		s.owner[p], s.names[p], s.expires[p] = s.token, "other", until
	}
}

// owned is how many partitions have an owner.
func (s *fakeStore) owned() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, t := range s.owner {
		if s.holds(p, t) {
			n++
		}
	}
	return n
}

// kill ends the leases of one worker, and that it is there.
func (s *fakeStore) kill(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.workers, name)
	for p := range s.owner {
		if s.names[p] == name {
			s.owner[p] = 0
		}
	}
}

type fakeClaim struct {
	s     *fakeStore
	name  string
	mu    sync.Mutex // covers token; within that of the store
	token [partitions]int
	last  [partitions]fakeCommit
}

// do is that of the store, for a worker that may be cut off from it.
func (c *fakeClaim) do(call string, partition, token int, f func() error) error {
	if c.s.isCut(c.name) {
		return errors.New("connection refused")
	}
	return c.s.do(call, partition, token, f)
}

func (s *fakeStore) isCut(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut[name]
}

// cutOff cuts a worker off from the store, or ends that.
func (s *fakeStore) cutOff(name string, off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut[name] = off
}

// of is the token of a partition; one that is not ours has one that nobody has.
func (c *fakeClaim) of(partition int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.token[partition]; t != 0 {
		return t
	}
	return -1
}

func (c *fakeClaim) Meet(_ context.Context, me state.Worker) (m state.Meeting, err error) {
	if c.s.meeting != nil {
		time.Sleep(c.s.meeting(c.name)) // the bubble's time
	}
	err = c.do("meet", 0, 0, func() error {
		now := time.Now()
		me.Name = c.name
		c.s.workers[c.name] = fakeWorker{me, now.Add(fakeTTL)}
		for name, w := range c.s.workers {
			if !now.Before(w.expires) {
				delete(c.s.workers, name)
				continue
			}
			m.Workers = append(m.Workers, w.about)
		}
		slices.SortFunc(m.Workers, func(a, b state.Worker) int {
			return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name))
		})
		m.Owners = make([]string, partitions)
		for p, t := range c.s.owner {
			if t != 0 && now.Before(c.s.expires[p]) {
				m.Owners[p] = c.s.names[p]
			}
		}
		return nil
	})
	return m, err
}

func (c *fakeClaim) Leave(ctx context.Context) error {
	if err := cdc.Sleep(ctx, time.Millisecond); err != nil { // it is on its way
		return err
	}
	return c.do("leave", 0, 0, func() error {
		delete(c.s.workers, c.name)
		return nil
	})
}

func (c *fakeClaim) Take(_ context.Context, list []int) (got []int, err error) {
	if c.s.slow == nil {
		return c.take(list, 0)
	}
	for _, p := range list { // as where each is kept by another server
		there, back := c.s.slow(c.name, p)
		time.Sleep(there) // the bubble's time
		some, failed := c.take([]int{p}, back)
		got, err = append(got, some...), cmp.Or(err, failed)
	}
	return got, err
}

func (c *fakeClaim) take(list []int, back time.Duration) (got []int, err error) {
	var tokens []int
	err = c.do("take", 0, 0, func() error {
		for _, p := range list {
			if c.s.owner[p] != 0 && time.Now().Before(c.s.expires[p]) && c.s.names[p] != c.name {
				continue
			}
			c.s.token++
			c.s.owner[p], c.s.names[p], c.s.expires[p] = c.s.token, c.name, time.Now().Add(fakeTTL)
			got = append(got, p)
			tokens = append(tokens, c.s.token)
		}
		return nil
	})
	time.Sleep(back)
	if err != nil { // perhaps the answer was lost
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range got {
		c.token[p] = tokens[i]
	}
	return got, nil
}

func (c *fakeClaim) Renew(context.Context) error {
	return c.do("renew", 0, 0, func() error {
		for p := range partitions {
			if t := c.of(p); t > 0 {
				if !c.s.holds(p, t) {
					return &state.LostError{Partition: p}
				}
				c.s.expires[p] = time.Now().Add(fakeTTL)
			}
		}
		return nil
	})
}

func (c *fakeClaim) Release(_ context.Context, clean bool, list ...int) error {
	if len(list) == 0 {
		for p := range partitions {
			list = append(list, p)
		}
	}
	return c.do("release", 0, 0, func() error {
		for _, p := range list {
			t := c.of(p)
			c.mu.Lock()
			c.token[p] = 0
			c.mu.Unlock()
			if !c.s.holds(p, t) {
				continue
			}
			c.s.owner[p] = 0
			if clean {
				for _, lane := range cdc.Lanes() {
					delete(c.s.sent, cdc.Stream{Lane: lane, Partition: p})
				}
				c.s.swept[p], c.s.hold[p], c.s.open[p] = cdc.Position{}, time.Time{}, false
			}
		}
		return nil
	})
}

func (c *fakeClaim) Open(_ context.Context, partition int) (start state.Start, err error) {
	start = state.Start{Checkpoint: map[string]cdc.Position{}, Sent: map[string]cdc.Position{}}
	err = c.do("open", partition, 0, func() error {
		c.last[partition] = c.s.last[partition]
		start.Unclean = c.s.open[partition]
		c.s.open[partition], c.s.unclean = true, start.Unclean
		start.Hold, start.Dead, start.Swept = c.s.hold[partition], c.s.totals[partition], c.s.swept[partition]
		for _, lane := range cdc.Lanes() {
			st := cdc.Stream{Lane: lane, Partition: partition}
			start.Checkpoint[lane], start.Sent[lane] = c.s.checkpoints[st], c.s.sent[st]
		}
		return nil
	})
	return start, err
}

func (c *fakeClaim) Load(_ context.Context, places []state.Place) (out []state.Loaded, err error) {
	err = c.do("load", 0, 0, func() error {
		for _, p := range places {
			l := state.Loaded{}
			if k, ok := c.s.known[p.Key]; ok && c.s.place[p.Key] == p.Partition {
				l.Known, l.Text = k, k.String()
			}
			out = append(out, l)
		}
		return nil
	})
	return out, err
}

func (c *fakeClaim) Scan(_ context.Context, partition int, cursor uint64, _ int64) (out []state.Found, next uint64, err error) {
	const page = 2
	err = c.do("scan", partition, 0, func() error {
		keys := slices.SortedFunc(maps.Keys(c.s.known), func(a, b state.Key) int {
			return cmp.Or(cmp.Compare(a.Mapping, b.Mapping), cmp.Compare(a.Source, b.Source))
		})
		keys = slices.DeleteFunc(keys, func(k state.Key) bool { return partitionOf(k.Source) != partition })
		for i := int(cursor); i < len(keys) && len(out) < page; i++ {
			out = append(out, state.Found{Key: keys[i], Known: c.s.known[keys[i]]})
		}
		if next = cursor + page; int(next) >= len(keys) {
			next = 0
		}
		return nil
	})
	return out, next, err
}

func (c *fakeClaim) EachDeferred(_ context.Context, partition int, f func(state.Deferred)) error {
	return c.do("deferred", partition, 0, func() error {
		for k, d := range c.s.deferred {
			if partitionOf(k.Source) == partition {
				f(d)
				f(d) // as a scan may give it
			}
		}
		return nil
	})
}

func (c *fakeClaim) LoadDeferred(_ context.Context, _ int, keys []state.Key) (out []state.Deferred, err error) {
	err = c.do("load deferred", 0, 0, func() error {
		for _, k := range keys {
			d := c.s.deferred[k]
			d.Key = k
			out = append(out, d)
		}
		return nil
	})
	return out, err
}

func (c *fakeClaim) Prepare(_ context.Context, partition int, in state.Intent) error {
	return c.do("prepare", partition, c.of(partition), func() error {
		for lane, pos := range in.Sent {
			st := cdc.Stream{Lane: lane, Partition: partition}
			if c.s.sent[st].Before(pos) {
				c.s.sent[st] = pos
			}
		}
		if c.s.swept[partition].Before(in.Swept) {
			c.s.swept[partition] = in.Swept
		}
		if c.s.hold[partition].Before(in.Hold) {
			c.s.hold[partition] = in.Hold
		}
		for _, w := range in.Writes {
			if k, ok := c.s.known[w.Key]; ok && k.String() != w.Was || !ok && w.Was != "" {
				return state.ErrMoved
			}
		}
		for _, w := range in.Writes {
			c.s.place[w.Key] = partition
			c.s.write("prepare", w)
		}
		return nil
	})
}

func (c *fakeClaim) Commit(_ context.Context, partition int, w state.Commit) error {
	this := fakeCommit{c.of(partition), w.ID}
	err := c.do("commit", partition, c.of(partition), func() error {
		c.s.commits++
		if have := c.s.last[partition]; have.token == this.token && have.id >= w.ID {
			return nil
		} else if have != c.last[partition] {
			return state.ErrRolledBack
		}
		c.s.last[partition] = this
		for _, k := range w.Writes {
			c.s.place[k.Key] = partition
			c.s.write("commit", k)
			if _, ok := c.s.parked[k.Key]; ok {
				if slices.ContainsFunc(w.Dead, func(l deadletter.Letter) bool { return l.Mapping == k.Key.Mapping && l.Key == k.Key.Source }) {
					c.s.totals[partition].Replaced++
				} else {
					c.s.totals[partition].Resolved++
				}
				delete(c.s.parked, k.Key)
			}
		}
		c.s.dead = append(c.s.dead, w.Dead...)
		for _, l := range w.Dead {
			if _, ok := c.s.parked[state.Key{Mapping: l.Mapping, Source: l.Key}]; ok {
				c.s.totals[partition].Replaced++ // beside one that waits aside no state is written
			}
			c.s.parked[state.Key{Mapping: l.Mapping, Source: l.Key}] = l
		}
		for _, d := range w.Deferred {
			if c.s.trail[d.Key] = append(c.s.trail[d.Key], fmt.Sprintf("%s deferred %v due %v %s", time.Now().Format("05.000"), d.Position, d.Due.Format("05.000"), d.Entry)); len(d.Entry) == 0 {
				delete(c.s.deferred, d.Key)
			} else {
				c.s.deferred[d.Key] = d
				c.s.asides++
			}
		}
		if c.s.hold[partition].Before(w.Hold) {
			c.s.hold[partition] = w.Hold
		}
		for lane, pos := range w.Checkpoints {
			st := cdc.Stream{Lane: lane, Partition: partition}
			if pos.Before(c.s.checkpoints[st]) {
				return fmt.Errorf("checkpoint of %v goes back from %v to %v", st, c.s.checkpoints[st], pos)
			}
			c.s.checkpoints[st] = pos
		}
		return nil
	})
	if err == nil {
		c.last[partition] = this
	}
	return err
}

func (c *fakeClaim) Collect(_ context.Context, partition int, cursor uint64, _ int64, below cdc.Position) (out state.Collected, err error) {
	err = c.do("collect", partition, c.of(partition), func() error {
		for k, known := range c.s.known {
			_, aside := c.s.deferred[k]
			if c.s.place[k] != partition || known.Live || known.Doubt || len(known.Old) > 0 || !known.Seen.Before(below) || aside {
				continue
			}
			delete(c.s.known, k)
			c.s.collected[k] = known.Seen
			c.s.trail[k] = append(c.s.trail[k], fmt.Sprintf("%s collected below %v", time.Now().Format("05.000"), below))
			out.Gone++
		}
		return nil
	})
	return out, err
}

func (c *fakeClaim) Own(_ context.Context, ops []targetkey.Op) (out []targetkey.Answer, err error) {
	if c.s.late != nil {
		defer func() { time.Sleep(c.s.late(ops)) }() // the bubble's time
	}
	err = c.do("own", 0, 0, func() error {
		for _, op := range ops {
			next, a := targetkey.Apply(c.s.owners[op.ID], op, time.Now())
			if c.s.owners[op.ID] = next; next == "" {
				delete(c.s.owners, op.ID)
			}
			k := state.Key{Mapping: op.Owner.Mapping, Source: op.Owner.Source}
			c.s.trail[k] = append(c.s.trail[k], fmt.Sprintf("%s %s %x %s %q", time.Now().Format("05.000"), op.Kind, op.ID[:2], a.Result, a.Entry))
			out = append(out, a)
		}
		return nil
	})
	return out, err
}

func (c *fakeClaim) Tend(_ context.Context, partition int, _ time.Time, told deadletter.Totals) (t deadletter.Totals, more bool, err error) {
	err = c.do("tend", partition, c.of(partition), func() error {
		have := &c.s.totals[partition]
		have.Parked, have.ToldFull, have.ToldOld = 0, told.ToldFull, told.ToldOld
		for k, l := range c.s.parked {
			if partitionOf(l.Key) != partition {
				continue
			}
			if have.Parked++; c.s.bound > 0 && have.Parked > int64(c.s.bound) {
				delete(c.s.parked, k)
				have.Parked--
				have.Full++
			}
		}
		t = *have
		return nil
	})
	return t, false, err
}

// fakeCommit names a commit.
type fakeCommit struct {
	token int
	id    uint64
}
