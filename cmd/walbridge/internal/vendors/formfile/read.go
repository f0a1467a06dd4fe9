package formfile

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

// The keys of each section.
var (
	Keys          = []string{"url", "max_batch", "headers", "auth", "requests", "code", "message", "errors", "replace", "nulls", "objects", "fields"}
	RequestKeys   = []string{"method", "path", "query", "headers", "format", "body", "record", "records", "gone", "settle", "results"}
	ResultsKeys   = []string{"statuses", "success", "list", "match", "keys", "absent", "ok", "id", "code", "message", "retry", "status", "fields"}
	ConditionKeys = []string{"path", "equals"}
	AuthKeys      = []string{"type", "header", "prefix", "name", "token_url", "scope", "algorithm", "signs", "signature", "separator", "key_encoding", "headers"}
	FieldKeys     = []string{"name", "type", "length", "precision", "scale", "required", "not_null", "read_only", "create_only", "key", "values"}
	RuleKeys      = []string{"status", "code", "message", "then", "after"}
)

// reader reads the sections of a document. Mistakes are noted there.
type reader struct{ doc *yamldoc.Doc }

// read reads a form over what there is already.
func (r reader) read(n *yamldoc.Node, f *form.Form) {
	s := r.doc.Section(n, Keys...)
	s.Text("url", &f.URL)
	s.Int("max_batch", &f.MaxBatch)
	r.pairs(s.Node("headers"), &f.Headers)
	r.auth(s.Node("auth"), &f.Auth, nil)
	s.Text("code", &f.Code)
	s.Text("message", &f.Message)
	r.rules(s.Node("errors"), f)
	s.Bool("replace", &f.Replace)
	s.Text("nulls", &f.Nulls)
	r.texts(s.Node("objects"), func(name, to string) {
		if f.Objects == nil {
			f.Objects = map[string]string{}
		}
		f.Objects[name] = to
	})
	r.fields(s.Node("fields"), f)
	requests := s.Node("requests")
	r.doc.Section(requests, form.Names()...)
	if requests == nil || requests.Kind != yamldoc.Map {
		return
	}
	if f.Requests == nil {
		f.Requests = map[string]*form.Request{}
	}
	for i, k := range requests.Keys {
		if v := requests.Values[i]; v.Kind == yamldoc.Null {
			delete(f.Requests, k.Text) // it is taken out of the preset
		} else {
			if f.Requests[k.Text] == nil {
				f.Requests[k.Text] = &form.Request{}
			}
			r.request(v, f.Requests[k.Text])
		}
	}
}

// auth reads how a client proves who it is; but are further keys that somebody else reads.
func (r reader) auth(n *yamldoc.Node, a *form.Auth, but []string) {
	s := r.doc.Section(n, append(append([]string{}, AuthKeys...), but...)...)
	for _, f := range []struct {
		key string
		dst *string
	}{{"type", &a.Type}, {"header", &a.Header}, {"prefix", &a.Prefix}, {"name", &a.Name}, {"token_url", &a.TokenURL}, {"scope", &a.Scope},
		{"algorithm", &a.Algorithm}, {"signs", &a.Signs}, {"signature", &a.Signature}, {"separator", &a.Separator}, {"key_encoding", &a.KeyEncoding}} {
		s.Text(f.key, f.dst)
	}
	r.pairs(s.Node("headers"), &a.Headers)
}

func (r reader) request(n *yamldoc.Node, q *form.Request) {
	s := r.doc.Section(n, RequestKeys...)
	s.Text("method", &q.Method)
	s.Text("path", &q.Path)
	r.pairs(s.Node("query"), &q.Query)
	r.pairs(s.Node("headers"), &q.Headers)
	s.Text("format", &q.Format)
	s.Duration("settle", &q.Settle)
	r.tree(s.Node("body"), &q.Body)
	r.tree(s.Node("record"), &q.Record)
	if m := s.Node("records"); m != nil && r.isMap(m, "write records: {upsert: …, delete: …}") {
		q.Records = map[string]*form.Tree{}
		for i, k := range m.Keys {
			var t *form.Tree
			r.tree(m.Values[i], &t)
			q.Records[k.Text] = t
		}
	}
	r.numbers(s.Node("gone"), &q.Gone)
	r.results(s.Node("results"), &q.Results)
}

func (r reader) results(n *yamldoc.Node, q *form.Results) {
	s := r.doc.Section(n, ResultsKeys...)
	r.numbers(s.Node("statuses"), &q.Statuses)
	r.condition(s.Node("success"), &q.Success)
	s.Text("list", &q.List)
	s.Text("match", &q.Match)
	s.Texts("keys", &q.Keys)
	s.Texts("absent", &q.Absent)
	r.condition(s.Node("ok"), &q.OK)
	for _, f := range []struct {
		key string
		dst *string
	}{{"id", &q.ID}, {"code", &q.Code}, {"message", &q.Message}, {"retry", &q.Retry}, {"status", &q.Status}, {"fields", &q.Fields}} {
		s.Text(f.key, f.dst)
	}
}

func (r reader) condition(n *yamldoc.Node, c *form.Condition) {
	if n == nil {
		return
	}
	s := r.doc.Section(n, ConditionKeys...)
	s.Require("path", "success")
	*c = form.Condition{}
	s.Text("path", &c.Path)
	if v := s.Node("equals"); v != nil {
		t, ok := scalar(v)
		if !ok {
			r.doc.Fail(v, "want a text, a number or a boolean, not "+v.Kind.String(), "", "leave it out where a success is that there is nothing")
			return
		}
		c.Equals = t
	}
}

