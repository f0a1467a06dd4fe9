package pgsource

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Tables that others refer to are loaded before them; in a circle one of them is first.
func TestParentsFirst(t *testing.T) {
	start := func(name string, parents ...string) Start {
		s := Start{Name: "crm/" + name, Table: public(name)}
		for _, p := range parents {
			s.Parents = append(s.Parents, "crm/"+p)
		}
		return s
	}
	for _, tc := range []struct {
		what     string
		mappings []Start
		want     string
	}{
		{"nothing refers", []Start{start("b"), start("a")}, "a[] b[]"},
		{"a chain against the alphabet", []Start{start("a", "b"), start("b", "c"), start("c")}, "c[] b[c] a[b]"},
		{"two parents, one of them twice", []Start{start("a", "b", "c", "b"), start("b"), start("c")}, "b[] c[] a[b c]"},
		{"itself", []Start{start("a", "a")}, "a[]"},
		{"a circle", []Start{start("a", "b"), start("b", "a")}, "b[] a[b]"},
		{"one that is not loaded now", []Start{start("a", "gone")}, "a[]"},
	} {
		loads := map[cdc.Table][]string{}
		for _, m := range tc.mappings {
			loads[m.Table] = []string{m.Name}
		}
		var got []string
		for table, parents := range parentsFirst(loads, tc.mappings) {
			names := []string{}
			for _, p := range parents {
				names = append(names, p.Name)
			}
			got = append(got, fmt.Sprintf("%s%v", table.Name, names))
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.what, text, tc.want)
		}
	}
}

// The rows of a table that is referred to are in the log before any that refer to them,
// however long that takes, and it is said what is waited for.
func TestParentsAreReadFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, deals+`; CREATE TABLE other (id int); CREATE TABLE owners (id int PRIMARY KEY, v text);
INSERT INTO owners SELECT g, 'owner' FROM generate_series(1, 50) g; INSERT INTO deals (id, name) SELECT g, 'deal' FROM generate_series(1, 50) g`, "deals", "owners")
	b.options.Mappings = []Start{{Name: "crm/deals", Table: public("deals"), Parents: []string{"crm/owners"}}, {Name: "crm/owners", Table: public("owners")}}
	s, err := New(b.options)
	if err == nil {
		err = NewCapture(s, b.log).Prepare(t.Context()) // a slot is not made while transactions run
	}
	if err != nil {
		t.Fatal(err)
	}
	open, err := pgx.Connect(t.Context(), b.options.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(open)
	tx, err := open.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO other VALUES (1)"); err != nil { // which the load of the owners waits for
		t.Fatal(err)
	}
	c := b.start()
	until(t, "the deals to wait for the owners", func() bool {
		return slices.ContainsFunc(c.Backfills(), func(s cdc.BackfillStatus) bool {
			return s.Table == public("deals") && strings.Contains(s.Progress.Note, "of public.owners, whose rows are referred to")
		})
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.loaded(c)
	var last cdc.Position
	first := cdc.Position{LSN: 1<<64 - 1}
	n := map[cdc.Table]int{}
	for _, ch := range b.entries() {
		if ch.Op != cdc.OpRead {
			continue
		}
		n[ch.Table]++
		switch {
		case ch.Table == public("owners") && last.Before(ch.Position):
			last = ch.Position
		case ch.Table == public("deals") && ch.Position.Before(first):
			first = ch.Position
		}
	}
	if n[public("owners")] != 50 || n[public("deals")] != 50 || !last.Before(first) {
		t.Errorf("read were %v; the last owner is at %v, the first deal at %v", n, last, first)
	}
	for _, s := range c.Backfills() {
		if s.Progress.Note != "" {
			t.Errorf("the backfill of %s has ended with the note %q", s.Table, s.Progress.Note)
		}
	}
}
