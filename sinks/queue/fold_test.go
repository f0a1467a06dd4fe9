package queue

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
)

func pos(n int) cdc.Position { return cdc.Position{LSN: cdc.LSN(n)} }

// row makes an upsert of columns written as "a=1 b=null c=?", where ? is absent.
func row(n int, columns string) cdc.Change {
	ch := cdc.Change{Position: pos(n), Op: cdc.OpUpdate, Table: cdc.Table{Schema: "public", Name: "deals"}, Key: `{"id":1}`}
	var parts []string
	for _, f := range strings.Fields(columns) {
		name, v, _ := strings.Cut(f, "=")
		if v == "?" {
			ch.Absent = append(ch.Absent, name)
			continue
		}
		parts = append(parts, fmt.Sprintf("%q:%s", name, v))
	}
	ch.After = "{" + strings.Join(parts, ",") + "}"
	return ch
}

// created makes row one that was not there before.
func created(n int, columns string) cdc.Change {
	ch := row(n, columns)
	ch.Op = cdc.OpCreate
	return ch
}

// swept is a row that is gone unless the source has it.
func swept(n int) cdc.Change {
	return cdc.Change{Position: pos(n), Op: cdc.OpSweep, Key: `{"id":1}`}
}

func gone(n int) cdc.Change {
	return cdc.Change{Position: pos(n), Op: cdc.OpDelete, Table: cdc.Table{Schema: "public", Name: "deals"}, Key: `{"id":1}`}
}

// show writes a change as row reads it, columns sorted.
func show(t interface{ Fatalf(string, ...any) }, ch cdc.Change) string {
	if leaves(ch.Op) {
		return fmt.Sprintf("%d gone", ch.Position.LSN)
	}
	cols, err := cdc.ParseRow(ch.After)
	if err != nil {
		t.Fatalf("row %s: %v", ch.After, err)
	}
	if !json.Valid([]byte(ch.After)) {
		t.Fatalf("not JSON: %s", ch.After)
	}
	var out []string
	for _, c := range cols {
		out = append(out, c.Name+"="+c.Value.JSON())
	}
	for _, a := range ch.Absent {
		out = append(out, a+"=?")
	}
	slices.Sort(out)
	return fmt.Sprintf("%d %s", ch.Position.LSN, strings.Join(out, " "))
}

