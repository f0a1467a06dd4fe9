package pgsource

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// forgetfulLog never says that anything is durable, so that the server sends all of it
// again; and it loses what its streams are passed after so many entries of each, as a
// process that is killed does.
type forgetfulLog struct {
	cdc.Log
	streams []cdc.Stream
	takes   func(cdc.Stream) int // how many entries of a stream; negative for all
	lost    atomic.Bool
}

func (l *forgetfulLog) NewAppender(ctx context.Context) (cdc.Appender, error) {
	a, err := l.Log.NewAppender(ctx)
	return &forgetfulAppender{Appender: a, log: l, left: map[cdc.Stream]int{}}, err
}

type forgetfulAppender struct {
	cdc.Appender
	log  *forgetfulLog
	left map[cdc.Stream]int // by stream; not there before its first entry
}

func (a *forgetfulAppender) Append(s cdc.Stream, e *cdc.Entry) {
	left, ok := a.left[s]
	if !ok {
		left = a.log.takes(s)
	}
	if left == 0 {
		a.log.lost.Store(true)
	} else {
		left--
		a.Appender.Append(s, e)
	}
	a.left[s] = left
}

func (a *forgetfulAppender) AppendAll(e *cdc.Entry) {
	for _, s := range a.log.streams {
		a.Append(s, e)
	}
}

// Mark vouches for everything before it, and so for nothing that was lost.
func (a *forgetfulAppender) Mark(end cdc.LSN, at time.Time) {
	if !a.log.lost.Load() {
		a.Appender.Mark(end, at)
	}
}

func (a *forgetfulAppender) Durable() cdc.LSN { return 0 }

func (b *bench) forgetful(takes func(cdc.Stream) int) *forgetfulLog {
	return &forgetfulLog{Log: b.log, streams: b.log.Streams(), takes: takes}
}

func all(cdc.Stream) int { return -1 }

// placed tells each entry with its stream.
func (b *bench) placed() map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for _, s := range b.log.Streams() {
		for _, ch := range b.read(s) {
			id := fmt.Sprintf("%v %v %s", ch.Position, ch.Op, ch.Key)
			if !ch.Op.Keyed() {
				id += s.String() // it stands in all of them
			}
			if other, ok := out[id]; ok {
				b.t.Errorf("entry %s is in stream %v, and %s", id, s, other)
			}
			out[id] = fmt.Sprintf("stream %v table %s after %s", s, ch.Table, ch.After)
		}
	}
	return out
}

