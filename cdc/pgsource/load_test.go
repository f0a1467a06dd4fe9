package pgsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// A table that comes into the publication while transactions run on it loses nothing:
// what such a one writes after the ALTER is in neither stream nor chunk, so the first
// chunk waits for it, and says for whom. (Tried: design, section 4.)
func TestNewTableWhileTransactionsRun(t *testing.T) {
	t.Parallel()
	t.Run("of a bridge at work", func(t *testing.T) {
		t.Parallel()
		newTable(t, func(b *bench) {
			b.loaded(b.start())
			b.stop()
			b.free()
		})
	})
	t.Run("of one whose first start was ended early", func(t *testing.T) {
		t.Parallel()
		newTable(t, func(b *bench) {
			s, err := New(b.options)
			if err == nil {
				err = NewCapture(s, b.log).Prepare(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	})
}

func newTable(t *testing.T, before func(*bench)) {
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; CREATE TABLE other (id int); CREATE TABLE leads (id int PRIMARY KEY, v text); INSERT INTO leads SELECT g, 'before' FROM generate_series(1, 10) g`, "deals")
	b.options.Mappings = []Start{{Name: "crm/deals", Table: public("deals")}}
	before(b)
	open, err := pgx.Connect(t.Context(), b.options.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(open)
	tx, err := open.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO other VALUES (1)"); err != nil { // it has no lock on the table yet
		t.Fatal(err)
	}
	b.options.Tables[public("leads")] = Lanes{Lane: cdc.LaneNormal}
	b.options.Mappings = append(b.options.Mappings, Start{Name: "crm/leads", Table: public("leads")})
	c := b.start()
	pid := fmt.Sprint(open.PgConn().PID())
	until(t, "the backfill to wait for the transaction", func() bool {
		return slices.ContainsFunc(c.Backfills(), func(s cdc.BackfillStatus) bool { return strings.Contains(s.Progress.Note, "pid "+pid) })
	})
	for _, sql := range []string{"INSERT INTO leads VALUES (12, 'after')", "UPDATE leads SET v = 'after' WHERE id = 1", "DELETE FROM leads WHERE id = 2", "UPDATE leads SET v = 'after' WHERE id = 3"} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	b.exec("UPDATE leads SET v = 'other' WHERE id = 5")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.same(b.loaded(c), "leads", "id")
}

// The first start of a mapping reads its table, once: after a stop it goes on at the
// chunk, and is never begun again. A mapping that joins is read for alone.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; INSERT INTO deals SELECT g, repeat('x', 100) FROM generate_series(1, 4000) g`, "deals")
	b.options.Mappings = []Start{{Name: "crm/deals", Table: public("deals")}, {Name: "crm/later", Table: public("deals"), Now: true}}
	started := func() []cdc.BackfillStatus {
		list, err := b.log.Backfills(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	c := b.start()
	for rounds := 0; ; rounds++ { // stopped again and again, each time when something is durable
		first := started()
		for len(first) == 0 {
			first = started()
		}
		was := first[0].Progress.Cursor
		until(t, "the backfill to come on", func() bool {
			p := started()[0].Progress
			return p.State == cdc.BackfillDone || !slices.Equal(p.Cursor, was)
		})
		if started()[0].Progress.State == cdc.BackfillDone {
			break
		}
		b.stop()
		b.free()
		c = b.start()
	}
	all := b.wait(c)
	b.same(all, "deals", "id")
	if len(all) > 4000+4*mostRows || len(started()) != 1 {
		t.Errorf("%d entries of %d backfills", len(all), len(started()))
	}
	if f := started()[0].For; !slices.Equal(f, []string{"crm/deals"}) || !slices.Equal(all[0].For, f) {
		t.Errorf("it is for %v, its entries for %v", f, all[0].For)
	}
	b.stop()
	b.free()
	b.options.Mappings = append(b.options.Mappings, Start{Name: "commission/deals", Table: public("deals")})
	c = b.start()
	b.loaded(c)
	if list := started(); len(list) != 2 || !slices.Equal(list[1].For, []string{"commission/deals"}) {
		t.Errorf("a mapping that joined: %+v", list)
	}
}

// A crash between a chunk and the note of it reads the chunk once more, and no other:
// pitfall 15.
func TestBackfillIsResumedAtTheChunk(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; INSERT INTO deals SELECT g, 'x' FROM generate_series(1, 3000) g`, "deals")
	b.start()
	id := b.backfill(cdc.Backfill{Table: public("deals"), Rate: 1000})
	until(t, "a chunk to be durable", func() bool { return len(b.progress(id).Progress.Cursor) > 0 })
	b.stop()
	b.free()
	cursor := b.progress(id).Progress.Cursor
	before := len(b.entries())
	c := b.start()
	b.waitBackfill(id, cdc.BackfillDone)
	all := b.wait(c)
	b.same(all, "deals", "id")
	for _, e := range all[before:] {
		var n, from int
		if _, err := fmt.Sscanf(e.Key, `{"id":%d}`, &n); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(cursor[0], &from); err != nil || n <= from {
			t.Fatalf("%s was read again, the cursor was %v (%v)", e.Key, cursor, err)
		}
	}
}

// Parts of a table: by condition, by key, and for some only; a key without a row is a
// delete.
func TestBackfillParts(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE k (b int, a text, v text, PRIMARY KEY (a, b)); INSERT INTO k SELECT g, 'a', 'v' || g FROM generate_series(1, 2000) g`, "k")
	c := b.start()
	id := b.backfill(cdc.Backfill{Table: public("k"), Where: "b % 500 = 0 -- a comment", For: []string{"crm"}})
	if p := b.waitBackfill(id, cdc.BackfillDone); p.Rows != 4 {
		t.Errorf("%d rows by condition", p.Rows)
	}
	id = b.backfill(cdc.Backfill{Table: public("k"), Keys: []string{`{"a": "a", "b": 7}`, `{"b": "8", "a": "a"}`, `{"a": "none", "b": 9}`}})
	b.waitBackfill(id, cdc.BackfillDone)
	all := b.wait(c)
	want := []string{`r {"b":500,"a":"a"} {"b":500,"a":"a","v":"v500"}`, `r {"b":1000,"a":"a"} {"b":1000,"a":"a","v":"v1000"}`,
		`r {"b":1500,"a":"a"} {"b":1500,"a":"a","v":"v1500"}`, `r {"b":2000,"a":"a"} {"b":2000,"a":"a","v":"v2000"}`}
	wantLines(t, all[:4], want...)
	if !slices.Equal(all[0].For, []string{"crm"}) || all[0].XID == 0 || all[0].Time.IsZero() {
		t.Errorf("entry %+v", all[0])
	}
	got := lines(all[4:])
	slices.Sort(got)
	if want := []string{`d {"b":9,"a":"none"} `, `r {"b":7,"a":"a"} {"b":7,"a":"a","v":"v7"}`, `r {"b":8,"a":"a"} {"b":8,"a":"a","v":"v8"}`}; !slices.Equal(got, want) {
		t.Errorf("by key: %v", got)
	}
}

// What cannot work fails at once, with what to do; what can be mended goes on.
func TestBackfillFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; INSERT INTO deals SELECT g, 'secret' FROM generate_series(1, 10) g`, "deals")
	said := b.listen()
	b.start()
	for _, tc := range []struct {
		spec cdc.Backfill
		want string
	}{
		{cdc.Backfill{Table: public("deals"), Where: "no_such_column > 1"}, "no_such_column"},
		{cdc.Backfill{Table: public("deals"), Where: "name::int > 1"}, "SQLSTATE 22P02"},
		{cdc.Backfill{Table: public("other")}, "not captured"},
	} {
		id := b.backfill(tc.spec)
		if p := b.waitBackfill(id, cdc.BackfillFailed); !strings.Contains(p.Note, tc.want) {
			t.Errorf("%+v: note %q lacks %q", tc.spec, p.Note, tc.want)
		}
	}
	if strings.Contains(said.String(), "secret") {
		t.Errorf("a value is in the log:\n%s", said)
	}
	conn := b.conn
	if err := CheckWhere(context.Background(), conn, public("deals"), "no_such_column > 1"); err == nil || !strings.Contains(err.Error(), "no_such_column") {
		t.Errorf("a condition that is wrong: %v", err)
	}
	if err := CheckWhere(context.Background(), conn, public("deals"), "id > 1 -- so"); err != nil {
		t.Errorf("a condition that is right: %v", err)
	}
	info, err := Tables(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(info, func(i TableInfo) bool { return i.Table == public("deals") })
	if err := CheckKeys(context.Background(), conn, info[at], []string{`{"id":1}`, `{"id":"2"}`}); err != nil {
		t.Errorf("keys that are right: %v", err)
	}
	if err := CheckKeys(context.Background(), conn, info[at], []string{`{"id":1}`, `{"id":"x"}`}); err == nil || !strings.Contains(err.Error(), `{"id":"x"} is no key of public.deals`) {
		t.Errorf("a key that is wrong: %v", err)
	}
}

// A backfill rests and ends when somebody wishes, and goes on where it was.
func TestBackfillWishes(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; INSERT INTO deals SELECT g, 'x' FROM generate_series(1, 3000) g`, "deals")
	c := b.start()
	wish := func(id string, w cdc.BackfillWish) {
		t.Helper()
		if err := b.log.WishBackfill(t.Context(), id, w); err != nil {
			t.Fatal(err)
		}
	}
	id := b.backfill(cdc.Backfill{Table: public("deals"), Rate: 300})
	until(t, "a chunk to be durable", func() bool { return len(b.progress(id).Progress.Cursor) > 0 })
	wish(id, cdc.WishPause)
	at := b.waitBackfill(id, cdc.BackfillPaused)
	wish(id, cdc.WishRun)
	until(t, "it to go on", func() bool { return b.progress(id).Progress.Rows > at.Rows })
	wish(id, cdc.WishCancel)
	p := b.waitBackfill(id, cdc.BackfillCancelled)
	if n := len(b.wait(c)); int64(n) != p.Rows || n >= 3000 {
		t.Errorf("%d entries, %d rows", n, p.Rows)
	}
}
