package judge

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// xadd is an entry that is to stand in a stream.
type xadd struct {
	stream cdc.Stream
	id     string
	fields []string
}

func normal(partition int) cdc.Stream { return cdc.Stream{Lane: "normal", Partition: partition} }

// sound is a small log, what a witness saw of it, and the table that came of it: a
// row made, changed without its note, moved to another key, another row made and
// deleted, all rows gone, one made again, and one read by a backfill.
func sound() (facts []Fact, log []xadd, tables Rows) {
	add := func(s cdc.Stream, id, op, key, after, absent string) {
		fields := []string{"op", op, "table", "t", "ts", "7", "xid", "9"}
		for name, v := range map[string]string{"key": key, "after": after, "absent": absent} {
			if v != "" {
				fields = append(fields, name, v)
			}
		}
		log = append(log, xadd{s, id, fields})
		at, err := cdc.ParsePosition(id)
		if err != nil {
			panic(err) // the ids stand below
		}
		f := Fact{At: at, Op: op, Table: "t", TS: 7, XID: 9}
		if key != "" {
			if f.Key, err = KeyOf([]byte(key)); err != nil {
				panic(err)
			}
		}
		if op != "r" && op != "s" && at.LSN != 65 && (len(facts) == 0 || facts[len(facts)-1] != f) {
			facts = append(facts, f)
		}
	}
	add(normal(0), "10-0", "c", `{"id":7}`, `{"id":7,"note":"gone soon"}`, "")
	for _, lane := range cdc.Lanes() {
		for p := range 2 {
			add(cdc.Stream{Lane: lane, Partition: p}, "15-0", "t", "", "", "")
		}
	}
	add(normal(0), "18-0", "c", `{"id":6}`, `{"id":6,"note":"swept"}`, "")
	add(normal(0), "20-0", "c", `{"id":1}`, `{"id":1,"note":"long"}`, "")
	add(normal(0), "30-0", "u", `{"id":1}`, `{"id":1}`, `["note"]`)
	add(normal(1), "30-2", "c", `{"id":9}`, `{"id":9,"note":null}`, "")
	add(normal(0), "40-0", "d", `{"id":1}`, "", "")
	add(normal(1), "40-1", "c", `{"id":2}`, `{"id":2}`, `["note"]`)
	add(normal(1), "50-0", "d", `{"id":9}`, "", "")
	add(cdc.Stream{Lane: "bulk", Partition: 0}, "60-0", "r", `{"id":3}`, `{"id":3,"note":"read"}`, "")
	add(cdc.Stream{Lane: "bulk", Partition: 1}, "65-0", "d", `{"id":4}`, "", "") // it was asked for by its key
	for _, lane := range cdc.Lanes() {
		for p := range 2 {
			add(cdc.Stream{Lane: lane, Partition: p}, "68-0", "s", "", "", "")
			log[len(log)-1].fields = append(log[len(log)-1].fields, "since", "35-0")
		}
	}
	tables = Rows{}
	for key, text := range map[string]string{`id="2"`: `{"id":2,"note":"long"}`, `id="3"`: `{"id":3,"note":"read"}`} {
		var row map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			panic(err)
		}
		tables.Add("t", key, row)
	}
	return facts, log, tables
}

// judged puts a log into a server and judges it.
func judged(t *testing.T, facts []Fact, entries []xadd, tables Rows) (*Verdict, *Log) {
	t.Helper()
	server := miniredis.RunT(t)
	l := &Log{Client: redis.NewClient(&redis.Options{Addr: server.Addr()}), Name: "x", Partitions: 2}
	t.Cleanup(func() { l.Client.Close() })
	for _, e := range entries {
		if _, err := server.XAdd(l.Key(e.stream), e.id, e.fields); err != nil {
			t.Fatal(err)
		}
	}
	v, err := Compare(t.Context(), l, facts, tables)
	if err != nil {
		t.Fatal(err)
	}
	return v, l
}