// The routing epoch: a transaction that is sent again under another configuration finds
// the streams and Positions of the first time; what comes after it goes by the new one.
func TestSentAgainUnderAnotherConfiguration(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; CREATE TABLE leads (id int PRIMARY KEY); CREATE TABLE notes (id int PRIMARY KEY)`, "deals", "leads")
	set := func(bulkAfter int, tables map[string]string) {
		b.options.BulkAfter, b.options.Tables = bulkAfter, map[cdc.Table]Lanes{}
		for name, lane := range tables {
			b.options.Tables[cdc.Table{Schema: "public", Name: name}] = Lanes{Lane: lane}
		}
	}
	set(5, map[string]string{"deals": cdc.LaneNormal, "leads": cdc.LaneUrgent})
	c := b.startInto(b.forgetful(all))
	b.exec(`INSERT INTO deals SELECT generate_series(1, 12); INSERT INTO leads VALUES (1), (2); UPDATE deals SET id = id + 100 WHERE id < 3`)
	b.exec(`INSERT INTO deals VALUES (50); INSERT INTO leads VALUES (3); TRUNCATE leads`)
	b.wait(c)
	b.stop()
	first, total := b.placed(), 12+2+2*2+1+1+6
	if len(first) != total {
		t.Fatalf("%d entries, want %d", len(first), total)
	}
	for round, tables := range []map[string]string{
		{"deals": cdc.LaneUrgent, "leads": cdc.LaneBulk, "notes": cdc.LaneNormal}, // another one is mapped
		{"deals": cdc.LaneBulk}, // and less
		{"deals": cdc.LaneNormal, "leads": cdc.LaneUrgent},
	} {
		set(2+10*round, tables)
		held := b.log.Stats().Held
		c = b.startInto(b.forgetful(all))
		b.exec(`INSERT INTO deals SELECT generate_series($1::int, $1::int + 9)`, 1000*(round+1))
		b.wait(c)
		b.stop()
		total += 10
		if again := b.log.Stats().Held - held; again < uint64(len(first)) {
			t.Errorf("round %d: only %d entries came again; the test shows nothing", round, again)
		}
		now := b.placed()
		for id, where := range first {
			if now[id] != where {
				t.Errorf("round %d: entry %s was in %s, is in %q", round, id, where, now[id])
			}
		}
		if first = now; len(first) != total {
			t.Errorf("round %d: %d entries, want %d", round, len(first), total)
		}
		lanes := map[string]int{}
		for _, s := range b.log.Streams() {
			for _, ch := range b.read(s) {
				if ch.Position.LSN == b.last().LSN {
					lanes[s.Lane]++
				}
			}
		}
		lane, direct := tables["deals"], min(10, b.options.BulkAfter)
		want := map[string]int{lane: direct}
		want[cdc.LaneBulk] += 10 - direct
		maps.DeleteFunc(want, func(_ string, n int) bool { return n == 0 })
		if !maps.Equal(lanes, want) {
			t.Errorf("round %d: new rows are in %v, want %v", round, lanes, want)
		}
	}
}

// last is the highest Position of the log.
func (b *bench) last() cdc.Position {
	b.t.Helper()
	tail, err := b.log.Tail(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return tail
}

// Ordinals count the rows that the server sends, also those of a table that is not
// mapped any more: they do not depend on the mappings.
func TestOrdinalsCountRowsThatAreNotMapped(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; CREATE TABLE leads (id int PRIMARY KEY)`, "deals", "leads")
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (1)`)
	b.wait(c)
	b.stop()
	b.exec(`INSERT INTO leads VALUES (1); INSERT INTO deals VALUES (2); INSERT INTO leads VALUES (2), (3); UPDATE deals SET id = 3 WHERE id = 2; TRUNCATE leads; DELETE FROM deals WHERE id = 3`)
	delete(b.options.Tables, cdc.Table{Schema: "public", Name: "leads"})
	c = b.start()
	wantStory(t, b.wait(c), `1/0 c deals {"id":1} > {"id":1,"name":null}`,
		`2/2 c deals {"id":2} > {"id":2,"name":null}`,
		`2/8 d deals {"id":2} before {"id":2}`, `2/9 c deals {"id":3} > {"id":3,"name":null}`,
		`2/12 d deals {"id":3} before {"id":3}`)
	if n := c.Stats().Filtered; n != 3 {
		t.Errorf("%d rows were filtered, want 3", n)
	}
}

// collector decodes what the server tells a witness.
type collector struct{ ids map[string]bool }

func (c *collector) Begin(*pgoutput.Tx) error { return nil }
func (c *collector) Change(rel *pgoutput.Relation, _ *pgoutput.Tx, e *cdc.Entry) error {
	c.ids[fmt.Sprintf("%s %v %v", rel.Table.Name, e.Position, e.Op)] = true
	return nil
}
func (c *collector) Keyless(rel *pgoutput.Relation, _ *pgoutput.Tx) error {
	return fmt.Errorf("row of %s without a key", rel.Name)
}
func (c *collector) Truncate(rel *pgoutput.Relation, tx *pgoutput.Tx, e *cdc.Entry) error {
	return c.Change(rel, tx, e)
}
func (c *collector) Commit(*pgoutput.Tx, cdc.LSN) error         { return nil }
func (c *collector) Message(*pgoutput.Tx, string, []byte) error { return nil }

// whole is the catalog of the witness: the key under FULL is that of now.
type whole struct{ *catalog }

func (w whole) PrimaryKey(rel *pgoutput.Relation, _ cdc.Position) ([]string, cdc.Position, error) {
	names, err := w.primaryKey(rel.OID)
	return names, endOfAll, err
}

// collect gives the table, Position and op of all that the server sends of the bench's
// publication since a slot was made.
func (b *bench) collect(slot string) map[string]bool {
	b.t.Helper()
	s, err := New(b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	rows, err := b.conn.Query(context.Background(), `SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL,
