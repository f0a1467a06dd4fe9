package pgsource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// I15: the application's own statements never fail because of walbridge. Where the
// server itself refuses updates of a published table that lost its identity, it does so
// only until the watch has taken that out of the publication.
func TestApplicationsStatementsDoNotFail(t *testing.T) {
	t.Parallel()
	const two = `CREATE TABLE deals (id int PRIMARY KEY, code int NOT NULL UNIQUE, name text);
INSERT INTO deals SELECT g, g, 'a' FROM generate_series(1, 3) g; `
	const partitioned = `CREATE TABLE deals (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF deals FOR VALUES FROM (0) TO (100); INSERT INTO deals VALUES (1, 'a');
CREATE TABLE high (id int PRIMARY KEY, name text, code int NOT NULL UNIQUE); `
	for _, tc := range []struct {
		name, schema, change string
		// at once tells that not even the first statement is refused.
		atOnce bool
		// stopped says why the table is stopped; empty if it is not. Under FULL a row
		// without a key may come before the watch sees why.
		stopped string
	}{
		{name: "drop the key, DEFAULT", schema: two, change: `ALTER TABLE deals DROP CONSTRAINT deals_pkey`, stopped: "no usable replica identity"},
		{name: "drop the key, FULL", schema: two + `ALTER TABLE deals REPLICA IDENTITY FULL`, change: `ALTER TABLE deals DROP CONSTRAINT deals_pkey`,
			atOnce: true, stopped: "no "},
		{name: "drop the key's column", schema: two, change: `ALTER TABLE deals DROP id`, stopped: "no usable replica identity"},
		{name: "drop the key's column, FULL", schema: two + `ALTER TABLE deals REPLICA IDENTITY FULL`, change: `ALTER TABLE deals DROP id`, atOnce: true, stopped: "no "},
		{name: "drop the index of the identity", schema: two + `ALTER TABLE deals REPLICA IDENTITY USING INDEX deals_code_key`,
			change: `ALTER TABLE deals DROP CONSTRAINT deals_code_key`, stopped: "no usable replica identity"},
		{name: "drop another column", schema: two, change: `ALTER TABLE deals DROP code`, atOnce: true},
		{name: "drop another column, FULL", schema: two + `ALTER TABLE deals REPLICA IDENTITY FULL`, change: `ALTER TABLE deals DROP code`, atOnce: true},
		{name: "to FULL", schema: two, change: `ALTER TABLE deals REPLICA IDENTITY FULL`, atOnce: true},
		{name: "FULL with a type that has no equality", schema: two, change: `ALTER TABLE deals ADD doc json DEFAULT '{}', ADD at point DEFAULT '(1,2)', REPLICA IDENTITY FULL`, atOnce: true},
		{name: "to NOTHING", schema: two, change: `ALTER TABLE deals REPLICA IDENTITY NOTHING`, stopped: "no usable replica identity"},
		{name: "to a deferrable key", schema: two, change: `ALTER TABLE deals DROP CONSTRAINT deals_pkey, ADD PRIMARY KEY (id) DEFERRABLE`, stopped: "no usable replica identity"},
		{name: "another key in one statement", schema: two, change: `ALTER TABLE deals DROP CONSTRAINT deals_pkey, ADD PRIMARY KEY (code)`, atOnce: true},
		{name: "a generated column", schema: two, change: `ALTER TABLE deals ADD twice int GENERATED ALWAYS AS (code * 2) STORED`, atOnce: true},
		{name: "another type", schema: two, change: `ALTER TABLE deals ALTER id TYPE bigint, ALTER name TYPE varchar(20)`, atOnce: true},
		{name: "partition without an identity", schema: partitioned,
			change: `CREATE TABLE mid PARTITION OF deals FOR VALUES FROM (100) TO (200); ALTER TABLE mid REPLICA IDENTITY NOTHING`, stopped: "no usable replica identity"},
		{name: "partition with another identity", schema: partitioned + `ALTER TABLE high REPLICA IDENTITY USING INDEX high_code_key; ALTER TABLE deals ADD code int`,
			change: `ALTER TABLE deals ATTACH PARTITION high FOR VALUES FROM (200) TO (300)`, atOnce: true, stopped: "lacks column id of the key"},
		{name: "detach a partition", schema: partitioned, change: `ALTER TABLE deals DETACH PARTITION low; ALTER TABLE low DROP CONSTRAINT low_pkey; UPDATE low SET name = 'b'; DELETE FROM low`, atOnce: true},
		{name: "drop the table", schema: two, change: `DROP TABLE deals; CREATE TABLE deals (name text)`, atOnce: true, stopped: "it was dropped"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, servertest.SharedPostgres(t).URL, tc.schema, "deals")
			c := b.start()
			until(t, "the capture to stream", func() bool { return c.Stats().State == Streaming })
			b.exec(tc.change)
			application := []string{`UPDATE deals SET name = 'b'`, `DELETE FROM deals WHERE name = 'never'`, `DELETE FROM deals`}
			if tc.atOnce {
				b.exec(application[0])
			}
			name := cdc.Table{Schema: "public", Name: "deals"}
			if tc.stopped != "" {
				until(t, "the table to be stopped", func() bool { return c.Stats().Losses[LossTableStopped] == 1 })
				stopped, err := b.log.Stopped(t.Context())
				if err != nil || !strings.Contains(stopped[name], tc.stopped) {
					t.Errorf("stopped tables %v, error %v, want %q", stopped, err, tc.stopped)
				}
			}
			for _, sql := range application {
				b.exec(sql)
			}
			got := b.wait(c)
			if n := len(got); tc.stopped == "" && !strings.HasPrefix(tc.name, "detach") && (n == 0 || got[n-1].Op != cdc.OpDelete) {
				t.Errorf("the application's changes did not arrive: %v", story(got))
			}
			if l := c.Stats().Losses; tc.stopped == "" && len(l) > 0 {
				t.Errorf("losses %v", l)
			}
		})
	}
}

