package pgsource

import (
	"testing"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

// A transaction that was rolled back, with a savepoint, and does not fit into the
// server's memory: PostgreSQL 18 finds out that it was aborted before it reads the abort,
// then takes its subtransaction for one that was streamed, and sends a Stream Abort to a
// client that never asked for streaming.
func TestLargeRollback(t *testing.T) {
	t.Parallel()
	db := servertest.SharedPostgres(t)
	b := newBench(t, db.URL, `CREATE TABLE deals (id int PRIMARY KEY, note text)`, "deals")
	b.wait(b.start())
	b.stop()
	b.free() // the transaction has ended before it is decoded
	b.exec(`ALTER DATABASE "` + db.Name + `" SET logical_decoding_work_mem = '64kB'`)
	for _, sql := range []string{
		`BEGIN; SAVEPOINT s; INSERT INTO deals VALUES (1, 'rolled back'); RELEASE s;
INSERT INTO deals SELECT g, repeat('x', 500) FROM generate_series(2, 3000) g; ROLLBACK`,
		`INSERT INTO deals VALUES (7, 'stays')`,
	} {
		b.exec(sql)
	}
	if all := b.wait(b.start()); len(all) != 1 || all[0].Key != `{"id":7}` {
		t.Errorf("the log has %d entries, want the one that stays", len(all))
	}
}
