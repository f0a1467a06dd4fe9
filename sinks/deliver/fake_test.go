package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var deals = cdc.Table{Schema: "public", Name: "deals"}

const partitions = 2

func at(n int) cdc.Position { return cdc.Position{LSN: cdc.LSN(n)} }

func keyOf(id int) string { return fmt.Sprintf(`{"id":%d}`, id) }

func partitionOf(key string) int { return cdc.PartitionOf(deals.String(), []byte(key), partitions) }

// fakeLog is a log in memory.
type fakeLog struct {
	mu      sync.Mutex
	streams map[cdc.Stream][]cdc.Change
	grown   chan struct{} // closed when something is appended
	fail    error
	max     int // bounds what is given at once, if above zero
}

func newFakeLog() *fakeLog {
	return &fakeLog{streams: map[cdc.Stream][]cdc.Change{}, grown: make(chan struct{})}
}

func (l *fakeLog) append(lane string, ch cdc.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := cdc.Stream{Lane: lane, Partition: partitionOf(ch.Key)}
	l.streams[s] = append(l.streams[s], ch)
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *fakeLog) Read(ctx context.Context, partition int, from map[string]cdc.Position, max int) ([]cdc.Message, error) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	for {
		out, grown, err := l.look(partition, from, max)
		if len(out) > 0 || err != nil {
			return out, err
		}
		select {
		case <-grown:
		case <-t.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *fakeLog) look(partition int, from map[string]cdc.Position, max int) (out []cdc.Message, grown chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max > 0 {
		max = l.max
	}
	for _, lane := range cdc.Lanes() {
		after, ok := from[lane]
		if !ok {
			continue
		}
		s := cdc.Stream{Lane: lane, Partition: partition}
		all := l.streams[s]
		i, _ := slices.BinarySearchFunc(all, after, func(c cdc.Change, p cdc.Position) int {
			if after.Before(c.Position) {
				return 1
			}
			return -1
		})
		n := min(max, len(all)-i)
		for _, ch := range all[i : i+n] {
			out = append(out, cdc.Message{Stream: s, Change: ch, Size: 100})
		}
	}
	return out, l.grown, l.fail
}

func (l *fakeLog) tails() map[cdc.Stream]cdc.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[cdc.Stream]cdc.Position{}
	for s, all := range l.streams {
		out[s] = all[len(all)-1].Position
	}
	return out
}

// fakeStore keeps state in memory by the rules of package state. It outlives the
// engines, as Redis does.
type fakeStore struct {
	mu          sync.Mutex
	token       int
	owner       int // the token that holds the lease, or 0
	expires     time.Time
	known       map[state.Key]state.Known
	dead        []state.DeadLetter
	checkpoints map[cdc.Stream]cdc.Position
	sent        map[cdc.Stream]cdc.Position
	hold        [partitions]time.Time
	commits     int
	last        [partitions]fakeCommit
	trail       map[state.Key][]string // what was written of each key, and when
	// fault says what happens to a call: an error before or after it is done.
	fault func(call string) (before, after error)
}

const fakeTTL = 10 * time.Second

func newFakeStore() *fakeStore {
	return &fakeStore{
		known: map[state.Key]state.Known{}, trail: map[state.Key][]string{}, checkpoints: map[cdc.Stream]cdc.Position{}, sent: map[cdc.Stream]cdc.Position{},
		fault: func(string) (error, error) { return nil, nil },
	}
}

func (s *fakeStore) leases() leases {
	return leases{ttl: fakeTTL, take: func(ctx context.Context) (claim, error) {
		c := &fakeClaim{s: s}
		err := s.do("claim", 0, func() error {
			if s.owner != 0 && time.Now().Before(s.expires) {
				return &state.HeldError{Owner: strconv.Itoa(s.owner)}
			}
			s.token++
			s.owner, s.expires = s.token, time.Now().Add(fakeTTL)
			c.token = s.token
			return nil
		})
		if err != nil {
			return nil, err
		}
		return c, nil
	}}
}

// do runs a script: f under the lease of token, unless that is 0.
func (s *fakeStore) do(call string, token int, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, after := s.fault(call)
	if before != nil {
		return before
	}
	if token != 0 && (s.owner != token || !time.Now().Before(s.expires)) {
		return &state.LostError{}
	}
	if err := f(); err != nil {
		return err
	}
	return after
}

