package pgsource

import (
	"errors"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// toasted has a column whose value PostgreSQL keeps out of line, and another key
// that an identity can use. code may be changed apart from id.
const toasted = `CREATE TABLE deals (id int PRIMARY KEY, code int NOT NULL UNIQUE, name text, note text); ALTER TABLE deals ALTER note SET STORAGE EXTERNAL; `

// toastSteps is one history, told by each identity in its own way.
var toastSteps = []string{
	`INSERT INTO deals VALUES (1, 10, 'a', LONG)`,
	`UPDATE deals SET name = 'b'`,            // the long value is not touched
	`UPDATE deals SET code = 11`,             // nor here, where the other key changes
	`UPDATE deals SET id = 2`,                // nor here
	`UPDATE deals SET note = note`,           // set to itself it counts as not touched
	`UPDATE deals SET note = note || 'tail'`, // touched
	`UPDATE deals SET note = NULL`,
	`UPDATE deals SET name = 'c'`, // null is null, not absent
	`DELETE FROM deals`,
}

// Pitfall 18 and I5: a TOASTed value that an update did not touch is absent, never
// null; where the old row has it, it is filled in.
var toastEvents = []eventTest{
	{name: "pitfall 18: DEFAULT", schema: toasted, steps: toastSteps, want: []string{
		`1/0 c deals {"id":1} > {"id":1,"code":10,"name":"a","note":"X"}`,
		`2/0 u deals {"id":1} > {"id":1,"code":10,"name":"b"} absent note`,
		`3/0 u deals {"id":1} > {"id":1,"code":11,"name":"b"} absent note`,
		`4/0 d deals {"id":1} before {"id":1}`, `4/1 c deals {"id":2} > {"id":2,"code":11,"name":"b"} absent note`,
		`5/0 u deals {"id":2} > {"id":2,"code":11,"name":"b"} absent note`,
		`6/0 u deals {"id":2} > {"id":2,"code":11,"name":"b","note":"Xtail"}`,
		`7/0 u deals {"id":2} > {"id":2,"code":11,"name":"b","note":null}`,
		`8/0 u deals {"id":2} > {"id":2,"code":11,"name":"c","note":null}`,
		`9/0 d deals {"id":2} before {"id":2}`}},
	{name: "pitfall 18: USING INDEX", schema: toasted + `ALTER TABLE deals REPLICA IDENTITY USING INDEX deals_code_key`, steps: toastSteps, want: []string{
		`1/0 c deals {"code":10} > {"id":1,"code":10,"name":"a","note":"X"}`,
		`2/0 u deals {"code":10} > {"id":1,"code":10,"name":"b"} absent note`,
		`3/0 d deals {"code":10} before {"code":10}`, `3/1 c deals {"code":11} > {"id":1,"code":11,"name":"b"} absent note`,
		`4/0 u deals {"code":11} > {"id":2,"code":11,"name":"b"} absent note`,
		`5/0 u deals {"code":11} > {"id":2,"code":11,"name":"b"} absent note`,
		`6/0 u deals {"code":11} > {"id":2,"code":11,"name":"b","note":"Xtail"}`,
		`7/0 u deals {"code":11} > {"id":2,"code":11,"name":"b","note":null}`,
		`8/0 u deals {"code":11} > {"id":2,"code":11,"name":"c","note":null}`,
		`9/0 d deals {"code":11} before {"code":11}`}},
	{name: "pitfall 18: FULL", schema: toasted + `ALTER TABLE deals REPLICA IDENTITY FULL`, steps: toastSteps, want: []string{
		`1/0 c deals {"id":1} > {"id":1,"code":10,"name":"a","note":"X"}`,
		`2/0 u deals {"id":1} > {"id":1,"code":10,"name":"b","note":"X"} before {"id":1,"code":10,"name":"a","note":"X"}`,
		`3/0 u deals {"id":1} > {"id":1,"code":11,"name":"b","note":"X"} before {"id":1,"code":10,"name":"b","note":"X"}`,
		`4/0 d deals {"id":1} before {"id":1,"code":11,"name":"b","note":"X"}`, `4/1 c deals {"id":2} > {"id":2,"code":11,"name":"b","note":"X"}`,
		`5/0 u deals {"id":2} > {"id":2,"code":11,"name":"b","note":"X"} before {"id":2,"code":11,"name":"b","note":"X"}`,
		`6/0 u deals {"id":2} > {"id":2,"code":11,"name":"b","note":"Xtail"} before {"id":2,"code":11,"name":"b","note":"X"}`,
		`7/0 u deals {"id":2} > {"id":2,"code":11,"name":"b","note":null} before {"id":2,"code":11,"name":"b","note":"Xtail"}`,
		`8/0 u deals {"id":2} > {"id":2,"code":11,"name":"c","note":null} before {"id":2,"code":11,"name":"b","note":null}`,
		`9/0 d deals {"id":2} before {"id":2,"code":11,"name":"c","note":null}`}},
	// The server sends the old key with an update when that is kept out of line: it is
	// no changed key, and the other long value stays absent.
	{name: "pitfall 18: a key that is TOASTed itself", schema: `CREATE TABLE deals (k text PRIMARY KEY, name text, note text);
ALTER TABLE deals ALTER k SET STORAGE EXTERNAL, ALTER note SET STORAGE EXTERNAL`,
		steps: []string{`INSERT INTO deals VALUES (repeat('k', 2100), 'a', LONG)`, `UPDATE deals SET name = 'b'`, `UPDATE deals SET k = 'short'`, `DELETE FROM deals`},
		want: []string{
			`1/0 c deals {"k":"K"} > {"k":"K","name":"a","note":"X"}`,
			`2/0 u deals {"k":"K"} > {"k":"K","name":"b"} absent note`,
			`3/0 d deals {"k":"K"} before {"k":"K"}`, `3/1 c deals {"k":"short"} > {"k":"short","name":"b"} absent note`,
			`4/0 d deals {"k":"short"} before {"k":"short"}`}},
	// From one transaction to the next, and within one.
	{name: "pitfall 18: the identity changes in mid-stream", schema: toasted,
		steps: []string{`INSERT INTO deals VALUES (1, 10, 'a', LONG)`, `ALTER TABLE deals REPLICA IDENTITY FULL`, `UPDATE deals SET name = 'b'`,
			`UPDATE deals SET name = 'c'; ALTER TABLE deals REPLICA IDENTITY USING INDEX deals_code_key; UPDATE deals SET name = 'd'`,
			`ALTER TABLE deals REPLICA IDENTITY DEFAULT; UPDATE deals SET name = 'e'`},
		want: []string{
			`1/0 c deals {"id":1} > {"id":1,"code":10,"name":"a","note":"X"}`,
			`2/0 u deals {"id":1} > {"id":1,"code":10,"name":"b","note":"X"} before {"id":1,"code":10,"name":"a","note":"X"}`,
			`3/0 u deals {"id":1} > {"id":1,"code":10,"name":"c","note":"X"} before {"id":1,"code":10,"name":"b","note":"X"}`,
			`3/2 u deals {"code":10} > {"id":1,"code":10,"name":"d"} absent note`,
			`4/0 u deals {"id":1} > {"id":1,"code":10,"name":"e"} absent note`}},
}

func TestPitfall18UnchangedToast(t *testing.T) {
	t.Parallel()
	for _, e := range toastEvents {
		t.Run(e.name, e.run)
	}
}

// A table whose rows could not be told apart is refused at the start, with the
// statement to run; nothing is made at the server before.
func TestTablesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, schema string
		want         []string
	}{
		{"no key", `CREATE TABLE deals (id int)`, []string{"table public.deals has no primary key", "ALTER TABLE public.deals ADD PRIMARY KEY"}},
		{"no key, FULL", `CREATE TABLE deals (id int); ALTER TABLE deals REPLICA IDENTITY FULL`,
			[]string{"table public.deals has no primary key", "ALTER TABLE public.deals ADD PRIMARY KEY"}},
		{"NOTHING", deals + `; ALTER TABLE deals REPLICA IDENTITY NOTHING`,
			[]string{"table public.deals has REPLICA IDENTITY NOTHING", "ALTER TABLE public.deals REPLICA IDENTITY DEFAULT"}},
		{"NOTHING and no key", `CREATE TABLE deals (id int); ALTER TABLE deals REPLICA IDENTITY NOTHING`,
			[]string{"table public.deals has REPLICA IDENTITY NOTHING", "ALTER TABLE public.deals REPLICA IDENTITY DEFAULT", "ADD PRIMARY KEY"}},
		{"deferrable key", `CREATE TABLE deals (id int PRIMARY KEY DEFERRABLE)`,
			[]string{"table public.deals", "not a deferrable one"}},
		{"deferrable key, FULL", `CREATE TABLE deals (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, name text)`, []string{"table public.deals", "not a deferrable one"}},
		{"index of the identity is gone", `CREATE TABLE deals (id int NOT NULL UNIQUE); ALTER TABLE deals REPLICA IDENTITY USING INDEX deals_id_key; ALTER TABLE deals DROP CONSTRAINT deals_id_key`,
			[]string{"table public.deals has no", "ALTER TABLE public.deals ADD PRIMARY KEY"}},
		{"partition with another identity", `CREATE TABLE deals (id int PRIMARY KEY, code int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE deals1 PARTITION OF deals FOR VALUES FROM (0) TO (100); CREATE UNIQUE INDEX codes ON deals1 (code); ALTER TABLE deals1 REPLICA IDENTITY USING INDEX codes`,
			[]string{"public.deals cannot be captured", "deals1 lacks column id of the key of public.deals", "same columns"}},
		{"partition with NOTHING", `CREATE TABLE deals (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE deals1 PARTITION OF deals FOR VALUES FROM (0) TO (100); ALTER TABLE deals1 REPLICA IDENTITY NOTHING`,
			[]string{"public.deals cannot be captured", "deals1 has no usable replica identity"}},
		{"root with NOTHING", `CREATE TABLE deals (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE deals1 PARTITION OF deals FOR VALUES FROM (0) TO (100);
ALTER TABLE deals REPLICA IDENTITY NOTHING`, []string{"table public.deals has REPLICA IDENTITY NOTHING"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, servertest.SharedPostgres(t).URL, tc.schema, "deals")
			err := b.run()
			var se *cdc.SetupError
			if !errors.As(err, &se) {
				t.Fatalf("error %v, want a SetupError", err)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
			var made int
			if err := b.conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1)`,
				b.options.Slot).Scan(&made); err != nil || made != 0 {
				t.Errorf("publication or slot was made: %d, %v", made, err)
			}
		})
	}
}
