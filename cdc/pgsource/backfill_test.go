package pgsource

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func public(name string) cdc.Table { return cdc.Table{Schema: "public", Name: name} }

// backfill asks for one.
func (b *bench) backfill(spec cdc.Backfill) string {
	b.t.Helper()
	spec.ID, spec.Created, spec.Reason = cdc.NewBackfillID(), time.Now(), cdc.ReasonRequest
	if err := b.log.AddBackfills(b.t.Context(), []cdc.Backfill{spec}); err != nil {
		b.t.Fatal(err)
	}
	return spec.ID
}

func (b *bench) progress(id string) cdc.BackfillStatus {
	b.t.Helper()
	list, err := b.log.Backfills(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s cdc.BackfillStatus) bool { return s.ID == id })
	if i < 0 {
		b.t.Fatalf("backfill %s is not remembered", id)
	}
	return list[i]
}

// waitBackfill waits for a backfill to come into a state.
func (b *bench) waitBackfill(id string, state cdc.BackfillState) cdc.BackfillProgress {
	b.t.Helper()
	var p cdc.BackfillProgress
	until(b.t, "backfill "+id+" to be "+string(state), func() bool {
		p = b.progress(id).Progress
		if p.State != state && p.State.Final() {
			b.t.Fatalf("backfill %s: %+v, want it to be %s", id, p, state)
		}
		return p.State == state
	})
	return p
}

// fold gives the rows of a table as the log alone tells them: the entry with the
// highest Position is the state of its key (I3), absent columns come from older ones.
func fold(t *testing.T, changes []cdc.Change, table string) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	at := map[string]cdc.Position{}
	var gone map[string]string // the row whose key was changed
	for _, c := range changes {
		if c.Table.Name != table {
			continue
		}
		switch c.Op {
		case cdc.OpTruncate:
			clear(out)
		case cdc.OpSweep: // what was not read or changed since the generation began is gone
			for k, pos := range at {
				if pos.Before(c.Since) {
					delete(out, k)
				}
			}
		case cdc.OpDelete:
			gone = out[c.Key]
			delete(out, c.Key)
		default:
			row := map[string]string{}
			if err := cdc.EachColumn(c.After, func(name string, v cdc.Value) bool {
				row[name] = canonical(v.JSON())
				return true
			}); err != nil {
				t.Fatal(err)
			}
			for _, name := range c.Absent {
				if old, ok := out[c.Key][name]; ok {
					row[name] = old
				} else if c.Position.Ordinal%2 == 1 && gone[name] != "" {
					row[name] = gone[name]
				}
			}
			out[c.Key], at[c.Key] = row, c.Position
		}
	}
	return out
}

// canonical gives a value in one form of several with the same meaning.
func canonical(text string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return text
	}
	b, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return string(b)
}

