package pgsource

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Describe says of each table what one has to know to choose it, and Measure how large
// its values are; neither can write.
func TestDescribe(t *testing.T) {
	url := servertest.SharedPostgres(t).URL
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	if _, err := conn.Exec(t.Context(), `CREATE DOMAIN cents AS numeric(12,2);
CREATE TABLE deals (id int PRIMARY KEY, note text, "Big ""One""" text, amount cents, twice numeric GENERATED ALWAYS AS (amount * 2) STORED);
COMMENT ON COLUMN deals.note IS 'what was said';
ALTER TABLE deals ALTER "Big ""One""" SET STORAGE EXTERNAL;
INSERT INTO deals SELECT n, 'short', repeat('x', 9000), 1 FROM generate_series(1, 20) n;
CREATE TABLE notes (code text NOT NULL, other text, UNIQUE (other));
CREATE UNIQUE INDEX notes_code ON notes (code);
CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
INSERT INTO parts SELECT generate_series(1, 50); ANALYZE;
CREATE TABLE empty_parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE new_parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE new_parts_1 PARTITION OF new_parts FOR VALUES FROM (0) TO (100)`); err != nil {
		t.Fatal(err)
	}
	src, err := New(Options{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range tables {
		wrong := ""
		if d.Wrong != nil {
			wrong = d.Wrong.What
		}
		got = append(got, fmt.Sprintf("%s %d rows, root %q, index %q, %d details; %s", d.Table, d.Rows, d.Root.Name, d.UniqueIndex, len(d.Details), wrong))
	}
	want := `public.deals 20 rows, root "", index "deals_pkey", 5 details; 
public.empty_parts 0 rows, root "", index "empty_parts_pkey", 1 details; 
public.new_parts -1 rows, root "", index "new_parts_pkey", 1 details; 
public.new_parts_1 -1 rows, root "new_parts", index "new_parts_1_pkey", 1 details; 
public.notes 0 rows, root "", index "notes_code", 2 details; table public.notes has no primary key, so its rows cannot be told apart
public.parts 50 rows, root "", index "parts_pkey", 1 details; 
public.parts_1 50 rows, root "parts", index "parts_1_pkey", 1 details; 
public.scratch 0 rows, root "", index "scratch_pkey", 1 details; table public.scratch is unlogged, so its changes are not in the WAL`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	details := fmt.Sprint(tables[0].Details)
	if want := `[{id integer false false } {note text false true what was said} {Big "One" text false true } {amount numeric(12,2) false true } {twice numeric true true }]`; details != want {
		t.Errorf("got  %s\nwant %s", details, want)
	}
	deals := cdc.Table{Schema: "public", Name: "deals"}
	sizes, err := src.Measure(t.Context(), deals, []string{"note", `Big "One"`})
	if err != nil || sizes["note"] != 6 || sizes[`Big "One"`] != 9000 {
		t.Errorf("sizes %v (%v)", sizes, err)
	}
	reading, err := src.readOnly(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(reading)
	if _, err := reading.Exec(t.Context(), "DELETE FROM public.deals"); code(err) != "25006" {
		t.Errorf("a connection for looking deletes rows: %v", err)
	}
}
