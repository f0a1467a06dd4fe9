package pgsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// routedRow is a row of the model's WAL. It has the columns that its table had then.
type routedRow struct {
	at      cdc.Position
	number  uint64 // within its transaction, from one
	oid     uint32
	columns []string
	id      int
	op      cdc.Op
	value   int // that the lane rules look at
}

// entry is what the decoder makes of it, as far as its lane depends on that.
func (r *routedRow) entry() *cdc.Entry {
	text := fmt.Appendf(nil, `{"v":%d}`, r.value)
	if r.op == cdc.OpDelete {
		return &cdc.Entry{Op: r.op, Before: text}
	}
	return &cdc.Entry{Op: r.op, After: text}
}

// sentRow is where a row went: its stream, and what of it tells that.
type sentRow struct {
	stream     cdc.Stream
	table, key string
}

// routedLog is a log that keeps what a router needs to know, and where each row is.
type routedLog struct {
	cdc.Log // what is not called
	list    []cdc.Routing
	rows    map[cdc.Position]sentRow
	tails   map[cdc.Stream]cdc.Position
}

func (l *routedLog) Routings(context.Context) ([]cdc.Routing, error) {
	return slices.Clone(l.list), nil
}

func (l *routedLog) SetRoutings(_ context.Context, list []cdc.Routing) error {
	l.list = list
	return nil
}

func (l *routedLog) Tail(context.Context) (high cdc.Position, err error) {
	for _, p := range l.tails {
		if high.Before(p) {
			high = p
		}
	}
	return high, nil
}

// routedTable is a table as the model's catalog has it.
type routedTable struct {
	name    string
	key     string // a column
	columns []string
}

// routedWorld is a source with tables whose names and keys change, all with REPLICA
// IDENTITY FULL, and the log of a capture that is started with one configuration after
// another and crashes each time.
type routedWorld struct {
	t         *rapid.T
	log       *routedLog
	tables    map[uint32]*routedTable
	wal       []routedRow
	commits   cdc.LSN
	confirmed cdc.LSN
	names     int
	published cdc.Routing           // whose tables are in the publication
	last      cdc.Routing           // of the session before
	unmapped  map[cdc.Position]bool // rows whose table was not captured for a session
	keyless   map[cdc.Position]bool // rows that never had a key: their table is stopped
}

const routedPartitions = 3

// write commits a transaction.
func (w *routedWorld) write() {
	w.commits += 10
	for n := range rapid.IntRange(1, 6).Draw(w.t, "rows") {
		oid := rapid.Uint32Range(1, 3).Draw(w.t, "table")
		if w.published.Table(oid) == nil {
			continue // the server does not send it, then or later
		}
		row := routedRow{at: cdc.Position{LSN: w.commits, Ordinal: 2 * uint64(n)}, number: uint64(n) + 1,
			oid: oid, columns: slices.Clone(w.tables[oid].columns), id: rapid.IntRange(0, 5).Draw(w.t, "id"),
			op: rapid.SampledFrom([]cdc.Op{cdc.OpCreate, cdc.OpUpdate, cdc.OpDelete}).Draw(w.t, "op"), value: rapid.IntRange(0, 5).Draw(w.t, "value")}
		w.wal = append(w.wal, row)
		if row.op == cdc.OpDelete && rapid.Bool().Draw(w.t, "key change") {
			row.at.Ordinal++
			row.op, row.id, row.value = cdc.OpCreate, row.id+6, rapid.IntRange(0, 5).Draw(w.t, "value")
			w.wal = append(w.wal, row)
		}
	}
}

