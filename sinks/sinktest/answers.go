package sinktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/walbridge/walbridge/sinks"
)

// answerChecks are about answers that are not what they should be.
var answerChecks = []check{
	{name: "success_without_success", on: onHTTP, run: checkNoSuccess},
	{name: "wrong_types", on: onHTTP, run: checkWrongTypes},
	{name: "not_json", on: onHTTP, run: func(st *stage) {
		html := "<html><body>Service temporarily unavailable " + secret + "</body></html>"
		batch := st.several(2, "html")
		st.wire.script(answer(200, html, "Content-Type", "text/html"))
		st.want("HTML with 200", st.deliver(batch...), unknown)
		st.wire.script(applied(func([]byte) []byte { return []byte(html) }))
		st.want("HTML with 200 after it was applied", st.deliver(batch...), unknown)
		st.heals("HTML", batch...)
	}},
	{name: "truncated", on: onHTTP, run: func(st *stage) {
		batch := st.several(3, "cut")
		st.wire.script(cut)
		st.want("half an answer", st.deliver(batch...), unknown)
		st.wire.script(applied(func(body []byte) []byte { return body[:len(body)/2] }))
		st.want("half an answer that looks like a whole one", st.deliver(batch...), unknown)
		st.heals("half an answer", batch...)
	}},
	{name: "huge", on: onHTTP, run: func(st *stage) {
		f := &flood{}
		st.wire.script(f.fault)
		batch := st.several(1, "huge")
		st.want("an answer without an end", st.deliver(batch...), unknown, delivered)
		if n := f.count(); n >= most {
			st.Errorf("%d bytes of an answer were read; want a bound", n)
		}
		st.heals("an answer without an end", batch...)
	}},
	{name: "another_order", on: func(s *Subject, http bool) bool { return http && s.Reorder != nil }, run: checkReorder},
	{name: "missing_result", on: func(s *Subject, http bool) bool { return http && s.Lose != nil }, run: func(st *stage) {
		batch := st.several(3, "lost")
		st.wire.script(applied(st.s.Lose))
		rs := st.deliver(batch...)
		st.want("the one that the answer says nothing of", rs[2:], unknown)
		st.want("the others", rs[:2], delivered, unknown)
		st.heals("an answer without one result", batch...)
	}},
}

// checkNoSuccess answers 2xx, and nothing was carried out.
func checkNoSuccess(st *stage) {
	batch := st.several(2, "nothing")
	for _, status := range []int{200, 201, 202, 207} {
		for _, body := range []string{"", "{}", "[]", "null", "true", "0", `""`, "[{},{}]", "[null,null]", `{"error":"` + secret + `"}`} {
			st.wire.script(answer(status, body))
			st.want(fmt.Sprintf("%d with the body %s", status, body), st.deliver(batch...), unknown)
		}
	}
	st.wire.script(answer(204, ""))
	st.want("204 without a body", st.deliver(batch...), unknown)
	st.heals("nothing", batch...)
}

// checkWrongTypes changes one value of the true answer at a time into one of another type: that
// must not be taken for a refusal, nor end in a panic.
func checkWrongTypes(st *stage) {
	batch := st.several(2, "types")
	var whole []byte
	st.wire.script(applied(func(body []byte) []byte { whole = slices.Clone(body); return body }))
	st.must("the true answer", batch...)
	for _, body := range distort(whole) {
		for i := range batch {
			batch[i].Position = st.next()
		}
		st.wire.script(applied(func([]byte) []byte { return body }))
		st.want("the answer "+string(bytes.ReplaceAll(body, []byte(private), nil)), st.deliver(batch...), delivered, unknown)
	}
	st.heals("another type", batch...)
}

// distort gives the variants of a JSON text in which one value, down to the fourth level, is of
// another type.
func distort(body []byte) (out [][]byte) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil
	}
	const deep, enough = 4, 200
	replace(v, func(any) {}, deep, func() {
		if b, err := json.Marshal(v); err == nil && len(out) < enough {
			out = append(out, b)
		}
	})
	return out
}

// replace puts values of other types in the place of each value, one at a time, and calls each.
func replace(v any, set func(any), deep int, each func()) {
	if deep == 0 {
		return
	}
	switch x := v.(type) {
	case map[string]any:
		for name, inner := range x {
			replace(inner, func(n any) { x[name] = n }, deep-1, each)
		}
	case []any:
		for i, inner := range x {
			replace(inner, func(n any) { x[i] = n }, deep-1, each)
		}
	}
	for _, n := range []any{"text", json.Number("-7"), nil, []any{}, map[string]any{}} {
		if fmt.Sprintf("%T", n) == fmt.Sprintf("%T", v) {
			continue // of the same type it may well mean something
		}
		set(n)
		each()
	}
	set(v)
}

// checkReorder gives the results in another order: of a bad record among good ones, and of good
// ones alone, which keep their ids.
func checkReorder(st *stage) {
	turn := func(w http.ResponseWriter, _ *http.Request, serve func() *httptest.ResponseRecorder) {
		a := serve()
		send(w, a.Code, a.Header(), st.s.Reorder(a.Body.Bytes()))
	}
	batch := st.several(4, "order")
	first := st.deliver(batch...)
	st.want("in order", first, delivered)
	st.wire.forever(turn)
	again := st.deliver(batch...)
	st.want("in another order", again, delivered)
	for i := range again {
		if again[i].RemoteID != first[i].RemoteID {
			st.Errorf("record %d has the id %q, and %q where the answer has another order", i, first[i].RemoteID, again[i].RemoteID)
		}
	}
	if st.s.Bad.Name != "" {
		batch[1] = with(batch[1], st.s.Bad.Name, string(st.s.Bad.Value))
		rs := st.deliver(batch...)
		st.want("the bad record", rs[1:2], rejected)
		st.want("a good one", []sinks.Result{rs[0]}, delivered, rejected)
	}
	st.wire.forever(nil)
	st.heals("another order", st.several(4, "order")...)
}