// table gives the rows of a table as PostgreSQL has them, by key.
func (b *bench) table(name string, key ...string) map[string]map[string]string {
	b.t.Helper()
	rows, err := b.conn.Query(b.t.Context(), "SELECT to_jsonb(t)::text FROM "+pgx.Identifier{name}.Sanitize()+" t")
	if err != nil {
		b.t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, text := range texts {
		row := map[string]string{}
		if err := cdc.EachColumn(text, func(name string, v cdc.Value) bool {
			row[name] = canonical(v.JSON())
			return true
		}); err != nil {
			b.t.Fatal(err)
		}
		var parts []string
		for _, k := range key {
			parts = append(parts, fmt.Sprintf("%q:%s", k, row[k]))
		}
		out["{"+strings.Join(parts, ",")+"}"] = row
	}
	return out
}

// same holds the log against a table.
func (b *bench) same(changes []cdc.Change, table string, key ...string) {
	b.t.Helper()
	got, want := fold(b.t, changes, table), b.table(table, key...)
	if reflect.DeepEqual(got, want) {
		return
	}
	shown := 0
	for k := range maps.Keys(union(got, want)) {
		if !maps.Equal(got[k], want[k]) && shown < 5 {
			shown++
			b.t.Errorf("%s %s: the log says %v, the table %v", table, k, got[k], want[k])
			for _, c := range changes {
				if c.Key == k {
					b.t.Logf("  %v %v %s absent %v", c.Position, c.Op, c.After, c.Absent)
				}
			}
		}
	}
}

func union(a, b map[string]map[string]string) map[string]bool {
	out := map[string]bool{}
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}

// Pitfall 17: rows are paged by their key, of whatever types, however sparse.
func TestBackfillKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, `
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE stage AS ENUM ('new', 'Won', 'lost');
CREATE DOMAIN code AS varchar(20);
CREATE TABLE k_int (id bigint PRIMARY KEY, v text);
CREATE TABLE k_text (name text PRIMARY KEY, v int);
CREATE TABLE k_uuid (id uuid PRIMARY KEY, v jsonb);
CREATE TABLE k_comp (b stage, a code, c numeric, v text, PRIMARY KEY (c, b, a));
CREATE TABLE k_ci (name citext, tenant int, v text, PRIMARY KEY (tenant, name));
CREATE TABLE k_index (x char(5) NOT NULL, y timestamptz NOT NULL, v text, g int GENERATED ALWAYS AS (1) STORED);
CREATE UNIQUE INDEX k_index_key ON k_index (y, x); ALTER TABLE k_index REPLICA IDENTITY USING INDEX k_index_key;
CREATE TABLE k_full (id int PRIMARY KEY, v text); ALTER TABLE k_full REPLICA IDENTITY FULL;
CREATE TABLE k_part (id int, day date, v text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE k_part1 PARTITION OF k_part FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE k_part2 PARTITION OF k_part FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
CREATE TABLE k_parent (id int PRIMARY KEY, v text); CREATE TABLE k_child () INHERITS (k_parent); ALTER TABLE k_child ADD PRIMARY KEY (id);
CREATE TABLE k_empty (id int PRIMARY KEY);
INSERT INTO k_int SELECT CASE WHEN g % 3 = 0 THEN g::bigint * 1000000007 * g ELSE -g END, 'v' || g FROM generate_series(1, 3000) g;
INSERT INTO k_text SELECT md5(g::text) || CASE g % 4 WHEN 0 THEN 'Ä' WHEN 1 THEN '"' WHEN 2 THEN E'\\' ELSE ',' END, g FROM generate_series(1, 3000) g;
INSERT INTO k_text VALUES ('', 0), (' ', 1), ('NULL', 2);
INSERT INTO k_uuid SELECT gen_random_uuid(), jsonb_build_object('n', g) FROM generate_series(1, 3000) g;
INSERT INTO k_comp SELECT s, 'c' || g % 40, (g % 7) / 2.0, repeat('x', g) FROM generate_series(1, 280) g, unnest(enum_range(NULL::stage)) s ON CONFLICT DO NOTHING;
INSERT INTO k_comp VALUES ('new', 'nan', 'NaN', 'n'), ('lost', 'nan', 'Infinity', 'i');
INSERT INTO k_ci SELECT CASE g % 2 WHEN 0 THEN 'Name' ELSE 'nAME' END || g, g % 3, 'v' FROM generate_series(1, 3000) g;
INSERT INTO k_index SELECT 'c' || g % 10, timestamptz '2026-01-01 00:00:00.000001+02' + g / 10 * interval '1 s', 'v' FROM generate_series(1, 2500) g;
INSERT INTO k_full SELECT g, 'v' FROM generate_series(1, 1500) g;
INSERT INTO k_part SELECT g, date '2026-01-01' + g % 360, 'v' FROM generate_series(1, 2500) g;
INSERT INTO k_parent VALUES (1, 'parent'); INSERT INTO k_child VALUES (2, 'child')`,
		"k_int", "k_text", "k_uuid", "k_comp", "k_ci", "k_index", "k_full", "k_part", "k_parent", "k_empty")
	b.options.BulkAfter = 10
	c := b.start()
	keys := map[string][]string{"k_int": {"id"}, "k_text": {"name"}, "k_uuid": {"id"}, "k_comp": {"b", "a", "c"}, "k_ci": {"name", "tenant"},
		"k_index": {"x", "y"}, "k_full": {"id"}, "k_part": {"id", "day"}, "k_empty": {"id"}}
	ids := map[string]string{}
	for table := range keys {
		ids[table] = b.backfill(cdc.Backfill{Table: public(table)})
	}
	parent := b.backfill(cdc.Backfill{Table: public("k_parent")})
	for table, id := range ids {
		if p := b.waitBackfill(id, cdc.BackfillDone); p.Rows != int64(len(b.table(table, keys[table]...))) {
			t.Errorf("%s: %d rows", table, p.Rows)
		}
	}
	if p := b.waitBackfill(parent, cdc.BackfillDone); p.Rows != 1 {
		t.Errorf("a table gave %d rows with those of one that inherits from it", p.Rows)
	}
	all := b.wait(c)
	for table, key := range keys {
		columns := b.table(table, key...)
		if table == "k_index" { // a generated column is not part of the event
			for _, row := range columns {
				delete(row, "g")
			}
			if got := fold(t, all, table); !reflect.DeepEqual(got, columns) {
				t.Errorf("k_index: %d rows of %d are right", len(got), len(columns))
			}
			continue
		}
		b.same(all, table, key...)
	}
	for _, e := range all {
		if e.Op != cdc.OpRead {
			t.Fatalf("an entry of kind %v", e.Op)
		}
	}
	if c.Stats().Backfilled == 0 {
		t.Error("rows are not counted")
	}
}