func (s *fakeStore) write(call string, w state.Write) {
	s.known[w.Key] = w.Known
	s.trail[w.Key] = append(s.trail[w.Key], fmt.Sprintf("%s %s %s", time.Now().Format("05.000"), call, w.Known))
}

// steal ends the lease, as if another owner had taken it and gone.
func (s *fakeStore) steal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = 0
}

type fakeClaim struct {
	s     *fakeStore
	token int
	last  [partitions]fakeCommit
}

func (c *fakeClaim) Renew(context.Context) error {
	return c.s.do("renew", c.token, func() error {
		c.s.expires = time.Now().Add(fakeTTL)
		return nil
	})
}

func (c *fakeClaim) Release(_ context.Context, clean bool) error {
	return c.s.do("release", 0, func() error {
		if c.s.owner == c.token {
			c.s.owner = 0
			if clean {
				clear(c.s.sent)
				c.s.hold = [partitions]time.Time{}
			}
		}
		return nil
	})
}

func (c *fakeClaim) Open(_ context.Context, partition int) (start state.Start, err error) {
	start = state.Start{Checkpoint: map[string]cdc.Position{}, Sent: map[string]cdc.Position{}}
	err = c.s.do("open", 0, func() error {
		c.last[partition] = c.s.last[partition]
		start.Hold = c.s.hold[partition]
		for _, lane := range cdc.Lanes() {
			st := cdc.Stream{Lane: lane, Partition: partition}
			start.Checkpoint[lane], start.Sent[lane] = c.s.checkpoints[st], c.s.sent[st]
		}
		return nil
	})
	return start, err
}

func (c *fakeClaim) Load(_ context.Context, places []state.Place) (out []state.Loaded, err error) {
	err = c.s.do("load", 0, func() error {
		for _, p := range places {
			l := state.Loaded{}
			if k, ok := c.s.known[p.Key]; ok {
				l.Known, l.Text = k, k.String()
			}
			out = append(out, l)
		}
		return nil
	})
	return out, err
}

func (c *fakeClaim) Prepare(_ context.Context, partition int, in state.Intent) error {
	return c.s.do("prepare", c.token, func() error {
		for lane, pos := range in.Sent {
			st := cdc.Stream{Lane: lane, Partition: partition}
			if c.s.sent[st].Before(pos) {
				c.s.sent[st] = pos
			}
		}
		for _, w := range in.Writes {
			if k, ok := c.s.known[w.Key]; ok && k.String() != w.Was || !ok && w.Was != "" {
				return state.ErrMoved
			}
		}
		for _, w := range in.Writes {
			c.s.write("prepare", w)
		}
		return nil
	})
}

