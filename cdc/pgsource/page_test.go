package pgsource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// valueRow is a row of the table of values in docs/events.md: an expression and its
// JSON.
var valueRow = regexp.MustCompile("(?m)^\\|[^|]*\\| `([^`]+)` \\| `([^`]+)`[^|]*\\|$")

// The examples of the page are what a capture makes of them.
func TestPageHasTheValues(t *testing.T) {
	text, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(text), "\n## Values\n")
	page, _, _ = strings.Cut(page, "\n## ")
	_, sql, _ := strings.Cut(page, "\n```sql\n")
	sql, _, _ = strings.Cut(sql, "\n```\n")
	rows := valueRow.FindAllStringSubmatch(page, -1)
	if len(rows) < 15 || sql == "" {
		t.Fatalf("the page has %d values and the statements %q; is its table still of this form?", len(rows), sql)
	}
	b := newBench(t, servertest.SharedPostgres(t).URL, sql)
	hstore := b.extension("hstore", "public")
	var inserts, want []string
	for i, r := range rows {
		if strings.Contains(r[1], "hstore") && !hstore {
			continue // extension says so; the values of all other tests have it too
		}
		name := fmt.Sprintf("value_%02d", i)
		b.exec(fmt.Sprintf("CREATE TABLE %s AS SELECT 1 AS id, %s AS v WITH NO DATA", name, r[1]))
		b.exec(fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (id)", name))
		b.options.Tables[cdc.Table{Schema: "public", Name: name}] = Lanes{Lane: cdc.LaneNormal}
		inserts = append(inserts, fmt.Sprintf("INSERT INTO %s SELECT 1, %s", name, r[1]))
		want = append(want, fmt.Sprintf(`c {"id":1} {"id":1,"v":%s}`, r[2]))
	}
	c := b.start()
	for _, sql := range inserts {
		b.exec(sql)
	}
	wantLines(t, b.wait(c), want...)
}

// A cut as the page describes it, taken while the log grows, has no transaction in part
// and stays as it is.
func TestCutIsConsistent(t *testing.T) {
	const rows = 40
	b := newBench(t, servertest.SharedPostgres(t).URL, deals, "deals")
	b.options.BulkAfter = rows / 2
	c := b.start()
	written, enough := make(chan error, 1), make(chan struct{})
	go func() {
		conn, err := pgx.Connect(context.Background(), b.options.URL)
		pace := time.NewTicker(4 * time.Millisecond)
		defer pace.Stop()
		for n, on := 0, true; err == nil && on; n++ {
			select {
			case <-enough:
				on = false
				continue
			case <-pace.C:
			}
			_, err = conn.Exec(context.Background(), `INSERT INTO deals SELECT $1 * 1000 + g FROM generate_series(1, $2::int) g`, n, rows)
		}
		if conn != nil {
			err = errors.Join(err, conn.Close(context.Background()))
		}
		written <- err
	}()
	cuts := map[cdc.LSN]int{}
	for len(cuts) < 5 { // while the log grows
		mark, _, err := b.log.DurableMark(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := cuts[mark]; !ok {
			cuts[mark] = b.below(mark, rows, b.entries())
		}
	}
	close(enough)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	all := b.wait(c)
	for cut, n := range cuts {
		if now := b.below(cut, rows, all); now != n {
			t.Errorf("the cut at %v had %d transactions, now %d", cut, n, now)
		}
	}
}

// below counts the transactions below a cut, each of which must be whole.
func (b *bench) below(cut cdc.LSN, rows int, all []cdc.Change) int {
	b.t.Helper()
	e, _, err := b.log.Epoch(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	of := map[cdc.LSN]int{}
	for _, c := range all {
		if c.Position.LSN < e.Base+cut {
			of[c.Position.LSN]++
		}
	}
	for lsn, n := range of {
		if n != rows {
			b.t.Errorf("the cut at %v has %d of %d rows of the transaction at %v", cut, n, rows, lsn)
		}
	}
	return len(of)
}