func TestMergeExamples(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []cdc.Change
		want string
	}{
		{"newer wins", []cdc.Change{row(1, "a=1 b=1"), row(2, "a=2 b=null")}, "2 a=2 b=null"},
		{"absent is filled", []cdc.Change{row(1, "a=1 b=1"), row(2, "a=2 b=?")}, "2 a=2 b=1"},
		{"null fills as null", []cdc.Change{row(1, "a=1 b=null"), row(2, "a=2 b=?")}, "2 a=2 b=null"},
		{"absent stays absent", []cdc.Change{row(1, "a=1 b=?"), row(2, "a=2 b=?")}, "2 a=2 b=?"},
		{"by position, not arrival", []cdc.Change{row(3, "a=3 b=?"), row(1, "a=1 b=1"), row(2, "a=2 b=2")}, "3 a=3 b=2"},
		{"late delete takes columns away", []cdc.Change{row(1, "a=1 b=1"), row(3, "a=3 b=?"), gone(2)}, "3 a=3 b=?"},
		{"delete wins", []cdc.Change{row(1, "a=1"), gone(2)}, "2 gone"},
		{"delete then recreate is a replacement", []cdc.Change{row(1, "a=1 b=1"), gone(2), row(3, "a=3 b=?")}, "3 a=3 b=?"},
		{"a created row takes nothing of the one before", []cdc.Change{row(1, "a=1 b=1"), created(3, "a=3 b=?")}, "3 a=3 b=?"},
		{"a sweep takes columns away", []cdc.Change{row(1, "a=1 b=1"), swept(2), row(3, "a=3 b=?")}, "3 a=3 b=?"},
		{"dropped column is not brought back", []cdc.Change{row(1, "a=1 old=1"), row(2, "a=2"), row(3, "a=3 old=?")}, "3 a=3 old=?"},
		{"only absent columns", []cdc.Change{row(1, "a=1"), row(2, "a=?")}, "2 a=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Fold(c.in[0])
			for _, ch := range c.in[1:] {
				got = got.Merge(Fold(ch))
			}
			if s := show(t, got.Change()); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}

func TestBare(t *testing.T) {
	f := Fold(row(1, "a=1 b=1")).Merge(Fold(gone(2))).Merge(Fold(row(3, "a=3 b=?")))
	if !f.Bare() {
		t.Error("a row created over a delete with an absent column is not bare")
	}
	if f := f.Merge(Fold(row(4, "a=4 b=4"))); f.Bare() {
		t.Error("a whole row is bare")
	}
	if f := Fold(row(3, "a=3 b=?")); f.Bare() {
		t.Error("an update over what the target holds is bare")
	}
	bad := row(1, "a=1")
	bad.After, bad.Absent = `{"a":1`, []string{"c"}
	if f := Fold(bad).Merge(Fold(row(2, "a=2 b=?"))); !f.Bare() {
		t.Error("an older change that cannot be read is forgotten")
	}
}

func TestAbove(t *testing.T) {
	f := Fold(row(1, "a=1 b=1 c=1")).Merge(Fold(row(3, "a=3 b=3 c=?"))).Merge(Fold(row(5, "a=5 b=? c=?")))
	for _, c := range []struct {
		seen int
		want string
		lost bool
	}{{0, "5 a=5 b=3 c=1", false}, {1, "5 a=5 b=3 c=?", true}, {3, "5 a=5 b=? c=?", true}} {
		got, lost := f.Above(pos(c.seen))
		if s := show(t, got.Change()); s != c.want || lost != c.lost {
			t.Errorf("above %d: got %s (lost %v), want %s", c.seen, s, lost, c.want)
		}
	}
	f = Fold(gone(2)).Merge(Fold(row(5, "a=5 b=?")))
	if g, _ := f.Above(pos(1)); !g.Bare() {
		t.Error("a delete above does not count")
	}
	if g, lost := f.Above(pos(2)); g.Bare() || !lost {
		t.Error("a delete below counts, or is forgotten silently")
	}
}

func TestFillQuotes(t *testing.T) {
	ch := cdc.Change{Op: cdc.OpUpdate, After: ` {"a":1} `, Absent: []string{`wei"rd`, "left"}}
	got := Fill(ch, map[string]string{`wei"rd`: `"x"`, "a": "2", "other": "3"})
	if got.After != `{"a":1,"wei\"rd":"x"}` || !slices.Equal(got.Absent, []string{"left"}) {
		t.Errorf("got %s, absent %v", got.After, got.Absent)
	}
	if ch.Absent[0] != `wei"rd` || ch.After != ` {"a":1} ` {
		t.Error("the change was altered")
	}
}

func drawChanges(t *rapid.T) []cdc.Change {
	n := rapid.IntRange(1, 6).Draw(t, "n")
	out := make([]cdc.Change, n)
	for i := range out {
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		switch kind {
		case 0, 1:
			out[i] = gone(i + 1)
			continue
		case 2:
			out[i] = swept(i + 1)
			continue
		}
		var cols []string
		for _, c := range []string{"a", "b", "c", "d"} {
			switch rapid.IntRange(0, 5).Draw(t, c) {
			case 0: // no such column at that time
			case 1, 2:
				cols = append(cols, c+"=?")
			case 3:
				cols = append(cols, c+"=null")
			default:
				cols = append(cols, fmt.Sprintf("%s=%d", c, i+1))
			}
		}
		if out[i] = row(i+1, strings.Join(cols, " ")); kind == 3 {
			out[i].Op = cdc.OpCreate
		}
	}
	return out
}

// oracle says what a set of changes in order of Position comes to, from the rule
// in words.
func oracle(t *rapid.T, in []cdc.Change) string {
	newest := in[len(in)-1]
	base := -1
	for i, ch := range in {
		if ch.Op != cdc.OpUpdate || len(ch.Absent) == 0 {
			base = i
		}
	}
	values := map[string]string{}
	for i := max(base, 0); i < len(in); i++ {
		if in[i].Op == cdc.OpDelete || in[i].Op == cdc.OpSweep {
			continue
		}
		cols, err := cdc.ParseRow(in[i].After)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		for _, c := range cols {
			values[c.Name] = c.Value.JSON()
		}
	}
	return show(t, Fill(newest, values))
}

// TestFoldIsASet draws changes and folds them in a random order with random
// grouping, some of them twice: the result is what the set of them comes to.
func TestFoldIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := drawChanges(t)
		straight := Fold(changes[0])
		for _, ch := range changes[1:] {
			straight = straight.Merge(Fold(ch))
		}
		parts := make([]Folded, 0, 2*len(changes))
		for _, ch := range changes {
			parts = append(parts, Fold(ch))
			if rapid.IntRange(0, 3).Draw(t, "twice") == 0 {
				parts = append(parts, Fold(ch))
			}
		}
		parts = rapid.Permutation(parts).Draw(t, "order")
		for len(parts) > 1 {
			i := rapid.IntRange(0, len(parts)-2).Draw(t, "join")
			parts[i] = parts[i].Merge(parts[i+1])
			parts = slices.Delete(parts, i+1, i+2)
		}
		if got, want := show(t, parts[0].Change()), oracle(t, changes); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if !reflect.DeepEqual(parts[0], straight) {
			t.Fatalf("another order gives another state:\n%+v\n%+v", parts[0], straight)
		}
	})
}
