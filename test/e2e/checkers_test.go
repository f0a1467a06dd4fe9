package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

// sound is a small log and what a witness saw of it: a row made, changed without
// its note, moved to another key, and another row made and deleted.
func sound() (facts, []entry) {
	row := func(text string) (m map[string]json.RawMessage) {
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			panic(err) // the text stands below
		}
		return m
	}
	list := []entry{
		{at: cdc.Position{LSN: 10}, part: 0, fact: fact{op: "c", key: `id="1"`}, after: row(`{"id":1,"note":"long"}`)},
		{at: cdc.Position{LSN: 20}, part: 0, fact: fact{op: "u", key: `id="1"`}, after: row(`{"id":1}`), absent: []string{"note"}},
		{at: cdc.Position{LSN: 20, Ordinal: 2}, part: 1, fact: fact{op: "c", key: `id="9"`}, after: row(`{"id":9}`)},
		{at: cdc.Position{LSN: 30}, part: 0, fact: fact{op: "d", key: `id="1"`}},
		{at: cdc.Position{LSN: 30, Ordinal: 1}, part: 2, fact: fact{op: "c", key: `id="2"`}, after: row(`{"id":2}`), absent: []string{"note"}},
		{at: cdc.Position{LSN: 40}, part: 1, fact: fact{op: "d", key: `id="9"`}},
	}
	want := facts{}
	for i := range list {
		list[i].fact.table = "t"
		want[list[i].at] = list[i].fact
	}
	return want, list
}

// The checkers must see each kind of wrong, and nothing in what is right.
func TestCheckFactsSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	want, list := sound()
	if found := checkFacts(want, list); len(found) > 0 {
		t.Errorf("a sound log: %q", found)
	}
	for name, c := range map[string]struct {
		spoil func([]entry) []entry
		finds string
	}{
		"an entry is missing": {func(l []entry) []entry { return slices.Delete(l, 2, 3) }, "missing: 20-2"},
		"an entry is twice":   {func(l []entry) []entry { return append(l, l[1]) }, "twice: 20-0"},
		"an entry too many": {func(l []entry) []entry {
			l = append(l, l[0])
			l[len(l)-1].at.Ordinal = 4
			return l
		}, "not of the source: 10-4"},
		"a read row in a lane of changes": {func(l []entry) []entry {
			l = append(l, l[0])
			l[len(l)-1].at.LSN, l[len(l)-1].fact.op = 50, "r"
			return l
		}, "a row that was read stands at 50-0"},
		"another op":              {func(l []entry) []entry { l[1].fact.op = "c"; return l }, "20-0 says"},
		"another key":             {func(l []entry) []entry { l[3].fact.key = `id="3"`; return l }, "30-0 says"},
		"another time":            {func(l []entry) []entry { l[0].fact.ts++; return l }, "10-0 says"},
		"a key in two lanes'":     {func(l []entry) []entry { l[5].part = 3; return l }, "is in partitions 1 and 3"},
		"the create half missing": {func(l []entry) []entry { return slices.Delete(l, 4, 5) }, "missing: 30-1"},
	} {
		want, list := sound()
		if found := strings.Join(checkFacts(want, c.spoil(list)), "\n"); !strings.Contains(found, c.finds) {
			t.Errorf("%s: found %q, want %q", name, found, c.finds)
		}
	}
}

func TestCheckRises(t *testing.T) {
	t.Parallel()
	_, list := sound()
	if found := checkRises("s", list); len(found) > 0 {
		t.Errorf("a stream that rises: %q", found)
	}
	list[1], list[2] = list[2], list[1]
	if found := checkRises("s", list); len(found) != 1 {
		t.Errorf("a stream that falls: %q", found)
	}
}

func TestFoldKeepsAbsentColumns(t *testing.T) {
	t.Parallel()
	want := rows{`t id="2"`: {"id": json.RawMessage("2"), "note": json.RawMessage(`"long"`)}}
	_, list := sound()
	slices.Reverse(list) // by Position, not by arrival
	have, found := fold(list)
	if found = append(found, differences(want, have)...); len(found) > 0 {
		t.Errorf("a sound log: %q", found)
	}
	_, list = sound()
	delete(list[0].after, "note")
	if _, found := fold(list); len(found) == 0 {
		t.Error("an absent column that was never sent was not found")
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	text := func(s string) json.RawMessage { return json.RawMessage(s) }
	want := rows{"a": {"n": text("1.50"), "s": text(`"é"`), "z": text("null")}}
	same := rows{"a": {"n": text("1.5"), "s": text(`"\u00e9"`), "z": text("null")}}
	if found := differences(want, same); len(found) > 0 {
		t.Errorf("the same in other words: %q", found)
	}
	for name, have := range map[string]rows{
		"nothing":       {},
		"one too many":  {"a": want["a"], "b": {}},
		"other number":  {"a": {"n": text("1.51"), "s": text(`"é"`), "z": text("null")}},
		"text for null": {"a": {"n": text("1.5"), "s": text(`"é"`), "z": text(`"null"`)}},
		"null for text": {"a": {"n": text("1.5"), "s": text("null"), "z": text("null")}},
		"column short":  {"a": {"n": text("1.5"), "s": text(`"é"`)}},
		"column long":   {"a": func() map[string]json.RawMessage { m := maps.Clone(want["a"]); m["x"] = text("1"); return m }()},
	} {
		if len(differences(want, have)) != 1 {
			t.Errorf("%s: found %q", name, differences(want, have))
		}
	}
}
