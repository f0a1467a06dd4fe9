package pgsource

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

// The catalog tells the labels of enums in their order, those of domains over one too.
func TestLabelsOfEnums(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), servertest.SharedPostgres(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	for _, sql := range []string{`CREATE TYPE stage AS ENUM ('open', 'won')`, `ALTER TYPE stage ADD VALUE 'draft' BEFORE 'open'`,
		`CREATE DOMAIN known AS stage NOT NULL`, `CREATE TABLE e (id int PRIMARY KEY, s stage, k known, t text, l stage[])`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := Tables(t.Context(), conn)
	if err != nil || len(tables) != 1 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	want := []string{"draft", "open", "won"}
	for _, c := range tables[0].Columns {
		if has := slices.Equal(c.Labels, want); has != (c.Name == "s" || c.Name == "k") || !has && c.Labels != nil {
			t.Errorf("column %s has the labels %v", c.Name, c.Labels)
		}
	}
}
