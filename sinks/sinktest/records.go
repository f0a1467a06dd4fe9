package sinktest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/walbridge/walbridge/sinks"
)

// recordChecks are about what becomes of records when nothing goes wrong on the way.
var recordChecks = []check{
	{name: "upsert", run: func(st *stage) {
		st.must("make", st.several(3, "first")...)
		st.must("change", st.several(3, "second")...)
		st.must("one of several", st.upsert(named("001"), "third"))
		if n := len(st.held()); n != 3 {
			st.Errorf("the server holds %d records, want 3", n)
		}
	}},
	{name: "repeat", run: checkRepeat},
	{name: "restart", run: checkRestart},
	{name: "one_bad_record", run: checkBadRecord},
	{name: "odd_keys", run: checkOddKeys},
	{name: "exact_number", on: func(s *Subject, _ bool) bool { return s.Number != "" }, run: checkNumber},
	{name: "full_batch", run: func(st *stage) {
		const enough = 1000 // of a target that takes more
		all := st.several(min(st.target.Limits().MaxBatch, enough), "many")
		st.must("a full batch", all...)
		if n := len(st.held()); n != len(all) {
			st.Errorf("the server holds %d records, want %d", n, len(all))
		}
	}},
	{name: "several_goroutines", run: checkGoroutines},
}

// checkRepeat delivers the very same batch again, and a batch is left as it was (I9).
func checkRepeat(st *stage) {
	batch := st.several(3, "again")
	before := fmt.Sprintf("%+v", batch)
	st.must("first", batch...)
	held := st.held()
	st.must("again", batch...)
	if now := st.held(); len(now) != len(held) {
		st.Errorf("a repeat made %d records of %d (I9)", len(now), len(held))
	}
	if fmt.Sprintf("%+v", batch) != before {
		st.Errorf("Deliver has changed the records it was given, which are sent again as they are (I9)")
	}
}

// checkRestart goes on with another target, as after a restart, with the same notes.
func checkRestart(st *stage) {
	batch := st.several(3, "first")
	st.must("first", batch...)
	st.target = st.make(st.site())
	st.heals("after a restart", batch...)
	if st.abilities().Delete {
		st.must("delete", st.record(sinks.Delete, named("001")))
	}
}

// checkBadRecord puts a bad record among good ones (I6).
func checkBadRecord(st *stage) {
	if st.s.Bad.Name == "" {
		st.Fatalf("Subject.Bad is not set")
	}
	for at := range 3 {
		batch := st.several(3, fmt.Sprint("of ", at))
		batch[at] = with(batch[at], st.s.Bad.Name, string(st.s.Bad.Value))
		rs := st.deliver(batch...)
		for i := range rs {
			switch k := kindOf(rs[i].Err); {
			case i != at && k != delivered:
				// A target may refuse the whole batch: then the engine halves it, which
				// needs an answer that is held against the records, and not against us.
				if k != rejected || !is[*sinks.Rejected](rs[at].Err) {
					st.Errorf("record %d is %s (%v), as another one was bad (I6)", i, k, rs[i].Err)
				}
			case i == at && k != rejected:
				st.Errorf("the bad record is %s (%v), want %s", k, rs[i].Err, rejected)
			}
		}
		if k := kindOf(st.deliver(batch[at])[0].Err); k != rejected {
			st.Errorf("the bad record alone is %s, want %s", k, rejected)
		}
	}
	st.must("mended", st.several(3, "mended")...)
}

// checkOddKeys uses key values that have a meaning in URLs, JSON, SQL or CSV.
func checkOddKeys(st *stage) {
	keys := st.s.Keys
	if keys == nil {
		longest := st.s.KeyMax
		if longest == 0 {
			longest = 255
		}
		keys = []string{`it's`, `say "so"`, `back\slash`, `a/b?c=d&e#f`, `..`, `100% sure`, `%2F`, `a+b`, `two words`,
			`Ünïcödé 東京 🚀`, `jo@example.inc`, `a,b;c`, `tab` + "\t" + `here`, `{"a":1}`, `[1]`, `null`, `true`, `007`, `1e3`, `-`,
			`<b>&amp;`, `$1`, `{key}`, `${HOME}`, strings.Repeat("k", longest)}
	}
	for start := 0; start < len(keys); start += st.target.Limits().MaxBatch {
		part := keys[start:min(start+st.target.Limits().MaxBatch, len(keys))]
		batch := func(op sinks.Op, value string) (rs []sinks.Record) {
			for _, key := range part {
				r := st.upsert(key, value)
				if op != sinks.Upsert {
					r = st.record(op, key)
				}
				rs = append(rs, r)
			}
			return rs
		}
		st.must("odd keys", batch(sinks.Upsert, "odd")...)
		st.must("odd keys again", batch(sinks.Upsert, "odd again")...)
		if n := len(st.held()); n != len(part) {
			st.Errorf("the server holds %d records of %d keys", n, len(part))
		}
		if !st.abilities().Delete {
			return
		}
		st.must("delete odd keys", batch(sinks.Delete, "")...)
	}
	if n := len(st.held()); n > 0 {
		st.Errorf("the server holds %d records, want none", n)
	}
}

// checkNumber sends numbers that a float64 would change.
func checkNumber(st *stage) {
	exact := st.s.Exact
	if exact == "" {
		exact = "12345678901234567.890"
	}
	for i, n := range []string{exact, "-0.01", "100000000000", "0", "1.10"} {
		st.must("the number "+n, with(st.upsert(named(itoa(i)), "number"), st.s.Number, n))
	}
}

// goroutines is how many of them deliver at once.
const goroutines = 8

// checkGoroutines delivers from several goroutines at once.
func checkGoroutines(st *stage) {
	const rounds, each = 5, 4
	var all [goroutines][rounds][]sinks.Record
	for g := range all {
		for round := range all[g] {
			for i := range each {
				all[g][round] = append(all[g][round], st.upsert(named(fmt.Sprintf("%d-%d", g, i)), fmt.Sprint(g, " ", round)))
			}
		}
	}
	var wg sync.WaitGroup
	for g := range all {
		wg.Go(func() {
			for _, batch := range all[g] {
				rs, err := st.target.Deliver(st.Context(), sinks.Batch{Object: st.s.Object, Records: batch})
				if err != nil || len(rs) != each {
					st.Errorf("%d results, %v", len(rs), err)
					return
				}
				for i := range rs {
					if rs[i].Err != nil {
						st.Errorf("record %d: %v", i, rs[i].Err)
					}
				}
			}
		})
	}
	wg.Wait()
	held := st.held()
	for g := range all {
		for _, r := range all[g][rounds-1] {
			if key := sinks.ExactKey(r.Key.Value); !same(held[key][st.s.Text], last(r.Fields)) {
				st.Errorf("%q has %s, want %s", key, show(held[key][st.s.Text]), last(r.Fields))
			}
		}
	}
	if len(held) != goroutines*each {
		st.Errorf("the server holds %d records, want %d", len(held), goroutines*each)
	}
}

func last(fields []sinks.Field) json.RawMessage { return fields[len(fields)-1].Value }
