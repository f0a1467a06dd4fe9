package form

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// DefaultMaxBatch is the most records of a request where a Form does not say.
const DefaultMaxBatch = 200

// Plan is a Form that can work. It is safe for concurrent use.
type Plan struct {
	form *Form
	base string
	// calls are by the name of the request.
	calls  map[string]*Call
	errors paths // of refusals
}

// Call is a request of a Plan.
type Call struct {
	Name string
	// Many tells that it carries several records, and else one.
	Many bool
	// UsesID tells that it needs the API's own id of the record.
	UsesID bool
	// Gone are the statuses by which there is no such record.
	Gone []int
	// Settle is how long it takes until a lookup finds what was made.
	Settle time.Duration

	plan    *Plan
	method  string
	path    template
	query   []pair
	headers []pair
	format  string
	body    *node
	record  *node
	records map[sinks.Op]*node
	results results
	signs   bool // its message id is used
}

type pair struct{ name, value template }

// compiler collects mistakes.
type compiler struct {
	plan     *Plan
	problems Problems
}

func (c *compiler) fail(path, msg, value, hint string) {
	c.problems = append(c.problems, &Problem{Path: path, Msg: msg, Value: value, Hint: hint})
}

// Compile holds a Form against what can work. The error is of type Problems. The Form must not
// change any more.
func Compile(f *Form) (*Plan, error) {
	c := &compiler{plan: &Plan{form: f, base: f.URL, calls: map[string]*Call{}}}
	c.base()
	for _, name := range Names() { // in this order, for the mistakes
		if r := f.Requests[name]; r != nil {
			c.plan.calls[name] = c.request(name, r)
		}
	}
	for name := range f.Requests {
		if !slices.Contains(Names(), name) {
			c.fail("requests."+name, "no such request", name, "write one of "+strings.Join(Names(), ", "))
		}
	}
	c.auth()
	if len(c.problems) == 0 { // else most of it follows from those
		c.whole()
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return c.plan, nil
}

func (c *compiler) base() {
	f := c.plan.form
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" { // it may hold a secret
		c.fail("url", "not an address of a web server", "", "write an address such as https://api.example.com/v1")
	}
	if f.MaxBatch < 0 || f.MaxBatch > 10_000 {
		c.fail("max_batch", "out of range", fmt.Sprint(f.MaxBatch), "write a number from 1 to 10000")
	}
	if f.Nulls != "" && !slices.Contains([]string{NullsJSON, NullsEmpty, NullsOmit}, f.Nulls) {
		c.fail("nulls", "unknown value", f.Nulls, "write one of null, empty, omit")
	}
	c.plan.errors = paths{code: c.path("code", f.Code), message: c.path("message", f.Message)}
	for name, s := range f.Schema {
		if err := s.Validate(); err != nil {
			c.fail("schema."+name, err.Error(), "", `write {fields: [{name: Name, type: text}]}`)
		}
	}
}

// methods are what a request may have, with what it has if it does not say.
var methods = map[string]string{Batch: "POST", Upsert: "POST", Create: "POST", Update: "PATCH", Delete: "DELETE", Archive: "POST", Lookup: "GET", Read: "GET"}