func (c *fakeClaim) Commit(_ context.Context, partition int, w state.Commit) error {
	this := fakeCommit{c.token, w.ID}
	err := c.s.do("commit", c.token, func() error {
		c.s.commits++
		if have := c.s.last[partition]; have.token == c.token && have.id >= w.ID {
			return nil
		} else if have != c.last[partition] {
			return state.ErrRolledBack
		}
		c.s.last[partition] = this
		for _, k := range w.Writes {
			c.s.write("commit", k)
		}
		c.s.dead = append(c.s.dead, w.Dead...)
		if !w.Hold.IsZero() {
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

// fakeCommit names a commit.
type fakeCommit struct {
	token int
	id    uint64
}

// fakeMapper maps a deal to an Opportunity: note is left out when absent, sum
// needs both of its columns, a row with on = false is not wanted.
type fakeMapper struct {
	name     string
	lane     string
	gone     string // what becomes of a record whose row is: deleted, ignore or set
	coalesce sinks.Coalesce

	mu       sync.Mutex
	filtered map[string]bool // "key position"
}

func (m *fakeMapper) Name() string             { return cmp.Or(m.name, "deals") }
func (m *fakeMapper) Table() cdc.Table         { return deals }
func (m *fakeMapper) Object() string           { return "Opportunity" }
func (m *fakeMapper) Lane() string             { return m.lane }
func (m *fakeMapper) Coalesce() sinks.Coalesce { return m.coalesce }

func (m *fakeMapper) Map(ch *cdc.Change, prior sinks.Prior) (sinks.Record, bool, error) {
	rec := sinks.Record{Mapping: m.Name(), Source: ch.Key, Object: m.Object(), Position: ch.Position, Op: sinks.Delete, Key: prior.Key}
	row := cdc.Row{}
	if ch.Op != cdc.OpDelete {
		var err error
		if row, err = cdc.ParseRow(ch.After); err != nil {
			return rec, false, err
		}
	}
	if ch.Op == cdc.OpDelete || row.Get("on").JSON() == "false" {
		send := prior.Live && m.gone != "ignore"
		if !send {
			m.mu.Lock()
			m.filtered[ch.Key+" "+ch.Position.String()] = true
			m.mu.Unlock()
		} else if m.gone == "set" {
			rec.Op, rec.Left, rec.Fields = sinks.Upsert, true, []sinks.Field{{Name: "Note", Value: json.RawMessage("-1")}}
		}
		return rec, send, nil
	}
	if row.Get("bad").JSON() == "true" {
		return rec, false, errors.New("no value for it")
	}
	rec.Op = sinks.Upsert
	rec.Key = sinks.Field{Name: "Ext", Value: json.RawMessage(row.Get("id").JSON())}
	a, b := row.Get("a"), row.Get("b")
	if b.IsAbsent() && slices.Contains(ch.Absent, "b") {
		return sinks.Record{}, false, &sinks.Unresolved{Columns: []string{"b"}}
	}
	rec.Fields = append(rec.Fields, sinks.Field{Name: "Sum", Value: json.RawMessage(`"` + a.JSON() + "+" + b.JSON() + `"`)})
	if note := row.Get("note"); !note.IsAbsent() {
		rec.Fields = append(rec.Fields, sinks.Field{Name: "Note", Value: json.RawMessage(note.JSON())})
	}
	return rec, true, nil
}

// held is what the fake target has of a key.
type held struct {
	fields map[string]string
	pos    cdc.Position
}

// answer decides what happens to a batch before it is applied: which of the
// records are, and what is said. It may block.
type answer func(ctx context.Context, b sinks.Batch) (apply []bool, rs []sinks.Result, err error)

// fakeTarget applies batches and watches the order of each key.
type fakeTarget struct {
	limits sinks.Limits

	mu      sync.Mutex // covers all below
	answer  answer
	rows    map[string]held // by target key
	order   map[string]cdc.Position
	applied map[string]bool // "source position"
	batches [][]string
	wrong   []string
}

func newFakeTarget() *fakeTarget {
	return &fakeTarget{
		limits: sinks.Limits{MaxBatch: 10, MaxInFlight: 2, Timeout: 5 * time.Second},
		rows:   map[string]held{}, order: map[string]cdc.Position{}, applied: map[string]bool{},
		answer: acceptAll,
	}
}

func acceptAll(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
	return all(len(b.Records), true), make([]sinks.Result, len(b.Records)), nil
}

func all(n int, v bool) []bool { return slices.Repeat([]bool{v}, n) }

func (f *fakeTarget) Limits() sinks.Limits { return f.limits }

func (f *fakeTarget) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	apply, rs, err := answer(ctx, b)
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []string
	for i, r := range b.Records {
		keys = append(keys, fmt.Sprintf("%s %s %s", r.Op, r.Source, r.Position))
		if i < len(apply) && apply[i] {
			f.apply(r)
		}
	}
	for i := range keys {
		keys[i] = fmt.Sprint(time.Now().Format("05.000 "), keys[i], " ", i < len(apply) && apply[i], " ", err)
	}
	f.batches = append(f.batches, keys)
	return rs, err
}

func (f *fakeTarget) apply(r sinks.Record) {
	if r.Position.Before(f.order[r.Source]) {
		f.wrong = append(f.wrong, fmt.Sprintf("%s: %v after %v", r.Source, r.Position, f.order[r.Source]))
	}
	f.order[r.Source] = r.Position
	f.applied[r.Source+" "+r.Position.String()] = true
	key := string(r.Key.Value)
	if r.Op != sinks.Upsert {
		delete(f.rows, key)
		return
	}
	h := held{fields: map[string]string{}, pos: r.Position}
	for name, v := range f.rows[key].fields { // a field left out stays as it is
		h.fields[name] = v
	}
	for _, field := range r.Fields {
		h.fields[field.Name] = string(field.Value)
	}
	f.rows[key] = h
}

// fakeSource is the database: the rows as they are now.
type fakeSource struct {
	mu    sync.Mutex
	rows  map[string]string
	gone  map[string]bool // keys it was asked for and did not have
	calls int
}

func (s *fakeSource) Complete(_ context.Context, _ cdc.Table, keys []string, _ []uint64) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	out := map[string]string{}
	for _, k := range keys {
		if row, ok := s.rows[k]; ok {
			out[k] = row
		} else {
			s.gone[k] = true
		}
	}
	return out, nil
}

// world is everything around an engine.
type world struct {
	testing.TB
	log    *fakeLog
	store  *fakeStore
	target *fakeTarget
	source *fakeSource
	mapper *fakeMapper
	lines  *lines
	last   int
	// maxCommit is the engine's, if above zero.
	maxCommit int

	engine *Engine
	stop   context.CancelFunc
	ended  chan struct{}
}

func newWorld(t testing.TB) *world {
	return &world{
		TB: t, log: newFakeLog(), store: newFakeStore(), target: newFakeTarget(), lines: &lines{},
		source: &fakeSource{rows: map[string]string{}, gone: map[string]bool{}},
		mapper: &fakeMapper{coalesce: sinks.Coalesce{MaxBatch: 10}, filtered: map[string]bool{}},
	}
}

func (w *world) start(change ...func(*Options)) {
	w.Helper()
	o := Options{
		Name: "crm", Target: w.target, Mappers: []Mapper{w.mapper}, Reader: w.log, Partitions: partitions, Completer: w.source,
		Logger: slog.New(slog.NewTextHandler(w.lines, nil)), MaxAttempts: 5,
	}
	for _, c := range change {
		c(&o)
	}
	e, err := newEngine(o, w.store.leases())
	if err != nil {
		w.Fatal(err)
	}
	if w.maxCommit > 0 {
		e.maxCommit = w.maxCommit
	}
	ctx, stop := context.WithCancel(context.Background())
	w.engine, w.stop, w.ended = e, stop, make(chan struct{})
	go func() {
		defer close(w.ended)
		if err := e.Run(ctx); err != nil {
			w.Error(err)
		}
	}()
}

// answers sets what the target does from now on.
func (w *world) answers(a answer) {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	w.target.answer = a
}

// holds sets a row of the source.
func (w *world) holds(id int, row string) {
	w.source.mu.Lock()
	defer w.source.mu.Unlock()
	w.source.rows[keyOf(id)] = row
}

// giveAtMost bounds what the log gives at once.
func (w *world) giveAtMost(n int) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.max = n
}

// storeFails sets what happens to the calls of the store.
func (w *world) storeFails(fault func(call string) (before, after error)) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.fault = fault
}

