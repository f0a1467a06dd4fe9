package sales

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

// dial connects to a database; the connection is closed before the database
// goes.
func dial(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// newDatabase makes a sales database of its own for the test.
func newDatabase(t *testing.T, seed uint64) (url string, conn *pgx.Conn) {
	t.Helper()
	url = servertest.SharedPostgres(t).URL
	conn = dial(t, url)
	if err := Create(t.Context(), conn, seed); err != nil {
		t.Fatal(err)
	}
	return url, conn
}

func connector(url string) Connect {
	return func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, url) }
}

// one reads a single value.
func one[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// run executes statements.
func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// content is a digest of all rows, without the columns that tell the time.
const content = `select md5(string_agg(r, e'\n' order by r)) from (
	select (to_jsonb(t) - 'updated_at' - 'created_at')::text r from accounts t union all
	select (to_jsonb(t) - 'updated_at')::text from contacts t union all
	select (to_jsonb(t) - 'updated_at' - 'created_at' - 'first_touch_at')::text from leads t union all
	select (to_jsonb(t) - 'updated_at' - 'created_at' - 'closed_at' - 'last_activity_at')::text from opportunities t union all
	select (to_jsonb(t) - 'updated_at')::text from opportunity_splits t union all
	select (to_jsonb(t) - 'happened_at')::text from activities t union all
	select (to_jsonb(t) - 'updated_at')::text from quotas t union all
	select (to_jsonb(t) - 'updated_at')::text from reps t) rows`
