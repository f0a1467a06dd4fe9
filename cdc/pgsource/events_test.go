package pgsource

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// long is a value that PostgreSQL keeps out of line where the column's storage is
// EXTERNAL; the stories have X for it. longKey is the same but fits into an index; the
// stories have K for it.
var long, longKey = strings.Repeat("x", 4000), strings.Repeat("k", 2100)

// story tells entries one a line: the number of the transaction and the ordinal, op,
// table, key, what came after and before, and what is absent. An entry without a key
// stands in every stream and is told once, with how often it is there.
func story(changes []cdc.Change) (out []string) {
	tx, last := 0, cdc.LSN(0)
	for i := 0; i < len(changes); i++ {
		c := changes[i]
		if tx == 0 || c.Position.LSN != last {
			tx, last = tx+1, c.Position.LSN
		}
		line := fmt.Sprintf("%d/%d %v %s", tx, c.Position.Ordinal, c.Op, c.Table.Name)
		n := 1
		for !c.Op.Keyed() && i+1 < len(changes) && changes[i+1].Position == c.Position {
			i, n = i+1, n+1
		}
		if !c.Op.Keyed() {
			line += fmt.Sprintf(" x%d", n)
		}
		for _, part := range []struct{ word, text string }{
			{"", c.Key}, {"> ", c.After}, {"before ", c.Before}, {"absent ", strings.Join(c.Absent, ",")}, {"unread ", strings.Join(c.Unread, ",")},
		} {
			if part.text != "" {
				line += " " + part.word + part.text
			}
		}
		out = append(out, strings.NewReplacer(long, "X", longKey, "K").Replace(line))
	}
	return out
}

func wantStory(t *testing.T, got []cdc.Change, want ...string) {
	t.Helper()
	if g := story(got); !slices.Equal(g, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(g, "\n  "), strings.Join(want, "\n  "))
	}
}

// eventTest is a history of tables and the entries that come of it.
type eventTest struct {
	name   string
	schema string
	tables []string // deals where it is empty
	steps  []string // a step of several statements is one transaction
	want   []string
	on14   []string // what PostgreSQL 14 makes of it, where that is otherwise
}

func (e eventTest) run(t *testing.T) {
	t.Parallel()
	if e.tables == nil {
		e.tables = []string{"deals"}
	}
	b := newBench(t, servertest.SharedPostgres(t).URL, e.schema, e.tables...)
	c := b.start()
	until(t, "the capture to stream", func() bool { return c.Stats().State == Streaming })
	for _, step := range e.steps {
		b.exec(strings.ReplaceAll(step, "LONG", "'"+long+"'"))
	}
	wantStory(t, b.wait(c), e.want...)
}