// The judge must see each kind of wrong, and nothing in what is right.
func TestCompare(t *testing.T) {
	t.Parallel()
	facts, log, tables := sound()
	v, _ := judged(t, facts, log, tables)
	if len(v.Findings) > 0 || v.Entries != 12 || v.Rows != 2 || v.Absent != 2 {
		t.Errorf("a sound log: %+v", v)
	}
	field := func(l []xadd, id, name, value string) []xadd {
		for i := range l {
			if at := slices.Index(l[i].fields, name); l[i].id == id && at >= 0 {
				l[i].fields[at+1] = value
			}
		}
		return l
	}
	without := func(l []xadd, id string) []xadd {
		i := slices.IndexFunc(l, func(x xadd) bool { return x.id == id })
		return slices.Delete(l, i, i+1)
	}
	at := func(l []xadd, id string) *xadd {
		return &l[slices.IndexFunc(l, func(x xadd) bool { return x.id == id })]
	}
	for name, c := range map[string]struct {
		spoil func([]xadd) []xadd
		finds string
	}{
		"an entry is missing":        {func(l []xadd) []xadd { return without(l, "30-2") }, "missing: 30-2"},
		"the last entry is missing":  {func(l []xadd) []xadd { return without(l, "50-0") }, "missing: 50-0"},
		"the create half is missing": {func(l []xadd) []xadd { return without(l, "40-1") }, "missing: 40-1"},
		"an entry is in two lanes": {func(l []xadd) []xadd {
			return slices.Insert(l, 9, xadd{cdc.Stream{Lane: "urgent"}, "20-0", at(l, "20-0").fields})
		}, "twice: 20-0"},
		"an entry too many": {func(l []xadd) []xadd { return append(l, xadd{normal(1), "70-0", at(l, "20-0").fields}) }, "not of the source: 70-0"},
		"another op":        {func(l []xadd) []xadd { return field(l, "30-0", "op", "c") }, "30-0 says"},
		"another key":       {func(l []xadd) []xadd { return field(l, "50-0", "key", `{"id":8}`) }, "50-0 says"},
		"another time":      {func(l []xadd) []xadd { return field(l, "20-0", "ts", "8") }, "20-0 says"},
		"another value":     {func(l []xadd) []xadd { return field(l, "20-0", "after", `{"id":1,"note":"wrong"}`) }, `it has note "wrong", want "long"`},
		"null for absent": {func(l []xadd) []xadd {
			return field(field(l, "30-0", "after", `{"id":1,"note":null}`), "30-0", "absent", `[]`)
		}, "it has note null"},
		"absent and there":               {func(l []xadd) []xadd { return field(l, "30-0", "after", `{"id":1,"note":null}`) }, "note is absent and there"},
		"a key in two partitions":        {func(l []xadd) []xadd { at(l, "50-0").stream.Partition = 0; return l }, "is in partitions 1 and 0"},
		"a truncate that is not in all":  {func(l []xadd) []xadd { return without(l, "15-0") }, "is in 5 of 6 streams"},
		"a truncate that is in no place": {func(l []xadd) []xadd { return slices.DeleteFunc(l, func(x xadd) bool { return x.id == "15-0" }) }, "missing: 15-0 t"},
		"a backfill in another lane":     {func(l []xadd) []xadd { at(l, "60-0").stream.Lane = "normal"; return l }, "a row of a backfill is in lane normal"},
		"a backfill's row is missing":    {func(l []xadd) []xadd { return without(l, "60-0") }, "the row is missing"},
		"a sweep of too much":            {func(l []xadd) []xadd { return field(l, "68-0", "since", "63-0") }, "the row is missing"},
		"a sweep of too little":          {func(l []xadd) []xadd { return field(l, "68-0", "since", "5-0") }, "the row should not be there"},
		"a sweep of nothing":             {func(l []xadd) []xadd { return field(l, "68-0", "since", "") }, "op s since 0-0"},
		"a delete that nobody made":      {func(l []xadd) []xadd { at(l, "65-0").stream.Lane = "normal"; return l }, "not of the source: 65-0"},
		"a row without its row":          {func(l []xadd) []xadd { return field(l, "20-0", "op", "d") }, "op d with a row: true"},
		"a stream of another lane":       {func(l []xadd) []xadd { return append(l, xadd{cdc.Stream{Lane: "lost"}, "80-0", at(l, "20-0").fields}) }, "should not be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts, log, tables := sound()
			v, _ := judged(t, facts, c.spoil(log), tables)
			var found []string
			for _, f := range v.Findings {
				found = append(found, f.What)
			}
			if !strings.Contains(strings.Join(found, "\n"), c.finds) {
				t.Errorf("found %q, want %q", found, c.finds)
			}
		})
	}
}

