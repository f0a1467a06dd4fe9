package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

func partitionOf(key string) int { return partitionIn(deals, key) }

func partitionIn(t cdc.Table, key string) int {
	return cdc.PartitionOf(t.String(), []byte(key), partitions)
}

// fakeLog is a log in memory.
type fakeLog struct {
	mu      sync.Mutex
	streams map[cdc.Stream][]cdc.Change
	grown   chan struct{} // closed when something is appended
	fail    error
	// complete is up to where every lane has all that was committed.
	complete cdc.Position
	max      int // bounds what is given at once, if above zero
}

func newFakeLog() *fakeLog {
	return &fakeLog{streams: map[cdc.Stream][]cdc.Change{}, grown: make(chan struct{})}
}

func (l *fakeLog) append(lane string, ch cdc.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range partitions {
		if !ch.Op.Keyed() || p == partitionIn(ch.Table, ch.Key) {
			s := cdc.Stream{Lane: lane, Partition: p}
			l.streams[s] = append(l.streams[s], ch)
		}
	}
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

// oldest is what nothing of a partition can be below of any more: what was not appended
// yet is above pending, and all lanes are complete up to that.
func (l *fakeLog) oldest(_ context.Context, partition int) (cdc.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.complete
	for _, lane := range cdc.Lanes() {
		if all := l.streams[cdc.Stream{Lane: lane, Partition: partition}]; len(all) > 0 && all[0].Position.Before(at) {
			at = all[0].Position
		}
	}
	return at, l.fail
}

func (l *fakeLog) tails() map[cdc.Stream]cdc.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[cdc.Stream]cdc.Position{}
	for s, all := range l.streams {
		if len(all) > 0 {
			out[s] = all[len(all)-1].Position
		}
	}
	return out
}

// fakeMapper maps a deal to an Opportunity: note is left out when absent, sum
// needs both of its columns, a row with on = false is not wanted. C and D are only
// written when they change.
type fakeMapper struct {
	name     string
	lane     string
	gone     string        // what becomes of a record whose row is: deleted, ignore or set
	set      []sinks.Field // by set; a note of -1 if empty
	slim     bool          // C and D are all there is
	always   bool          // C and D are always written
	flipped  bool          // Sum is written the other way round
	key      string        // the column of the target key; id if empty
	table    cdc.Table     // deals if zero
	parent   string        // the mapping that the column parent refers to
	coalesce sinks.Coalesce
	slo      time.Duration

	mu       sync.Mutex
	filtered map[string]bool     // "key position"
	ignored  func(source string) // told of rows that are not sent, as they are not meant
}

func (m *fakeMapper) Name() string             { return cmp.Or(m.name, "deals") }
func (m *fakeMapper) Table() cdc.Table         { return cmp.Or(m.table, deals) }
func (m *fakeMapper) Object() string           { return "Opportunity" }
func (m *fakeMapper) Selective() bool          { return !m.always }
func (m *fakeMapper) KeyIsSource() bool        { return m.key == "" }
func (m *fakeMapper) Lane() string             { return m.lane }
func (m *fakeMapper) Coalesce() sinks.Coalesce { return m.coalesce }
func (m *fakeMapper) SLO() time.Duration       { return m.slo }

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
			m.filter(ch)
			if m.ignored != nil {
				m.ignored(ch.Key)
			}
		} else if m.gone == "set" {
			rec.Op, rec.Left, rec.Fields = sinks.Upsert, true, m.set
			if len(m.set) == 0 {
				rec.Fields = []sinks.Field{{Name: "Note", Value: json.RawMessage("-1")}}
			}
		}
		return rec, send, nil
	}
	if row.Get("bad").JSON() == "true" {
		return rec, false, errors.New("no value for it")
	}
	rec.Op = sinks.Upsert
	rec.Key = sinks.Field{Name: "Ext", Value: json.RawMessage(row.Get(cmp.Or(m.key, "id")).JSON())}
	if p := row.Get("parent"); m.parent != "" && !p.IsAbsent() && !p.IsNull() {
		rec.Parents = append(rec.Parents, sinks.Parent{Field: "Parent", Mapping: m.parent, Source: `{"id":` + p.JSON() + `}`,
			Key: sinks.Field{Name: "Ext", Value: json.RawMessage(p.JSON())}})
	}
	a, b := row.Get("a"), row.Get("b")
	if b.IsAbsent() && slices.Contains(ch.Absent, "b") {
		return sinks.Record{}, false, &sinks.Unresolved{Columns: []string{"b"}}
	}
	if !m.slim {
		if m.flipped {
			a, b = b, a
		}
		rec.Fields = append(rec.Fields, sinks.Field{Name: "Sum", Value: json.RawMessage(`"` + a.JSON() + "+" + b.JSON() + `"`)})
		if note := row.Get("note"); !note.IsAbsent() {
			rec.Fields = append(rec.Fields, sinks.Field{Name: "Note", Value: json.RawMessage(note.JSON())})
		}
	}
	if string(rec.Key.Value) != string(prior.Key.Value) {
		prior.Sent = "" // of another record
	}
	if changed(&rec, row, prior.Sent); m.always {
		rec.Sent = ""
	}
	if len(rec.Fields) == 0 && prior.Live {
		m.filter(ch)
		return rec, false, nil
	}
	return rec, true, nil
}

func (m *fakeMapper) filter(ch *cdc.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.filtered[ch.Key+" "+ch.Position.String()] = true
}

// changed adds the fields that are only written when they change: C of c, D of d.
func changed(rec *sinks.Record, row cdc.Row, sent string) {
	var tokens []string
	for _, name := range []string{"C", "D"} {
		v, token := row.Get(strings.ToLower(name)), ""
		for _, t := range strings.Split(sent, ",") {
			if strings.HasPrefix(t, name+":") {
				token = t
			}
		}
		if now := name + ":" + v.JSON(); !v.IsAbsent() && now != token {
			token = now
			rec.Fields = append(rec.Fields, sinks.Field{Name: name, Value: json.RawMessage(v.JSON())})
		}
		if token != "" {
			tokens = append(tokens, token)
		}
	}
	rec.Sent = strings.Join(tokens, ",")
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
	mirror  *mirror
	// seen is told of each batch that was dealt with, and what was said of each record;
	// it may be nil.
	seen func(b sinks.Batch, said []error)
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
	return f.took(b, true, func(b sinks.Batch) ([]bool, []sinks.Result, error) { return answer(ctx, b) })
}

// took carries out a batch as answer says. heard tells that somebody is told of it.
func (f *fakeTarget) took(b sinks.Batch, heard bool, answer func(sinks.Batch) ([]bool, []sinks.Result, error)) ([]sinks.Result, error) {
	apply, rs, err := answer(b)
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
	if f.seen != nil {
		said := make([]error, len(b.Records))
		for i := range said {
			switch {
			case !heard:
				said[i] = errTimeout
			case err != nil:
				said[i] = err
			default:
				said[i] = resultOf(rs, i).Err
			}
		}
		f.seen(b, said)
	}
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
		f.mirror.apply(&r, nil)
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
	f.mirror.apply(&r, h.fields)
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

func keyState(id int) state.Key { return state.Key{Mapping: "deals", Source: keyOf(id)} }

func keyStateOf(source string) state.Key { return state.Key{Mapping: "deals", Source: source} }

// wasGone tells whether a row that it was asked for was not there: then what the target
// has of the key is not known for certain.
func (s *fakeSource) wasGone(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone[key]
}