// alter changes the catalog, which nothing in the stream tells before the next row.
func (w *routedWorld) alter() {
	t := w.tables[rapid.Uint32Range(1, 3).Draw(w.t, "altered")]
	w.names++
	switch rapid.SampledFrom([]string{"rename", "take a name", "key", "new key"}).Draw(w.t, "alter") {
	case "rename":
		t.name = fmt.Sprintf("renamed%d", w.names)
	case "take a name": // a name that was another table's
		other := w.tables[rapid.Uint32Range(1, 3).Draw(w.t, "other")]
		t.name, other.name = other.name, t.name
	case "key":
		t.key = rapid.SampledFrom(t.columns).Draw(w.t, "key")
	case "new key":
		t.key = fmt.Sprintf("c%d", w.names)
		t.columns = append(slices.Clone(t.columns), t.key)
	}
}

// want draws a configuration.
func (w *routedWorld) want() cdc.Routing {
	want := cdc.Routing{BulkAfter: uint64(rapid.IntRange(0, 5).Draw(w.t, "bulk after"))}
	for _, oid := range []uint32{1, 2, 3} {
		if t := w.tables[oid]; rapid.IntRange(0, 3).Draw(w.t, "captured") > 0 {
			want.Tables = append(want.Tables, cdc.RoutedTable{OID: oid, Name: cdc.Table{Schema: "public", Name: t.name},
				Lane: rapid.SampledFrom(cdc.Lanes()).Draw(w.t, "lane"), Key: []string{t.key},
				Rules: rapid.SampledFrom([]string{"", "v 3 urgent", "v 2 bulk, v 4 normal"}).Draw(w.t, "rules")})
		}
	}
	return want
}

// session sends rows from where the slot was confirmed, and crashes: of what was passed
// to each stream some first ones are in the log.
func (w *routedWorld) session() {
	was := w.published
	w.published = w.want()
	for _, row := range w.wal {
		if w.published.Table(row.oid) == nil {
			w.unmapped[row.at] = true
		}
	}
	r, err := newRouter(w.t.Context(), w.log, cdc.Routing{BulkAfter: w.published.BulkAfter, Tables: slices.Clone(w.published.Tables)}, w.confirmed, below)
	if err != nil {
		if !strings.Contains(err.Error(), "took its name") {
			w.t.Fatal(err)
		}
		w.published = was
		return // it would not start
	}
	last := r.list[len(r.list)-1]
	for _, t := range last.Tables {
		if was := w.last.Table(t.OID); was != nil && was.Name != t.Name {
			w.t.Fatalf("table %d was %s to the log and is %s now", t.OID, was.Name, t.Name)
		}
	}
	defer func() { w.last = last }()
	if !slices.IsSortedFunc(r.list, func(a, b cdc.Routing) int { return a.Above.Compare(b.Above) }) {
		w.t.Fatalf("the routings are not in order: %v", r.list)
	}
	first := slices.IndexFunc(w.wal, func(row routedRow) bool { return row.at.LSN >= w.confirmed })
	if first < 0 {
		return
	}
	s := &routedSession{world: w, router: r, described: map[uint32]*described{}, passed: map[cdc.Stream][]cdc.Position{}, sent: map[cdc.Position]sentRow{}}
	end := rapid.IntRange(first, len(w.wal)).Draw(w.t, "crash before row")
	for _, row := range w.wal[first:end] {
		s.row(row)
		if rapid.IntRange(0, 9).Draw(w.t, "alter now") == 0 {
			w.alter()
		}
	}
	for _, stream := range s.order {
		list := s.passed[stream]
		for _, at := range list[:rapid.IntRange(0, len(list)).Draw(w.t, "appended")] {
			w.log.rows[at] = s.sent[at]
			w.log.tails[stream] = at
		}
	}
	w.confirm(s, end)
}

// confirm moves the slot on, at most to before the first transaction that is not whole
// in the log.
func (w *routedWorld) confirm(s *routedSession, end int) {
	most := w.commits + 1
	if end < len(w.wal) {
		most = w.wal[end].at.LSN
	}
	for at := range s.sent {
		if _, ok := w.log.rows[at]; !ok && at.LSN < most {
			most = at.LSN
		}
	}
	if most > w.confirmed {
		w.confirmed += cdc.LSN(rapid.Uint64Range(0, uint64(most-w.confirmed)).Draw(w.t, "confirmed"))
	}
}

