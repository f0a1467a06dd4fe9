package pgsource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// A scan gives every row once, in the form of the log, whatever the size of rows.
func TestScanGivesAllRows(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (a int, b text, amount numeric, note text, PRIMARY KEY (b, a));
		ALTER TABLE deals ALTER COLUMN note SET STORAGE EXTERNAL;
		INSERT INTO deals SELECT i, 'k' || i % 7, i + 0.50, CASE WHEN i % 500 = 0 THEN repeat('x', 600000) ELSE 'n' || i END FROM generate_series(1, 7000) i`)
	s, err := New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	table := cdc.Table{Schema: "public", Name: "deals"}
	seen := map[string]bool{}
	chunks := 0
	if err := s.Scan(t.Context(), table, func(rows []ScannedRow) error {
		chunks++
		for _, r := range rows {
			if seen[r.Key] {
				t.Errorf("%s came twice", r.Key)
			}
			seen[r.Key] = true
			if key, err := cdc.ParseRow(r.Key); err != nil || len(key) != 2 {
				t.Errorf("the key %s: %v", r.Key, err)
			}
			if row, err := cdc.ParseRow(r.After); err != nil || len(row) != 4 || !strings.HasSuffix(row.Get("amount").JSON(), ".50") {
				t.Errorf("a row of %d columns: %v", len(row), err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 7000 || chunks < 4 {
		t.Errorf("%d rows in %d chunks", len(seen), chunks)
	}
	for _, i := range []int{1, 3500, 7000} {
		if key := fmt.Sprintf(`{"a":%d,"b":"k%d"}`, i, i%7); !seen[key] {
			t.Errorf("%s did not come; there is %s", key, slices.Collect(keysOfMap(seen))[0])
		}
	}
	stop := errors.New("enough")
	if err := s.Scan(t.Context(), table, func([]ScannedRow) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an end: %v", err)
	}
	if err := s.Scan(t.Context(), cdc.Table{Schema: "public", Name: "none"}, nil); err == nil {
		t.Error("a table that there is not was read")
	}
}

func keysOfMap(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