func (c *compiler) request(name string, r *Request) *Call {
	at := "requests." + name
	call := &Call{Name: name, plan: c.plan, method: r.Method, format: r.Format, Gone: r.Gone, Settle: r.Settle}
	if call.method == "" {
		call.method = methods[name]
	}
	if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, call.method) {
		c.fail(at+".method", "unknown value", r.Method, "write one of GET, POST, PUT, PATCH, DELETE")
	}
	if call.format == "" {
		call.format = FormatJSON
	}
	if _, ok := contentTypes[call.format]; !ok {
		c.fail(at+".format", "unknown value", r.Format, "write one of json, form, ndjson")
	}
	call.Many = name == Batch || r.Record != nil || mentions(r.Body, lists)
	inside := slices.Concat(ofRequest, ofRecord, wholes)
	outside := inside
	if call.Many {
		outside = slices.Concat(ofRequest, lists)
	}
	texts := slices.DeleteFunc(slices.Clone(outside), mark.alone)
	call.path = c.template(at+".path", r.Path, texts)
	c.pathForm(at+".path", call.path)
	call.query = c.pairs(at+".query", r.Query, texts)
	call.headers = slices.Concat(c.pairs("headers", c.plan.form.Headers, ofRequest), c.pairs(at+".headers", r.Headers, texts))
	if r.Body != nil {
		call.body = c.root(at+".body", r.Body, outside)
		c.bodyForm(at, call)
	}
	c.recordTrees(at, r, call, inside)
	c.results(at+".results", r, call)
	call.UsesID = call.uses(markID)
	call.signs = c.plan.form.Auth.Type == AuthWebhooks || c.plan.form.Auth.Type == AuthHMAC || call.uses(markMessage)
	switch mayBeGone := slices.Contains([]string{Update, Delete, Archive, Lookup, Read}, name) && !call.Many; {
	case !mayBeGone && r.Gone != nil:
		c.fail(at+".gone", "the request makes what it names, or names several", "", "leave it out")
	case mayBeGone && r.Gone == nil && call.path.has(markID, markKey, markKeyText):
		call.Gone = []int{404, 410} // else what is not there is the path
	}
	if call.Settle < 0 || call.Settle > 0 && name != Lookup {
		c.fail(at+".settle", "only a lookup takes a while to find what was made", "", "leave it out")
	}
	return call
}

// uses tells whether a request has a placeholder anywhere.
func (c *Call) uses(marks ...mark) bool {
	inPairs := func(ps []pair) bool {
		return slices.ContainsFunc(ps, func(p pair) bool { return p.name.has(marks...) || p.value.has(marks...) })
	}
	for _, n := range c.records {
		if n.uses(marks...) {
			return true
		}
	}
	return c.path.has(marks...) || inPairs(c.query) || inPairs(c.headers) || c.body.uses(marks...) || c.record.uses(marks...)
}

// mentions looks into a tree that was not compiled.
func mentions(t *Tree, marks []mark) bool {
	if t == nil {
		return false
	}
	if t.Kind == Text && slices.ContainsFunc(marks, func(m mark) bool { return t.Text == "{"+string(m)+"}" }) {
		return true
	}
	return slices.ContainsFunc(t.Items, func(i *Tree) bool { return mentions(i, marks) })
}

func (c *compiler) recordTrees(at string, r *Request, call *Call, allowed []mark) {
	switch {
	case call.Name == Batch && (r.Record != nil || len(r.Records) == 0):
		c.fail(at+".records", "the request batch says for each operation what stands for a record", "", "write records: {upsert: …, delete: …}")
	case call.Name != Batch && r.Records != nil:
		c.fail(at+".records", "only the request batch has records", "", "write record: "+"…")
	case r.Record != nil:
		call.record = c.root(at+".record", r.Record, allowed)
	}
	if r.Records != nil {
		call.records = map[sinks.Op]*node{}
	}
	for op, t := range r.Records {
		of, ok := map[string]sinks.Op{Upsert: sinks.Upsert, Delete: sinks.Delete, Archive: sinks.Archive}[op]
		if !ok {
			c.fail(at+".records."+op, "no such operation", op, "write one of upsert, delete, archive")
			continue
		}
		call.records[of] = c.root(at+".records."+op, t, allowed)
	}
	if call.Many && call.body != nil && !call.body.uses(lists...) {
		c.fail(at+".body", "it has no list of the records", "", "put {records} into it")
	}
	if call.body.uses(markRecords, markUpserts, markDeletes) && call.record == nil && call.records == nil {
		c.fail(at+".record", "nothing says what stands for a record in the list", "", `write record: "{row}"`)
	}
	if call.Many && call.body == nil {
		c.fail(at+".body", "a request for several records has to have a body", "", `write body: {records: "{records}"}`)
	}
}

