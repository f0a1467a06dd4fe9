package form

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

func leaf(s string) *Tree { return &Tree{Kind: Text, Text: s} }

func object(pairs ...any) *Tree {
	t := &Tree{Kind: Object}
	for i := 0; i < len(pairs); i += 2 {
		t.Names, t.Items = append(t.Names, pairs[i].(string)), append(t.Items, pairs[i+1].(*Tree))
	}
	return t
}

func items(list ...*Tree) *Tree { return &Tree{Kind: List, Items: list} }

func field(name, value string) sinks.Field {
	return sinks.Field{Name: name, Value: json.RawMessage(value)}
}

func deal() sinks.Record {
	return sinks.Record{Mapping: "deals", Object: "Deal", Op: sinks.Upsert, Key: field("Ext", `"K 1"`), Position: cdc.Position{LSN: 7, Ordinal: 2},
		Fields: []sinks.Field{field("Amount", "12345678901234567.890"), field("Note", "null"), field("Tags", `["a", {"b":1}]`), field("Open", "true")}}
}

// compile makes a plan with one request for upserts.
func compile(t testing.TB, edit func(*Form, *Request)) *Call {
	t.Helper()
	r := &Request{Path: "/x"}
	f := &Form{URL: "https://api.test/v1/?k=1#f", Requests: map[string]*Request{Upsert: r}}
	edit(f, r)
	p, err := Compile(f)
	if err != nil {
		t.Fatal(err)
	}
	return p.Call(Upsert)
}