// described is a table as the stream described it last.
type described struct {
	rel   *pgoutput.Relation
	key   []string
	until cdc.Position
}

type routedSession struct {
	world     *routedWorld
	router    *router
	described map[uint32]*described
	order     []cdc.Stream
	passed    map[cdc.Stream][]cdc.Position
	sent      map[cdc.Position]sentRow
}

// row does what decoder and stream do with a row, and holds it against the log.
func (s *routedSession) row(row routedRow) {
	w := s.world
	d := s.described[row.oid]
	anew := d == nil || len(d.rel.Columns) != len(row.columns) || rapid.IntRange(0, 4).Draw(w.t, "described again") == 0
	if anew {
		d = &described{rel: &pgoutput.Relation{OID: row.oid, Identity: pgoutput.IdentityFull}}
		for _, c := range row.columns {
			d.rel.Columns = append(d.rel.Columns, pgoutput.Column{Name: c})
		}
		s.described[row.oid] = d
	}
	if anew || d.until.Before(row.at) {
		var err error
		d.key, d.until, err = s.router.key(w.t.Context(), d.rel, row.at, func() ([]string, error) { return []string{w.tables[row.oid].key}, nil })
		if err != nil {
			w.t.Fatal(err)
		}
	}
	r := s.router.find(d.rel, row.at)
	old, held := w.log.rows[row.at]
	switch {
	case r == nil || len(d.key) == 0:
		if held {
			w.t.Fatalf("row %v is in the log as %v, and was left out the second time (captured %v, key %v)", row.at, old, r != nil, d.key)
		}
		if r != nil && !w.unmapped[row.at] {
			w.t.Fatalf("row %v of a table that was captured ever since has no key; routings %+v", row.at, s.router.list)
		}
		w.keyless[row.at] = w.keyless[row.at] || r != nil
		return
	case w.keyless[row.at]:
		return
	}
	lane, err := r.lane(row.number, row.entry())
	if err != nil {
		w.t.Fatal(err)
	}
	now := sentRow{table: r.name, key: fmt.Sprintf(`{"%s":%d}`, d.key[0], row.id)}
	now.stream = cdc.Stream{Lane: lane, Partition: cdc.PartitionOf(now.table, []byte(now.key), routedPartitions)}
	switch {
	case held && now != old:
		w.t.Fatalf("row %v is in the log as %v, and was sent again as %v; routings %+v", row.at, old, now, s.router.list)
	case !held && !w.log.tails[now.stream].Before(row.at):
		w.t.Fatalf("row %v is not in the log, and is sent as %v into a stream that is at %v already: it would be lost", row.at, now, w.log.tails[now.stream])
	}
	if !held {
		if s.passed[now.stream] == nil {
			s.order = append(s.order, now.stream)
		}
		s.passed[now.stream] = append(s.passed[now.stream], row.at)
		s.sent[row.at] = now
	}
}

// I2 and the routing epoch: whatever becomes of mappings, lanes, lane rules, thresholds,
// names and keys between two sendings of a row, it finds the stream, the name and the key of the
// first time; and no row that is missing is taken for one that is there.
func TestRowsFindTheirStreamAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &routedWorld{t: t, keyless: map[cdc.Position]bool{}, unmapped: map[cdc.Position]bool{}, tables: map[uint32]*routedTable{},
			log: &routedLog{rows: map[cdc.Position]sentRow{}, tails: map[cdc.Stream]cdc.Position{}}}
		for _, oid := range []uint32{1, 2, 3} {
			w.tables[oid] = &routedTable{name: fmt.Sprintf("t%d", oid), key: "a", columns: []string{"a", "b"}}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				w.alter()
			case 1:
				w.write()
			default:
				w.write()
				w.session()
			}
		}
	})
}