// end stops the engine in order.
func (w *world) end() {
	w.stop()
	<-w.ended
}

// crash ends the engine as a kill -9 would, but for the goroutines.
func (w *world) crash() {
	w.engine.kill(errKilled)
	<-w.ended
	w.stop()
	w.store.steal()
}

// put appends a change of a row with these columns, written as "a=1 note=?".
func (w *world) put(lane string, id int, columns string) cdc.Position {
	w.last++
	ch := cdc.Change{Position: at(w.last), Op: cdc.OpUpdate, Table: deals, Key: keyOf(id), Time: time.Now(), XID: uint64(w.last)}
	row := []string{fmt.Sprintf(`"id":%d`, id)}
	for _, c := range strings.Fields(columns) {
		name, v, _ := strings.Cut(c, "=")
		if v == "?" {
			ch.Absent = append(ch.Absent, name)
		} else {
			row = append(row, fmt.Sprintf("%q:%s", name, v))
		}
	}
	ch.After = "{" + strings.Join(row, ",") + "}"
	if columns == "gone" {
		ch.Op, ch.After = cdc.OpDelete, ""
	}
	w.log.append(lane, ch)
	return ch.Position
}

// caughtUp tells whether every entry is behind the checkpoint.
func (w *world) caughtUp() bool {
	tails := w.log.tails()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for s, tail := range tails {
		if w.store.checkpoints[s] != tail {
			return false
		}
	}
	return true
}

func (w *world) has(id int) string {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	h, ok := w.target.rows[strconv.Itoa(id)]
	if !ok {
		return "nothing"
	}
	var out []string
	for name, v := range h.fields {
		out = append(out, name+"="+strings.Trim(v, `"`))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (w *world) wantHas(id int, want string) {
	w.Helper()
	if got := w.has(id); got != want {
		w.Fatalf("the target has %s of %d, want %s", got, id, want)
	}
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(w.lines, nil)) }

func keyState(id int) state.Key { return state.Key{Mapping: "deals", Source: keyOf(id)} }

func keyStateOf(source string) state.Key { return state.Key{Mapping: "deals", Source: source} }