// Under FULL the key is not told by the stream, and the catalog tells that of now. Rows
// from before the key moved to a column of its own are told by the key they had.
func TestKeyUnderFullMovesWhileTheCaptureIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; ALTER TABLE deals REPLICA IDENTITY FULL`, "deals")
	c := b.start()
	b.exec(`INSERT INTO deals VALUES (1, 'a')`)
	b.wait(c)
	b.stop()
	b.exec(`INSERT INTO deals VALUES (2, 'b')`)
	b.exec(`ALTER TABLE deals ADD code int GENERATED BY DEFAULT AS IDENTITY (START 10), DROP CONSTRAINT deals_pkey, ADD PRIMARY KEY (code)`)
	b.exec(`UPDATE deals SET name = 'c' WHERE id = 2`)
	want := []string{`1/0 c deals {"id":1} > {"id":1,"name":"a"}`, `2/0 c deals {"id":2} > {"id":2,"name":"b"}`,
		`3/0 u deals {"code":11} > {"id":2,"name":"c","code":11} before {"id":2,"name":"b","code":11}`}
	for round := range 2 { // a second start finds the same
		c = b.start()
		wantStory(t, b.wait(c), want...)
		if s := c.Stats(); s.Keyless > 0 || len(s.Losses) > 0 {
			t.Fatalf("round %d: %d rows without a key, losses %v", round, s.Keyless, s.Losses)
		}
		b.stop()
		next := 4 + round
		b.exec(`UPDATE deals SET name = $1 WHERE id = 2`, fmt.Sprint(next))
		want = append(want, fmt.Sprintf(`%d/0 u deals {"code":11} > {"id":2,"name":"%[1]d","code":11} before {"id":2,"name":"%[2]s","code":11}`, next, []string{"c", "4"}[round]))
	}
}
