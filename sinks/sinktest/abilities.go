package sinktest

import (
	"encoding/json"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// abilityChecks hold a target against what it says that it can do.
var abilityChecks = []check{
	{name: "delete", run: func(st *stage) { checkDelete(st, sinks.Delete, st.abilities().Delete) }},
	{name: "archive", run: func(st *stage) { checkDelete(st, sinks.Archive, st.abilities().Archive) }},
	{name: "absent_is_not_null", run: checkAbsent},
	{name: "null_clears", run: checkClear},
	{name: "older_is_skipped", run: checkOrdered},
	{name: "orphan", on: func(s *Subject, _ bool) bool { return s.Orphan.Name != "" }, run: checkOrphan},
	{name: "key_collation", run: checkCollation},
}

// checkDelete deletes: what is there, again, and what never was. All three are success, since
// a delete is repeated as anything else (I9).
func checkDelete(st *stage, op sinks.Op, able bool) {
	st.must("make", st.several(3, "made")...)
	if !able {
		rs := st.deliver(st.record(op, named("001")), st.upsert(named("002"), "kept"))
		if k := kindOf(rs[0].Err); k != rejected || sinks.Code(rs[0].Err) != sinks.CodeNoDelete {
			st.Errorf("a record that cannot be deleted is %s with the code %s, want %s with %s", k, sinks.Code(rs[0].Err), rejected, sinks.CodeNoDelete)
		}
		st.want("the other record of the batch", rs[1:], delivered)
		return
	}
	gone := []sinks.Record{st.record(op, named("000")), st.record(op, named("001"))}
	st.must(op.String(), gone...)
	if n := len(st.held()); n != 1 {
		st.Errorf("the server holds %d records after the %s of 2 of 3", n, op)
	}
	st.must(op.String()+" twice", gone...)
	st.must(op.String()+" of what never was, and an upsert", st.record(op, named("never")), st.upsert(named("002"), "changed"))
	st.must("made again", st.upsert(named("001"), "again"))
	st.must(op.String()+" once more", st.record(op, named("001")), st.record(op, named("002")))
	if n := len(st.held()); n != 0 {
		st.Errorf("the server holds %d records, want none", n)
	}
}

// checkAbsent leaves a field out, in a record beside one that has it (I5).
func checkAbsent(st *stage) {
	if !st.abilities().Partial || st.s.Number == "" {
		st.Skip("the target takes whole records only, or the object has one field")
	}
	st.must("make", with(st.upsert(named("a"), "kept"), st.s.Number, "1"), with(st.upsert(named("b"), "kept"), st.s.Number, "1"))
	less, more := st.upsert(named("a"), "changed"), with(st.upsert(named("b"), "changed"), st.s.Number, "2")
	number := with(st.record(sinks.Upsert, named("c")), st.s.Number, "3")
	number.Fields = append(number.Fields, st.s.Also...)
	st.must("fewer fields", less, more, number)
	held := st.held()
	if v := held[named("a")][st.s.Number]; !same(v, json.RawMessage("1")) {
		st.Errorf("a field that was not in the record is %s, want 1 as before (I5)", show(v))
	}
	only := st.record(sinks.Upsert, named("b"))
	only.Fields = []sinks.Field{{Name: st.s.Number, Value: json.RawMessage("4")}}
	st.must("one field", only)
	if v := st.held()[named("b")][st.s.Text]; !same(v, text("changed")) {
		st.Errorf("a field that was not in the record is %s, want %s as before (I5)", show(v), text("changed"))
	}
}

// checkClear sends a null.
func checkClear(st *stage) {
	if !st.abilities().Clear {
		st.Skip("the target says that it cannot clear a field")
	}
	st.must("make", st.several(2, "there")...)
	st.must("null", with(st.upsert(named("000"), ""), st.s.Text, "null"), st.upsert(named("001"), "kept"))
	if v := st.held()[named("000")][st.s.Text]; !empty(v) {
		st.Errorf("after a null the field is %s", show(v))
	}
	st.must("null in a new record", with(st.upsert(named("new"), ""), st.s.Text, "null"))
}

// checkOrdered sends what is older than what the target has (I4). It counts as delivered, since
// there is nothing left to do.
func checkOrdered(st *stage) {
	if !st.abilities().Ordered {
		st.Skip("the target does not say that it keeps order")
	}
	old, oldDelete := st.upsert(named("a"), "old"), st.record(sinks.Delete, named("b"))
	st.must("make", st.upsert(named("a"), "new"), st.upsert(named("b"), "new"))
	st.must("older", old)
	if st.abilities().Delete {
		st.must("older delete", oldDelete)
	}
	newer := st.upsert(named("a"), "newest")
	newer.Position = cdc.Position{LSN: newer.Position.LSN, Ordinal: 1 << 63} // the ordinal counts, and is not signed
	last := newer
	last.Position.Ordinal++
	last = with(last, st.s.Text, string(text("last")))
	st.must("newer by its ordinal", newer)
	st.must("newer by one", last)
	st.must("older by one", newer)
	high := with(last, st.s.Text, string(text("high")))
	high.Position = cdc.Position{LSN: 1 << 63}
	st.must("a high position", high)
	st.must("older than that", last)
	if v := st.held()[named("a")][st.s.Text]; !same(v, text("high")) {
		st.Errorf("the record has %s, want %s", show(v), text("high"))
	}
}

// checkOrphan refers to a record that is not there: it has to wait for that one, and nothing else
// has to.
func checkOrphan(st *stage) {
	batch := st.several(3, "orphan")
	batch[1] = with(batch[1], st.s.Orphan.Name, string(st.s.Orphan.Value))
	rs := st.deliver(batch...)
	st.want("the one without a parent", rs[1:2], waiting)
	st.want("the others", []sinks.Result{rs[0], rs[2]}, delivered)
}

// checkCollation asks whether the target takes the same keys for the same as it says: what it
// says decides which rows may not be two records.
func checkCollation(st *stage) {
	a, b := named("Key"), named("kEY")
	same := false
	if c, ok := st.target.(sinks.Collation); ok {
		fold := func(key string) string { return c.FoldKey(st.s.Object, sinks.Field{Name: st.s.Key, Value: quote(key)}) }
		same = fold(a) == fold(b)
		if same && !c.Folds() {
			st.Errorf("FoldKey makes one key of %q and %q, and Folds says that there are none", a, b)
		}
		if fold(a) == fold(named("another")) {
			st.Errorf("FoldKey makes one key of different ones")
		}
	}
	for _, key := range []string{a, b} {
		rs := st.send(st.Context(), st.target, st.upsert(key, key))
		st.want("the key "+key, rs, delivered)
	}
	want := 2
	if same {
		want = 1
	}
	if n := len(st.held()); n != want {
		st.Errorf("the server makes %d records of the keys %q and %q; by what the target says of its keys it should be %d", n, a, b, want)
	}
}