// Rows that change while their chunk is in flight end right: those of the chunk never
// stand above a later state.
func TestBackfillBesideChanges(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 1, 1, 4} { // once: what one left out is not made up for by the next
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			t.Parallel()
			backfillBesideChanges(t, times)
		})
	}
}

func backfillBesideChanges(t *testing.T, times int) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, n int, note text); ALTER TABLE deals ALTER note SET STORAGE EXTERNAL;
INSERT INTO deals SELECT g, 0, repeat('x', 2500) FROM generate_series(1, 3000) g`, "deals")
	c := b.start()
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			conn, err := pgx.Connect(t.Context(), b.options.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer closeConn(conn)
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for ctx.Err() == nil {
				id := r.IntN(3000) + 1
				sql := []string{"UPDATE deals SET n = n + 1 WHERE id = $1", "UPDATE deals SET n = n + 1, note = repeat('y', 2500) WHERE id = $1",
					"DELETE FROM deals WHERE id = $1", "INSERT INTO deals VALUES ($1, -1, repeat('z', 2500)) ON CONFLICT DO NOTHING",
					"UPDATE deals SET id = -id, n = n + 1 WHERE id = $1 AND NOT EXISTS (SELECT FROM deals WHERE id = -$1)"}[r.IntN(5)]
				if _, err := conn.Exec(t.Context(), sql, id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range times {
		b.waitBackfill(b.backfill(cdc.Backfill{Table: public("deals")}), cdc.BackfillDone)
	}
	stop()
	writers.Wait()
	b.same(b.wait(c), "deals", "id")
}

// A commit that is in the WAL and not yet visible: its row is read by the chunk as it
// was before, and must not overtake it. (Tried by hand: design, section 4.)
func TestBackfillWaitsForVisibility(t *testing.T) {
	t.Parallel()
	pg := servertest.Postgres(t, servers.PostgresOptions{Settings: map[string]string{
		"synchronous_standby_names": "nobody", "synchronous_commit": "local"}})
	for _, when := range []string{"streamed before the tracking", "streamed since"} {
		t.Run(when, func(t *testing.T) {
			b := newBench(t, pg.URL("postgres"), `DROP TABLE IF EXISTS deals, other; CREATE TABLE deals (id int PRIMARY KEY, name text); CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO deals SELECT g, 'old' FROM generate_series(1, 100) g; INSERT INTO other VALUES (1)`, "deals", "other")
			c := b.start()
			if when == "streamed since" { // another backfill has begun the tracking, and goes on
				b.exec(`INSERT INTO other SELECT generate_series(2, 1000)`)
				b.waitBackfill(b.backfill(cdc.Backfill{Table: public("other"), Rate: 1}), cdc.BackfillRunning)
			}
			writer, err := pgx.Connect(t.Context(), pg.URL("postgres")+"&synchronous_commit=on")
			if err != nil {
				t.Fatal(err)
			}
			written := make(chan error, 1)
			go func() {
				_, err := writer.Exec(context.Background(), `UPDATE deals SET name = 'new' WHERE id = 7`)
				written <- err
			}()
			until(t, "the change to be in the log", func() bool {
				return slices.ContainsFunc(b.entries(), func(c cdc.Change) bool { return strings.Contains(c.After, "new") })
			})
			id := b.backfill(cdc.Backfill{Table: public("deals")})
			until(t, "the backfill to wait", func() bool {
				p := b.progress(id).Progress
				return p.Again > 2 || strings.Contains(p.Note, "waits for transaction")
			})
			if got := fold(t, b.entries(), "deals")[`{"id":7}`]; got["name"] != `"new"` {
				t.Errorf("the log says %v while the commit is not visible", got)
			}
			b.exec(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			closeConn(writer)
			b.waitBackfill(id, cdc.BackfillDone)
			b.same(b.wait(c), "deals", "id")
			b.stop()
		})
	}
}