func TestWalkSeesStreamsThatDoNotRise(t *testing.T) {
	t.Parallel()
	_, log, _ := sound()
	l := &Log{Client: fallen(t, log), Name: "x", Partitions: 2}
	var found []Finding
	if err := l.walk(t.Context(), func(*Entry) {}, func(f Finding) { found = append(found, f) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || !strings.Contains(found[0].What, "20-0 after 30-0") {
		t.Errorf("found %+v", found)
	}
}

// fallen serves a stream that no server would take: its answers are turned round.
func fallen(t *testing.T, log []xadd) redis.UniversalClient {
	t.Helper()
	server := miniredis.RunT(t)
	for _, e := range log {
		if e.stream == normal(0) && (e.id == "20-0" || e.id == "30-0") {
			if _, err := server.XAdd("walbridge:{x:0}:log:normal", e.id, e.fields); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := redis.NewClient(&redis.Options{Addr: server.Addr()})
	c.AddHook(turned{})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestStory(t *testing.T) {
	t.Parallel()
	facts, log, tables := sound()
	log = slices.DeleteFunc(log, func(x xadd) bool { return x.id == "30-0" })
	v, l := judged(t, facts, log, tables)
	if len(v.Findings) != 1 {
		t.Fatalf("found %+v", v.Findings)
	}
	at := time.UnixMicro(7)
	text, err := v.Story(t.Context(), l, v.Findings[0], []Deed{
		{From: at, To: at.Add(time.Second), What: "kill -9 of redis"}, {From: at.Add(time.Hour), To: at.Add(time.Hour), What: "much later"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"missing: 30-0 u t id=\"1\"", "source 30-0 u", "log    20-0 c in normal/0", "deed   kill -9 of redis, for 1s"} {
		if !strings.Contains(text, want) {
			t.Errorf("the story lacks %q:\n%s", want, text)
		}
	}
	for _, other := range []string{"much later", "30-2", "50-0"} {
		if strings.Contains(text, other) {
			t.Errorf("the story has %q, which is of another:\n%s", other, text)
		}
	}
}

func TestDifference(t *testing.T) {
	t.Parallel()
	text := func(s string) json.RawMessage { return json.RawMessage(s) }
	want := map[string]json.RawMessage{"n": text("1.50"), "s": text(`"é"`), "z": text("null"), "o": text(`{"a": [1, null], "b": true}`)}
	same := map[string]json.RawMessage{"n": text("1.5"), "s": text(`"\u00e9"`), "z": text("null"), "o": text(`{"b":true,"a":[1.0,null]}`)}
	if found := difference(want, same); found != "" {
		t.Errorf("the same in other words: %s", found)
	}
	for name, spoil := range map[string]func(m map[string]json.RawMessage){
		"other number":  func(m map[string]json.RawMessage) { m["n"] = text("1.51") },
		"text for null": func(m map[string]json.RawMessage) { m["z"] = text(`"null"`) },
		"null for text": func(m map[string]json.RawMessage) { m["s"] = text("null") },
		"within":        func(m map[string]json.RawMessage) { m["o"] = text(`{"b":true,"a":[1,0]}`) },
		"column short":  func(m map[string]json.RawMessage) { delete(m, "n") },
		"column long":   func(m map[string]json.RawMessage) { m["x"] = text("1") },
	} {
		have := maps.Clone(want)
		spoil(have)
		if difference(want, have) == "" {
			t.Errorf("%s: found nothing", name)
		}
	}
}