func TestBodies(t *testing.T) {
	for name, c := range map[string]struct {
		body  *Tree
		nulls string
		want  string
	}{
		"row":         {leaf("{row}"), "", `{"Ext":"K 1","Amount":12345678901234567.890,"Note":null,"Tags":["a", {"b":1}],"Open":true}`},
		"fields":      {object("a", leaf("{fields}")), "", `{"a":{"Amount":12345678901234567.890,"Note":null,"Tags":["a", {"b":1}],"Open":true}}`},
		"empty nulls": {object("n", leaf("{field.Note}"), "f", leaf("{fields}")), NullsEmpty, `{"n":"","f":{"Amount":12345678901234567.890,"Note":"","Tags":["a", {"b":1}],"Open":true}}`},
		"omit nulls":  {object("n", leaf("{field.Note}"), "f", leaf("{fields}")), NullsOmit, `{"f":{"Amount":12345678901234567.890,"Tags":["a", {"b":1}],"Open":true}}`},
		"absent":      {object("a", leaf("{field.None}"), "b", leaf("{key}"), "c", items(leaf("{field.None}"), leaf("{op}"))), "", `{"b":"K 1","c":["upsert"]}`},
		"spread":      {object("Open", leaf("mine"), Spread, leaf("{row}"), "z", &Tree{Kind: Literal, Text: "1.50"}), "", `{"Open":"mine","Ext":"K 1","Amount":12345678901234567.890,"Note":null,"Tags":["a", {"b":1}],"z":1.50}`},
		"own place":   {object("list", items(object("a", leaf("{field.Amount}"), "n", leaf("{field.Open}!"))), Spread, leaf("{fields}")), "", `{"list":[{"a":12345678901234567.890,"n":"true!"}],"Note":null,"Tags":["a", {"b":1}]}`},
		"texts":       {items(leaf("{{{object}}} {key} {position} {field.Amount} {field.Open} {mapping} {key.name}")), "", `["{Deal} K 1 7-2 12345678901234567.890 true deals Ext"]`},
		"names":       {object("{key.name}", leaf("{key.text}"), "", leaf("")), "", `{"Ext":"K 1","":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			call := compile(t, func(f *Form, r *Request) { r.Body, f.Nulls = c.body, c.nulls })
			d := deal()
			m, err := call.Build("Deal", []Item{{Record: &d}})
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Body) != c.want || !json.Valid(m.Body) {
				t.Errorf("got  %s\nwant %s", m.Body, c.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	odd := sinks.Record{Object: "Deal", Op: sinks.Upsert, Key: field("Ext", `"a/b?c=d&é"`)}
	call := compile(t, func(f *Form, r *Request) {
		f.Objects = map[string]string{"Deal": "d 1"}
		r.Path = "/o/{object}/k/{key}.json"
		r.Query = []Pair{{"{key.name}", "{key}"}, {"fixed", "a b"}}
		r.Headers = []Pair{{"X-Key", "{key}!"}}
	})
	m, err := call.Build("Deal", []Item{{Record: &odd}})
	want := "https://api.test/v1/o/d%201/k/a%2Fb%3Fc=d&%C3%A9.json?k=1&Ext=a%2Fb%3Fc%3Dd%26%C3%A9&fixed=a+b"
	if err != nil || m.URL != want || m.Header.Get("X-Key") != "a/b?c=d&é!" {
		t.Errorf("got  %+v %v\nwant %s", m, err, want)
	}
	for _, key := range []string{`""`, `"."`, `".."`, "null", `{"a":1}`, `[1]`, `"a\nb"`} {
		bad := sinks.Record{Object: "Deal", Op: sinks.Upsert, Key: field("Ext", key)}
		var rej *sinks.Rejected
		if _, err := call.Build("Deal", []Item{{Record: &bad}}); !errors.As(err, &rej) || rej.Code != CodeEncode {
			t.Errorf("the key %s: %v", key, err)
		}
	}
}

func TestForms(t *testing.T) {
	d := deal()
	call := compile(t, func(_ *Form, r *Request) {
		r.Format, r.Body = FormatForm, object("ext id", leaf("{key}"), "amount", leaf("{field.Amount}"), "note", leaf("{field.Note}"), "open", leaf("{field.Open}"))
	})
	m, err := call.Build("Deal", []Item{{Record: &d}})
	if want := "ext+id=K+1&amount=12345678901234567.890&note=&open=true"; err != nil || string(m.Body) != want || m.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("form: %s %v", m.Body, err)
	}
	call = compile(t, func(_ *Form, r *Request) { r.Format, r.Body = FormatForm, leaf("{fields}") })
	var rej *sinks.Rejected
	if _, err := call.Build("Deal", []Item{{Record: &d}}); !errors.As(err, &rej) { // it has a list
		t.Errorf("a list in a form: %v", err)
	}
	call = compile(t, func(_ *Form, r *Request) {
		r.Format, r.Body, r.Record = FormatNDJSON, leaf("{records}"), leaf("{fields}")
	})
	m, err = call.Build("Deal", []Item{{Record: &d}, {Record: &d}})
	line := `{"Amount":12345678901234567.890,"Note":null,"Tags":["a",{"b":1}],"Open":true}` + "\n"
	if err != nil || string(m.Body) != line+line {
		t.Errorf("lines: %s %v", m.Body, err)
	}
}

// A message has the same id for the same records in the same state only.
func TestMessageID(t *testing.T) {
	call := compile(t, func(f *Form, r *Request) { r.Body = leaf("{message_id}") })
	seen := map[string]string{}
	for name, edit := range map[string]func(*sinks.Record){
		"same": func(*sinks.Record) {}, "fields": func(r *sinks.Record) { r.Fields = nil },
		"field name": func(r *sinks.Record) { r.Fields[0].Name = "Amt" }, "value": func(r *sinks.Record) { r.Fields[0].Value = json.RawMessage("2") }, "again": func(*sinks.Record) {}, "mapping": func(r *sinks.Record) { r.Mapping = "dealsE" },
		"key": func(r *sinks.Record) { r.Key.Value = json.RawMessage("1") }, "op": func(r *sinks.Record) { r.Op = sinks.Delete },
		"position": func(r *sinks.Record) { r.Position.Ordinal = 4 }, "key name": func(r *sinks.Record) { r.Key.Name = "xt" },
	} {
		d := deal()
		edit(&d)
		m, err := call.Build("Deal", []Item{{Record: &d}})
		if err != nil || string(m.Body) != `"`+m.ID+`"` || !strings.HasPrefix(m.ID, "msg_") || len(m.ID) > 64 {
			t.Fatalf("%s: %+v %v", name, m, err)
		}
		if name == "again" {
			name = "same"
		}
		for other, id := range seen {
			if (other == name) != (id == m.ID) {
				t.Errorf("%s and %s: %s, %s", name, other, m.ID, id)
			}
		}
		seen[name] = m.ID
	}
}

func answer(status int, body string) *transport.Answer {
	return &transport.Answer{Host: "api.test", Status: status, Body: []byte(body)}
}

func exact(f sinks.Field) string { return sinks.ExactKey(f.Value) }

// say is what results come to, in a word each.
func say(rs []sinks.Result, err error) string {
	word := func(r sinks.Result) string {
		if r.Err == nil {
			return "ok " + r.RemoteID
		}
		return sinks.Code(r.Err)
	}
	if err != nil {
		return "all " + word(sinks.Result{Err: err})
	}
	words := make([]string, len(rs))
	for i, r := range rs {
		words[i] = word(r)
	}
	return strings.Join(words, ", ")
}

func TestResults(t *testing.T) {
	list := Results{List: "results", OK: Condition{Path: "ok", Equals: json.RawMessage("true")}, ID: "id", Code: "error.code", Message: "error.text", Retry: "again"}
	matched := Results{List: "a.b", Match: "ref", ID: "id", OK: Condition{Path: "errors"}, Code: "errors[0].code"}
	keys := Results{Keys: []string{"created", "updated", "deleted"}, Absent: []string{Delete}}
	for _, c := range []struct {
		results Results
		body    string
		want    string
	}{
		{Results{}, "<html>", "ok , ok , ok "},
		{list, `{"results":[{"ok":true,"id":5},{"ok":false,"error":{"code":"BAD","text":"x"}},{"ok":false,"again":true}]}`, "ok 5, BAD, retryable"},
		{list, `{"results":[{"ok":true},{},{"ok":"yes"}]}`, "ok , unknown_outcome, unknown_outcome"},
		{list, `{"results":[{"ok":true,"id":"a"}]}`, "ok a, unknown_outcome, unknown_outcome"},
		{list, `{"results":[{},{},{},{}]}`, "all unknown_outcome"},
		{list, `{"results":null}`, "all unknown_outcome"},
		{list, `{"results":{}}`, "all unknown_outcome"},
		{list, `nothing`, "all unknown_outcome"},
		{matched, `{"a":{"b":[{"ref":"3","id":"c"},{"ref":1,"id":"a"},{"ref":"9"}]}}`, "ok a, unknown_outcome, ok c"},
		{matched, `{"a":{"b":[{"ref":2,"errors":[{"code":"DUP"}]},{"ref":1,"errors":[]}]}}`, "ok , DUP, unknown_outcome"},
		{keys, `{"created":["1"],"updated":[2],"deleted":[]}`, "ok , ok , ok "},
		{keys, `{"created":["1"],"updated":[],"deleted":["3"]}`, "ok , unknown_outcome, ok "},
		{keys, `{"created":["1"],"updated":[]}`, "all unknown_outcome"},
		{Results{OK: Condition{Path: "ok", Equals: json.RawMessage("true")}}, `{"ok":true}`, "ok , ok , ok "},
		{Results{OK: Condition{Path: "ok", Equals: json.RawMessage("true")}}, `{"ok":false,"code":"NO"}`, "all NO"},
		{Results{OK: Condition{Path: "ok", Equals: json.RawMessage("true")}}, `{}`, "all unknown_outcome"},
		{Results{Success: Condition{Path: "error"}, List: "."}, `{"error":"no","message":"m"}`, "all refused"},
	} {
		call := compile(t, func(_ *Form, r *Request) { r.Body, r.Record, r.Results = leaf("{records}"), leaf("{row}"), c.results })
		records := []sinks.Record{{Op: sinks.Upsert, Key: field("E", "1")}, {Op: sinks.Upsert, Key: field("E", `"2"`)}, {Op: sinks.Delete, Key: field("E", "3")}}
		in := []Item{{Record: &records[0]}, {Record: &records[1]}, {Record: &records[2]}}
		if got := say(call.Results(answer(200, c.body), in, exact)); got != c.want {
			t.Errorf("%+v of %s: %s, want %s", c.results, c.body, got, c.want)
		}
	}
	d := deal()
	one := compile(t, func(_ *Form, r *Request) {
		r.Body, r.Results = leaf("{row}"), Results{Statuses: []int{400}, OK: Condition{Path: "fault"}, ID: "data.id", Code: "fault.code"}
	})
	for body, want := range map[string]string{
		` {"data":{"id":"x"}} `: "ok x", `{"fault":{"code":"E1"}}`: "E1", `{}`: "unknown_outcome", `[]`: "unknown_outcome", `7`: "unknown_outcome", ``: "all unknown_outcome",
	} {
		if got := say(one.Results(answer(200, body), []Item{{Record: &d}}, exact)); got != want {
			t.Errorf("one of %s: %s, want %s", body, got, want)
		}
	}
	if one.Takes(401) || !one.Takes(400) || !one.Takes(204) {
		t.Error("which statuses have results")
	}
}

func TestSaying(t *testing.T) {
	for _, c := range []struct{ code, message, body, want string }{
		{"", "", `{"code":"A","message":"b"}`, "A|b"},
		{"", "", `plain`, "|plain"},
		{"", "", `{"detail":"x"}`, `|{"detail":"x"}`},
		{"e[0].c", "e[0].m", `{"e":[{"c":7,"m":"t"}]}`, "7|t"},
		{"", "detail", `{"detail":"x"}`, "|x"},
		{"", "detail", `{"detail":["x"]}`, `|{"detail":["x"]}`},
	} {
		call := compile(t, func(f *Form, _ *Request) { f.Code, f.Message = c.code, c.message })
		if s := call.plan.Saying([]byte(c.body)); s.Code+"|"+s.Message != c.want {
			t.Errorf("%s: %+v, want %s", c.body, s, c.want)
		}
	}
}

func TestPaths(t *testing.T) {
	doc := json.RawMessage(`{"a":{"b":[{"c":1},[2,3]]},"":4}`)
	for text, want := range map[string]string{"a.b[0].c": "1", "a.b[1][1]": "3", "a.b[2]": "", "a.x": "", "a.b.c": "", ".": string(doc), "a[0]": ""} {
		p, err := parsePath(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := string(p.get(doc)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, bad := range []string{"..", "a.", ".a", "a[", "a[x]", "a[-1]", "a[0]b", "a.[0]", "a[9999]"} {
		if p, err := parsePath(bad); err == nil {
			t.Errorf("%q is a path: %v", bad, p)
		}
	}
	if p, err := parsePath("[0].a"); err != nil || !reflect.DeepEqual(p, path{{index: 0, list: true}, {name: "a"}}) {
		t.Errorf("an index at first: %v %v", p, err)
	}
}

// FuzzResults holds that no answer brings the reader down, and that there is a result for each
// record.
func FuzzResults(f *testing.F) {
	for _, s := range []string{`{"results":[{"ok":true,"id":1}]}`, `[]`, `{"results":[{"ok":{}}]}`, "\x00", ` null `} {
		f.Add(s, "results", "ok", "id[0].x")
	}
	f.Fuzz(func(t *testing.T, body, list, ok, id string) {
		for _, match := range []string{"", "{key.name}", id} {
			r := &Request{Body: leaf("{records}"), Record: leaf("{row}"),
				Results: Results{List: list, Match: match, OK: Condition{Path: ok, Equals: json.RawMessage("true")}, ID: id, Code: ok, Message: list}}
			p, err := Compile(&Form{URL: "https://a", Requests: map[string]*Request{Upsert: r}})
			if err != nil {
				continue
			}
			d := deal()
			rs, err := p.Call(Upsert).Results(answer(200, body), []Item{{Record: &d}, {Record: &d}}, exact)
			if err == nil && len(rs) != 2 {
				t.Errorf("%d results", len(rs))
			}
		}
	})
}

// FuzzTemplate holds that what is built of any template and value is JSON.
func FuzzTemplate(f *testing.F) {
	f.Add("{key} {{x}} {field.A}", `"v"`, "name")
	f.Add("{row}", `1.50`, "{key.name}")
	f.Fuzz(func(t *testing.T, text, value, name string) {
		if !json.Valid([]byte(value)) || strings.TrimSpace(value) != value {
			return
		}
		p, err := Compile(&Form{URL: "https://a", Requests: map[string]*Request{Upsert: {Body: object(name, leaf(text), "list", items(leaf(text)))}}})
		if err != nil {
			return
		}
		d := sinks.Record{Op: sinks.Upsert, Key: field("K", `"k"`), Fields: []sinks.Field{field("A", value), field(name, value)}}
		m, err := p.Call(Upsert).Build("Deal", []Item{{Record: &d}})
		if err == nil && !json.Valid(m.Body) {
			t.Errorf("%q", m.Body)
		}
	})
}
