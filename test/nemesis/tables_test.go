package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/test/judge"
)

// bulkAfter is small, so that ordinary transactions reach the bulk lane.
const bulkAfter = 40

// schema has tables with keys of all kinds, values that are stored apart and so are
// not sent when they did not change, a partitioned table whose rows change their
// partition, one that sends whole old rows, and one known by another index.
const schema = `
CREATE TYPE stage AS ENUM ('new', 'talks', 'won', 'lost', 'gone');
CREATE TABLE deals (id bigint PRIMARY KEY, owner int, name text, stage stage, amount numeric(14,2), note text, updated_at timestamptz);
ALTER TABLE deals ALTER COLUMN note SET STORAGE EXTERNAL;
CREATE TABLE forecasts (region text, quarter int, amount numeric, remark text, PRIMARY KEY (region, quarter));
CREATE TABLE tags (name text PRIMARY KEY, doc jsonb, body text);
ALTER TABLE tags ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE visits (id uuid PRIMARY KEY, at timestamp, score double precision, marks int[], data bytea);
CREATE TABLE quotas (stage stage PRIMARY KEY, n int, note text);
CREATE TABLE ledger (id int PRIMARY KEY, account text, note text);
ALTER TABLE ledger ALTER COLUMN note SET STORAGE EXTERNAL;
ALTER TABLE ledger REPLICA IDENTITY FULL;
CREATE TABLE accounts (id bigint PRIMARY KEY, code text NOT NULL UNIQUE, balance numeric, memo text);
ALTER TABLE accounts ALTER COLUMN memo SET STORAGE EXTERNAL;
ALTER TABLE accounts REPLICA IDENTITY USING INDEX accounts_code_key;
CREATE TABLE sales (id int PRIMARY KEY, amount numeric, memo text) PARTITION BY RANGE (id);
CREATE TABLE sales_low PARTITION OF sales FOR VALUES FROM (MINVALUE) TO (50);
CREATE TABLE sales_mid PARTITION OF sales FOR VALUES FROM (50) TO (100);
CREATE TABLE sales_high PARTITION OF sales DEFAULT;
CREATE TABLE archive (id bigint PRIMARY KEY, n int, body text);
CREATE TABLE marks (id bigint PRIMARY KEY);`

// preload has rows that are there before the capture begins: only a backfill can bring
// them into the log.
const preload = `
INSERT INTO archive SELECT g * 7, 0, 'of old ' || g FROM generate_series(1, $1) g;
INSERT INTO deals SELECT g, 1, 'of old', 'new', g, repeat('an old note ', 300), now() FROM generate_series(1, 150, 2) g;
INSERT INTO forecasts SELECT 'région ' || chr(97 + g), g, g, 'of old' FROM generate_series(1, 12) g;
INSERT INTO tags SELECT 'tag ' || g, '{"n": 1.50}', repeat('an old body ', 300) FROM generate_series(1, 20) g;
INSERT INTO ledger SELECT g, 'of old', repeat('an old note ', 300) FROM generate_series(1, 150, 3) g;
INSERT INTO accounts SELECT g, 'AC-' || g, g, repeat('an old memo ', 300) FROM generate_series(1, 150, 2) g;
INSERT INTO sales SELECT g, g, 'of old' FROM generate_series(1, 150, 2) g;
INSERT INTO quotas VALUES ('lost', 1, 'of old');`

// archived is how many rows the largest table has.
const archived = 20_000

// table is a captured table.
type table struct {
	name string
	key  []string
	lane string
	full bool // REPLICA IDENTITY FULL
}

var tables = []table{
	{name: "deals", key: []string{"id"}, lane: "normal"},
	{name: "forecasts", key: []string{"region", "quarter"}, lane: "normal"},
	{name: "tags", key: []string{"name"}, lane: "urgent"},
	{name: "visits", key: []string{"id"}, lane: "normal"},
	{name: "quotas", key: []string{"stage"}, lane: "urgent"},
	{name: "ledger", key: []string{"id"}, lane: "normal", full: true},
	{name: "accounts", key: []string{"code"}, lane: "bulk"},
	{name: "sales", key: []string{"id"}, lane: "normal"},
	{name: "archive", key: []string{"id"}, lane: "normal"},
	{name: "marks", key: []string{"id"}, lane: "urgent"},
}

// mapping is a mapping file of the table: without one it is not captured.
func (t *table) mapping() string {
	parts := make([]string, 0, len(t.key))
	for _, k := range t.key {
		parts = append(parts, "string("+k+")")
	}
	return fmt.Sprintf("from: public.%s\nto: nobody/%s\nkey: {record: %q}\nfields: {%s: %s}\nlane: %s\n",
		t.name, t.name, strings.Join(parts, " + '/' + "), t.key[0], t.key[0], t.lane)
}

// truncates are tables that are truncated, alone or together.
var truncates = []string{"tags", "forecasts", "quotas", "visits, ledger", "visits", "tags, quotas", "accounts", "deals"}

// unpublished are changes of partitions that the server does not send: a backfill makes
// up for them, one for each, and for a truncate of the whole table too.
var unpublished = []string{
	"TRUNCATE sales",
	"TRUNCATE sales_mid",
	"TRUNCATE sales_low; ANALYZE sales_low",
	`ALTER TABLE sales DETACH PARTITION sales_low; UPDATE sales_low SET memo = 'while it was away'; DELETE FROM sales_low WHERE id % 5 = 0;
ALTER TABLE sales ATTACH PARTITION sales_low FOR VALUES FROM (MINVALUE) TO (50)`,
}

// readTables reads all tables as to_jsonb gives them.
func readTables(ctx context.Context, conn *pgx.Conn) (judge.Rows, error) {
	out := judge.Rows{}
	for i := range tables {
		t := &tables[i]
		if err := t.read(ctx, conn, out); err != nil {
			return nil, fmt.Errorf("read table %s: %w", t.name, err)
		}
	}
	return out, nil
}

func (t *table) read(ctx context.Context, conn *pgx.Conn, out judge.Rows) error {
	parts := make([]string, 0, len(t.key))
	for _, k := range t.key {
		parts = append(parts, fmt.Sprintf("'%s', %s", k, k))
	}
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT jsonb_build_object(%s)::text, to_jsonb(t) FROM %s t", strings.Join(parts, ", "), t.name))
	if err != nil {
		return err
	}
	var key string
	var row map[string]json.RawMessage
	_, err = pgx.ForEachRow(rows, []any{&key, &row}, func() error {
		text, err := judge.KeyOf([]byte(key))
		out.Add("public."+t.name, text, row)
		row = nil
		return err
	})
	return err
}