// scalar gives a text, a number or a boolean as JSON.
func scalar(n *yamldoc.Node) (json.RawMessage, bool) {
	switch n.Kind {
	case yamldoc.Bool:
		return json.RawMessage(strings.ToLower(n.Text)), true
	case yamldoc.Number:
		return json.RawMessage(n.Text), json.Valid([]byte(n.Text))
	case yamldoc.String:
		b, err := json.Marshal(n.Text)
		return b, err == nil
	}
	return nil, false
}

// tree reads a piece of JSON.
func (r reader) tree(n *yamldoc.Node, dst **form.Tree) {
	if n == nil {
		return
	}
	t := &form.Tree{}
	switch n.Kind {
	case yamldoc.Null:
		t.Kind, t.Text = form.Literal, "null"
	case yamldoc.Bool:
		t.Kind, t.Text = form.Literal, strings.ToLower(n.Text)
	case yamldoc.Number:
		t.Kind, t.Text = form.Literal, n.Text
	case yamldoc.String:
		t.Kind, t.Text = form.Text, n.Text
	case yamldoc.List, yamldoc.Map:
		if t.Kind = form.List; n.Kind == yamldoc.Map {
			t.Kind = form.Object
		}
		for i, v := range n.Values {
			var item *form.Tree
			r.tree(v, &item)
			t.Items = append(t.Items, item)
			if n.Kind == yamldoc.Map {
				t.Names = append(t.Names, n.Keys[i].Text)
			}
		}
	}
	*dst = t
}

func (r reader) isMap(n *yamldoc.Node, hint string) bool {
	if n.Kind != yamldoc.Map {
		r.doc.Fail(n, "want a section of keys, not "+n.Kind.String(), "", hint)
	}
	return n.Kind == yamldoc.Map
}

// texts reads names with texts.
func (r reader) texts(n *yamldoc.Node, add func(name, text string)) {
	if n == nil || !r.isMap(n, "write {name: value}") {
		return
	}
	for i, k := range n.Keys {
		var text string
		r.doc.Text(n.Values[i], &text)
		add(k.Text, text)
	}
}

// pairs reads names with templates; they take the place of all that there were.
func (r reader) pairs(n *yamldoc.Node, dst *[]form.Pair) {
	if n == nil {
		return
	}
	*dst = nil
	r.texts(n, func(name, text string) { *dst = append(*dst, form.Pair{Name: name, Value: text}) })
}

func (r reader) numbers(n *yamldoc.Node, dst *[]int) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.List {
		r.doc.Fail(n, "want a list of numbers, not "+n.Kind.String(), n.Shown(), "write it in [ ]")
		return
	}
	*dst = []int{}
	for _, v := range n.Values {
		i, err := strconv.Atoi(v.Text)
		if v.Kind != yamldoc.Number || err != nil {
			r.doc.Fail(v, "not a whole number", v.Shown(), "write digits only, without quotes")
		}
		*dst = append(*dst, i)
	}
}

func (r reader) rules(n *yamldoc.Node, f *form.Form) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.List {
		r.doc.Fail(n, "want a list of rules, not "+n.Kind.String(), n.Shown(), "write {status: 409, then: retry} as one of a list")
		return
	}
	f.Rules = nil
	for _, v := range n.Values {
		f.Rules = append(f.Rules, r.rule(v))
	}
}

func (r reader) rule(n *yamldoc.Node) (rule sinks.Rule) {
	s := r.doc.Section(n, RuleKeys...)
	each := func(key string) (list []string) {
		v := s.Node(key)
		if v == nil {
			return nil
		}
		all := []*yamldoc.Node{v}
		if v.Kind == yamldoc.List {
			all = v.Values
		}
		for _, v := range all {
			if v.Kind != yamldoc.String && v.Kind != yamldoc.Number {
				r.doc.Fail(v, "want a text or a number, not "+v.Kind.String(), "", "")
				continue
			}
			if key == "status" && !sinks.StatusForm.MatchString(v.Text) {
				r.doc.Fail(v, "not a status", v.Text, "write a number such as 409, or a class such as 5xx")
			}
			list = append(list, v.Text)
		}
		return list
	}
	rule.Statuses, rule.Codes = each("status"), each("code")
	var message, then string
	if s.Text("message", &message); message != "" {
		re, err := regexp.Compile(message)
		if err != nil {
			r.doc.Fail(s.Node("message"), "not a regular expression", message, "write it as RE2, such as (?i)no such account")
		}
		rule.Message = re
	}
	s.Require("then", "retry")
	s.Text("then", &then)
	rule.Then = sinks.Then(then)
	known := make([]string, 0, len(sinks.Thens()))
	for _, t := range sinks.Thens() {
		known = append(known, string(t))
	}
	if v := s.Node("then"); v != nil && !contains(known, then) {
		r.doc.Fail(v, "unknown value", then, nearest.Hint(then, known, "write one of "+nearest.List(known)))
	}
	s.Duration("after", &rule.After)
	if len(rule.Statuses) == 0 && len(rule.Codes) == 0 && rule.Message == nil {
		r.doc.Fail(n, "the rule fits every answer", "", "add status, code or message")
	}
	return rule
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