// pathForm looks whether what is added to the URL is a path.
func (c *compiler) pathForm(at string, t template) {
	if len(t) == 0 {
		return
	}
	if !strings.HasPrefix(t[0].text, "/") {
		c.fail(at, "a path begins with /", t[0].text, "")
	}
	for _, p := range t {
		if strings.ContainsAny(p.text, "?# \t\n") && p.mark == markText {
			c.fail(at, "a path has no ?, # or space", p.text, "write query: {name: value} for a query")
		}
	}
}

func (c *compiler) bodyForm(at string, call *Call) {
	if call.method == "GET" {
		c.fail(at+".body", "a GET has no body", "", "write query: {name: value}, or another method")
	}
	p, whole := call.body.text.whole()
	switch {
	case call.format == FormatForm && !(call.body.kind == Object || whole && slices.Contains(wholes, p.mark)):
		c.fail(at+".body", "a form is made of a flat section of keys", "", "")
	case call.format == FormatNDJSON && !(call.body.kind == List || whole && slices.Contains(lists, p.mark)):
		c.fail(at+".body", "lines are made of a list", "", `write body: "{records}"`)
	}
}

func (c *compiler) template(at, text string, allowed []mark) template {
	t, err := parse(text, allowed)
	if err != nil {
		c.fail(at, err.Error(), "", "")
	}
	return t
}

// pairs reads headers or a query; only the names of a query may have placeholders.
func (c *compiler) pairs(at string, ps []Pair, allowed []mark) (out []pair) {
	isQuery := strings.HasSuffix(at, ".query")
	for _, p := range ps {
		name := template{{text: p.Name}}
		if isQuery {
			name = c.template(at+"."+p.Name, p.Name, allowed)
		}
		if p.Name == "" || !isQuery && strings.ContainsAny(p.Name, " :\r\n") {
			c.fail(at+"."+p.Name, "not a name", p.Name, "")
		}
		out = append(out, pair{name, c.template(at+"."+p.Name, p.Value, allowed)})
	}
	return out
}

// root compiles a whole tree. A field that has a place of its own in it is not brought by the
// spread of all.
func (c *compiler) root(at string, t *Tree, allowed []mark) *node {
	n := c.tree(at, t, allowed)
	var own []string
	n.walk(func(n *node) {
		for _, p := range n.text {
			if p.mark == markField {
				own = append(own, p.text)
			}
		}
	})
	n.walk(func(n *node) {
		for _, name := range own {
			if n.fixed != nil {
				n.fixed[name] = true
			}
		}
	})
	return n
}

func (c *compiler) tree(at string, t *Tree, allowed []mark) *node {
	n := &node{kind: t.Kind}
	switch t.Kind {
	case Literal:
		if !json.Valid([]byte(t.Text)) {
			c.fail(at, "not a number, a boolean or null as JSON writes it", t.Text, "put it in quotes if it is a text")
		}
		n.raw = []byte(t.Text)
	case Text:
		n.text = c.template(at, t.Text, allowed)
	case List:
		for i, item := range t.Items {
			n.items = append(n.items, c.tree(fmt.Sprintf("%s[%d]", at, i), item, allowed))
		}
	case Object:
		c.members(at, t, n, allowed)
	default:
		c.fail(at, "there is nothing", "", "write what is sent")
	}
	return n
}

func (c *compiler) members(at string, t *Tree, n *node, allowed []mark) {
	n.fixed = map[string]bool{}
	for i, item := range t.Items {
		name, place := t.Names[i], at+"."+t.Names[i]
		value := c.tree(place, item, allowed)
		n.items = append(n.items, value)
		if name == Spread {
			if p, whole := value.text.whole(); !whole || !slices.Contains(wholes, p.mark) {
				c.fail(place, "only {fields} and {row} have members to bring", item.Text, `write "...": "{fields}"`)
			}
			n.names = append(n.names, nil)
			continue
		}
		tmpl := c.template(place, name, slices.DeleteFunc(slices.Clone(allowed), mark.alone))
		if tmpl == nil {
			tmpl = template{{text: ""}} // not what is spread
		}
		if len(tmpl) == 1 && tmpl[0].mark == markText {
			n.fixed[tmpl[0].text] = true
		}
		n.names = append(n.names, tmpl)
	}
}