'proto_version', '1', 'publication_names', $2)`, slot, b.options.Publication)
	if err != nil {
		b.t.Fatal(err)
	}
	c := &collector{ids: map[string]bool{}}
	d := pgoutput.NewDecoder(pgoutput.Options{Catalog: whole{&catalog{source: s}}})
	var data []byte
	if _, err := pgx.ForEachRow(rows, []any{&data}, func() error { return d.Decode(data, c) }); err != nil {
		b.t.Fatal(err)
	}
	return c.ids
}

// Position and ordinal do not move, nothing is missing and nothing is there twice, for
// any sequence of configurations and crashes that leave each stream at another place.
// The witness is the server's own answer, read in one go.
func TestCrashesBetweenConfigurations(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			crashBetweenConfigurations(t, rand.New(rand.NewPCG(seed, 3)))
		})
	}
}

func crashBetweenConfigurations(t *testing.T, rng *rand.Rand) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, name text); CREATE TABLE leads (id int PRIMARY KEY, name text);
CREATE TABLE notes (id int PRIMARY KEY, name text); CREATE TABLE wide (id int PRIMARY KEY, code int NOT NULL UNIQUE, name text); ALTER TABLE wide REPLICA IDENTITY FULL`,
		"deals", "leads", "wide") // notes come and go
	b.options.CompileRules = below
	c := b.startInto(b.forgetful(all))
	witness := b.options.Slot + "_w"
	b.exec(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, witness)
	other, err := pgx.Connect(t.Context(), b.options.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(other)
	const rounds = 5
	for round := range rounds {
		b.stop()
		b.free()
		if _, err := other.Exec(t.Context(), `BEGIN; INSERT INTO deals VALUES ($1); INSERT INTO notes VALUES ($1)`, pgx.QueryExecModeSimpleProtocol, 100000+round); err != nil {
			t.Fatal(err) // open while the publication is changed
		}
		b.options.BulkAfter = rng.IntN(20)
		for table := range b.options.Tables {
			b.options.Tables[table] = Lanes{Lane: cdc.Lanes()[rng.IntN(3)], Rules: somewhere(rng, 1000*rounds)}
		}
		notes := cdc.Table{Schema: "public", Name: "notes"}
		if delete(b.options.Tables, notes); rng.IntN(2) == 0 {
			b.options.Tables[notes] = Lanes{Lane: cdc.LaneNormal}
		}
		log := b.forgetful(func(cdc.Stream) int { return rng.IntN(60 * (round + 1)) })
		if round == rounds-1 {
			log.takes = all
		}
		c = b.startInto(log)
		from := 1000 * round
		b.exec(`INSERT INTO deals SELECT $1::int + g FROM generate_series(1, 30) g`, from)
		b.exec(fmt.Sprintf(`BEGIN; INSERT INTO wide SELECT %[1]d + g, %[1]d + 2 * g FROM generate_series(1, 15) g; INSERT INTO notes VALUES (%[1]d); UPDATE deals SET id = id + 500 WHERE id BETWEEN %[1]d AND %[1]d + 3;
INSERT INTO leads SELECT %[1]d + g FROM generate_series(1, 20) g; UPDATE wide SET name = 'a' WHERE id > %[1]d + 10; COMMIT`, from))
		if round == 2 {
			b.exec(`ALTER TABLE wide DROP CONSTRAINT wide_pkey, ADD PRIMARY KEY (code); TRUNCATE leads; ALTER TABLE leads RENAME TO prospects; ALTER TABLE prospects RENAME TO leads`)
		}
		if _, err := other.Exec(t.Context(), `INSERT INTO notes VALUES ($1); INSERT INTO leads VALUES ($1); COMMIT`, pgx.QueryExecModeSimpleProtocol, 200000+round); err != nil {
			t.Fatal(err)
		}
		b.exec(`UPDATE leads SET name = $1`, fmt.Sprint(round))
		b.exec(`DELETE FROM wide WHERE id = $1::int + 1`, from)
		end := b.end()
		until(t, "the capture to lose something, or to have all", func() bool { return log.lost.Load() || c.Stats().Appended >= end })
		if round < rounds-1 && !log.lost.Load() {
			t.Logf("round %d lost nothing", round)
		}
	}
	if l := c.Stats(); len(l.Losses) > 0 || l.Keyless > 0 {
		t.Errorf("losses %v, %d rows without a key", l.Losses, l.Keyless)
	}
	placed := b.placed()
	have := map[string]bool{}
	for _, ch := range b.entries() {
		have[fmt.Sprintf("%s %v %v", ch.Table.Name, ch.Position, ch.Op)] = true
	}
	want := b.collect(witness)
	for id := range want {
		if !have[id] && id[:5] != "notes" { // rows of notes that came while it was not mapped are not wanted
			t.Errorf("%s is missing", id)
		}
	}
	for id := range have {
		if !want[id] {
			t.Errorf("%s is in the log, but the server does not send it", id)
		}
	}
	if len(placed) < 300 {
		t.Errorf("only %d entries: %v", len(placed), slices.Sorted(maps.Keys(placed)))
	}
}