var rowEvents = []eventTest{
	{name: "insert, update, delete", schema: deals,
		steps: []string{`INSERT INTO deals VALUES (1, 'a')`, `UPDATE deals SET name = 'b'`, `UPDATE deals SET name = NULL`, `DELETE FROM deals`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":"a"}`,
			`2/0 u deals {"id":1} > {"id":1,"name":"b"}`,
			`3/0 u deals {"id":1} > {"id":1,"name":null}`,
			`4/0 d deals {"id":1} before {"id":1}`}},
	{name: "pitfall 4: rows of one transaction share an LSN", schema: deals,
		steps: []string{`INSERT INTO deals VALUES (1), (2); UPDATE deals SET name = 'b' WHERE id = 2; DELETE FROM deals WHERE id = 1`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":null}`,
			`1/2 c deals {"id":2} > {"id":2,"name":null}`,
			`1/4 u deals {"id":2} > {"id":2,"name":"b"}`,
			`1/6 d deals {"id":1} before {"id":1}`}},
	{name: "pitfall 20: a changed key is a delete and a create", schema: deals,
		steps: []string{`INSERT INTO deals VALUES (1, 'a')`, `UPDATE deals SET id = 7; UPDATE deals SET name = 'b'`,
			`INSERT INTO deals VALUES (8, 'c') ON CONFLICT (id) DO UPDATE SET id = 9, name = 'never'; INSERT INTO deals VALUES (8) ON CONFLICT (id) DO UPDATE SET id = 9`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":"a"}`,
			`2/0 d deals {"id":1} before {"id":1}`, `2/1 c deals {"id":7} > {"id":7,"name":"a"}`,
			`2/2 u deals {"id":7} > {"id":7,"name":"b"}`,
			`3/0 c deals {"id":8} > {"id":8,"name":"c"}`,
			`3/2 d deals {"id":8} before {"id":8}`, `3/3 c deals {"id":9} > {"id":9,"name":"c"}`}},
	{name: "two rows swap their keys by a temporary one", schema: deals,
		steps: []string{`INSERT INTO deals VALUES (1, 'a'), (2, 'b')`,
			`UPDATE deals SET id = 0 WHERE id = 1; UPDATE deals SET id = 1 WHERE id = 2; UPDATE deals SET id = 2 WHERE id = 0`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":"a"}`, `1/2 c deals {"id":2} > {"id":2,"name":"b"}`,
			`2/0 d deals {"id":1} before {"id":1}`, `2/1 c deals {"id":0} > {"id":0,"name":"a"}`,
			`2/2 d deals {"id":2} before {"id":2}`, `2/3 c deals {"id":1} > {"id":1,"name":"b"}`,
			`2/4 d deals {"id":0} before {"id":0}`, `2/5 c deals {"id":2} > {"id":2,"name":"a"}`}},
	{name: "a key of several columns, in the table's order", schema: `CREATE TABLE deals (name text, b int, a int, PRIMARY KEY (a, b))`,
		steps: []string{`INSERT INTO deals VALUES ('n', 2, 1)`, `UPDATE deals SET b = 3`, `DELETE FROM deals`},
		want: []string{
			`1/0 c deals {"b":2,"a":1} > {"name":"n","b":2,"a":1}`,
			`2/0 d deals {"b":2,"a":1} before {"b":2,"a":1}`, `2/1 c deals {"b":3,"a":1} > {"name":"n","b":3,"a":1}`,
			`3/0 d deals {"b":3,"a":1} before {"b":3,"a":1}`}},
	{name: "pitfall 20: truncate stands in every stream", schema: deals + `; CREATE TABLE leads (id int PRIMARY KEY REFERENCES deals)`, tables: []string{"deals", "leads"},
		steps: []string{`INSERT INTO deals VALUES (1); TRUNCATE deals CASCADE; INSERT INTO deals VALUES (1)`, `TRUNCATE leads`, `TRUNCATE deals, leads RESTART IDENTITY`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":null}`, `1/2 t deals x6`, `1/4 t leads x6`, `1/6 c deals {"id":1} > {"id":1,"name":null}`,
			`2/0 t leads x6`,
			`3/0 t deals x6`, `3/2 t leads x6`}},
	{name: "empty and aborted transactions leave nothing", schema: deals + `; CREATE TABLE other (id int)`,
		steps: []string{`INSERT INTO deals VALUES (1)`, `BEGIN; INSERT INTO other VALUES (1); COMMIT`, `BEGIN; CREATE TABLE third (id int); COMMIT`,
			`BEGIN; INSERT INTO deals VALUES (2); ROLLBACK`, `BEGIN; SELECT 1; COMMIT`, `SELECT pg_logical_emit_message(true, 'somebody', 'else')`,
			`INSERT INTO other VALUES (2); INSERT INTO deals VALUES (3); INSERT INTO other VALUES (3); INSERT INTO deals VALUES (4)`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":null}`,
			// The server does not send rows of tables that were never in the publication.
			`2/0 c deals {"id":3} > {"id":3,"name":null}`, `2/2 c deals {"id":4} > {"id":4,"name":null}`}},
	{name: "pitfall 19: what a subtransaction rolled back is not there", schema: deals,
		steps: []string{`BEGIN; INSERT INTO deals VALUES (1); SAVEPOINT a; INSERT INTO deals VALUES (2); SAVEPOINT b; UPDATE deals SET name = 'b';
ROLLBACK TO b; UPDATE deals SET name = 'c' WHERE id = 2; ROLLBACK TO a; INSERT INTO deals VALUES (3); RELEASE a; COMMIT`,
			`DO $$ BEGIN INSERT INTO deals VALUES (4); BEGIN INSERT INTO deals VALUES (5), (4); EXCEPTION WHEN unique_violation THEN INSERT INTO deals VALUES (6); END; END $$`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":null}`, `1/2 c deals {"id":3} > {"id":3,"name":null}`,
			`2/0 c deals {"id":4} > {"id":4,"name":null}`, `2/2 c deals {"id":6} > {"id":6,"name":null}`}},
	{name: "rows that nothing changed and rows that a trigger changed", schema: deals + `;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON deals FOR EACH ROW EXECUTE FUNCTION stamp()`,
		steps: []string{`INSERT INTO deals VALUES (1, 'a'); UPDATE deals SET name = name; UPDATE deals SET id = id`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"name":"a!"}`, `1/2 u deals {"id":1} > {"id":1,"name":"a!"}`, `1/4 u deals {"id":1} > {"id":1,"name":"a!"}`}},
}

func TestRowEvents(t *testing.T) {
	t.Parallel()
	for _, e := range rowEvents {
		t.Run(e.name, e.run)
	}
}

// Pitfall 4: the rows of a COPY are written in pages, so that many have one LSN of
// their own in the WAL too. No two entries have one Position.
func TestPitfall4CopySharesAnLSN(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	c := b.start()
	const rows = 1500 // beyond BulkAfter
	if _, err := b.conn.CopyFrom(t.Context(), pgx.Identifier{"deals"}, []string{"id", "name"},
		pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{i, "n"}, nil })); err != nil {
		t.Fatal(err)
	}
	got := b.wait(c)
	if len(got) != rows {
		t.Fatalf("%d entries, want %d", len(got), rows)
	}
	for i, ch := range got {
		want := cdc.Position{LSN: got[0].Position.LSN, Ordinal: 2 * uint64(i)}
		if ch.Position != want || ch.Key != fmt.Sprintf(`{"id":%d}`, i) || ch.XID != got[0].XID {
			t.Fatalf("entry %d is %s at %v of transaction %d, want position %v of %d", i, ch.Key, ch.Position, ch.XID, want, got[0].XID)
		}
	}
}

// A transaction that is prepared is one when it is committed, at the commit's
// position; whoever writes in between comes before it.
func TestPreparedTransactions(t *testing.T) {
	t.Parallel()
	pg := servertest.Postgres(t, servers.PostgresOptions{Settings: map[string]string{"max_prepared_transactions": "5"}})
	b := newBench(t, pg.URL("postgres"), deals, "deals")
	c := b.start()
	b.exec(`BEGIN; INSERT INTO deals VALUES (1); SAVEPOINT a; INSERT INTO deals VALUES (2); ROLLBACK TO a; INSERT INTO deals VALUES (3); PREPARE TRANSACTION 'one'`)
	b.exec(`BEGIN; INSERT INTO deals VALUES (4); PREPARE TRANSACTION 'two'`)
	b.exec(`INSERT INTO deals VALUES (5)`)
	want := []string{`1/0 c deals {"id":5} > {"id":5,"name":null}`}
	wantStory(t, b.wait(c), want...)
	b.stop() // over a restart too
	c = b.start()
	b.exec(`ROLLBACK PREPARED 'two'`)
	b.exec(`COMMIT PREPARED 'one'`)
	b.exec(`UPDATE deals SET name = 'a' WHERE id = 1`)
	wantStory(t, b.wait(c), append(want, `2/0 c deals {"id":1} > {"id":1,"name":null}`, `2/2 c deals {"id":3} > {"id":3,"name":null}`,
		`3/0 u deals {"id":1} > {"id":1,"name":"a"}`)...)
}

// span is a transaction as the server's own functions tell it.
type span struct{ commit, end cdc.LSN }

// spans reads the transactions since a slot was made, through the publication of the
// bench: an independent witness of what the capture is sent.
func (b *bench) spans(slot string) (out []span) {
	b.t.Helper()
	rows, err := b.conn.Query(context.Background(), `SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL,
'proto_version', '1', 'publication_names', $2)`, slot, b.options.Publication)
	if err != nil {
		b.t.Fatal(err)
	}
	var data []byte
	if _, err := pgx.ForEachRow(rows, []any{&data}, func() error {
		if data[0] == 'C' { // flags, commit, end
			out = append(out, span{cdc.LSN(binary.BigEndian.Uint64(data[2:])), cdc.LSN(binary.BigEndian.Uint64(data[10:]))})
		}
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// Section 2 of the design: the LSN of a Position is that of the commit, so that
// Positions are in the order of commits whichever transaction began first, and the
// entries tell the transaction's id.
func TestPositionsAreThoseOfCommits(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	c := b.start()
	witness := b.options.Slot + "_w"
	b.exec(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, witness)
	early, err := pgx.Connect(t.Context(), b.options.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(early)
	var xid uint64
	if err := early.QueryRow(t.Context(), `WITH n AS (INSERT INTO deals VALUES (1)) SELECT pg_current_xact_id()::text::bigint`).Scan(&xid); err != nil {
		t.Fatal(err) // once alone, so that the next one is not the first
	}
	if _, err := early.Exec(t.Context(), `BEGIN; INSERT INTO deals VALUES (2)`); err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO deals VALUES (3)`)
	if _, err := early.Exec(t.Context(), `INSERT INTO deals VALUES (4); COMMIT`); err != nil {
		t.Fatal(err)
	}
	got := b.wait(c)
	wantStory(t, got, `1/0 c deals {"id":1} > {"id":1,"name":null}`, `2/0 c deals {"id":3} > {"id":3,"name":null}`,
		`3/0 c deals {"id":2} > {"id":2,"name":null}`, `3/2 c deals {"id":4} > {"id":4,"name":null}`)
	if t.Failed() {
		return
	}
	commits := map[cdc.LSN]bool{}
	for _, s := range b.spans(witness) {
		commits[s.commit] = true
	}
	for _, ch := range got {
		if !commits[ch.Position.LSN] {
			t.Errorf("%s stands at %v, which is no commit that the server tells of", ch.Key, ch.Position)
		}
	}
	// Others use the server too, so the ids need not follow on each other.
	if got[0].XID != xid || got[2].XID <= xid || got[1].XID <= got[2].XID || got[3].XID != got[2].XID {
		t.Errorf("transactions %d, %d, %d, %d; the first is %d, the second began last", got[0].XID, got[1].XID, got[2].XID, got[3].XID, xid)
	}
}
