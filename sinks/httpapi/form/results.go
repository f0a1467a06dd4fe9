package form

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// paths are where a refusal says why.
type paths struct{ code, message path }

// results are Results that were compiled.
type results struct {
	statuses                         []int
	success, ok                      condition
	list                             path
	match                            matchPath
	keys                             []path
	absent                           []sinks.Op
	id, code, message, retry, status path
	fields                           path
}

type condition struct {
	path   path
	equals json.RawMessage
}

func (c *compiler) path(at, text string) path {
	p, err := parsePath(text)
	if err != nil {
		c.fail(at, err.Error(), text, "write names with a point between them, such as error.code, or errors[0].code")
	}
	return p
}

// matchPath leads to the key within a result.
type matchPath struct {
	path
	byName bool // it is the member with the name of the key field
}

func (c *compiler) match(at, text string) matchPath {
	if text == "{"+string(markKeyName)+"}" {
		return matchPath{byName: true}
	}
	return matchPath{path: c.path(at, text)}
}

func (m matchPath) given() bool { return m.byName || m.path != nil }

// key gives the key of a result; nil if it has none.
func (m matchPath) key(name string, item json.RawMessage) json.RawMessage {
	if m.byName {
		return path{{name: name}}.get(item)
	}
	return m.get(item)
}

func (c *compiler) condition(at string, from Condition) condition {
	return condition{c.path(at+".path", from.Path), from.Equals}
}

func (c *compiler) results(at string, r *Request, call *Call) {
	from := &r.Results
	call.results = results{statuses: from.Statuses, success: c.condition(at+".success", from.Success), ok: c.condition(at+".ok", from.OK),
		list: c.path(at+".list", from.List), match: c.match(at+".match", from.Match), id: c.path(at+".id", from.ID), code: c.path(at+".code", from.Code),
		message: c.path(at+".message", from.Message), retry: c.path(at+".retry", from.Retry), status: c.path(at+".status", from.Status), fields: c.path(at+".fields", from.Fields)}
	for i, text := range from.Keys {
		call.results.keys = append(call.results.keys, c.path(fmt.Sprintf("%s.keys[%d]", at, i), text))
	}
	for i, op := range from.Absent {
		j := slices.Index([]string{Upsert, Delete, Archive}, op)
		if j < 0 {
			c.fail(fmt.Sprintf("%s.absent[%d]", at, i), "no such operation", op, "write one of upsert, delete, archive")
			continue
		}
		call.results.absent = append(call.results.absent, []sinks.Op{sinks.Upsert, sinks.Delete, sinks.Archive}[j])
	}
	for i, s := range from.Statuses {
		if s < 100 || s > 599 {
			c.fail(fmt.Sprintf("%s.statuses[%d]", at, i), "not a status", strconv.Itoa(s), "write a number such as 400")
		}
	}
	asks := call.Name == Lookup || call.Name == Read
	switch {
	case from.List != "" && len(from.Keys) > 0:
		c.fail(at, "both list and keys", "", "keep the one that the API answers with")
	case !call.Many && !asks && (from.List != "" || len(from.Keys) > 0):
		c.fail(at, "the request carries one record, and its answer is about that one", "", "write paths within the answer, such as id: data.id")
	case from.Match != "" && from.List == "":
		c.fail(at+".match", "there is no list to match in", "", "add list: the path to the list of results")
	case len(from.Absent) > 0 && len(from.Keys) == 0:
		c.fail(at+".absent", "there are no lists of keys", "", "add keys: the paths to them")
	case call.Many && !asks && from.List == "" && from.ID != "":
		c.fail(at+".id", "one id for several records", "", "add list: the path to the list of results")
	}
}

// given tells whether anything is to be read of an answer.
func (r *results) given() bool {
	return r.success.path != nil || r.ok.path != nil || r.list != nil || len(r.keys) > 0 || r.id != nil
}

// Takes tells whether an answer with a status has results.
func (c *Call) Takes(status int) bool {
	return status >= 200 && status <= 299 || slices.Contains(c.results.statuses, status)
}

var errNotJSON = errors.New("it is not the JSON that was expected")

// Results reads what an answer with results says of the records of a request. same gives what
// key values have in common that the API takes for the same. An error is of the request as a
// whole; a record that the answer says nothing of, or nothing clear, is to be sent again.
func (c *Call) Results(a *transport.Answer, items []Item, same func(sinks.Field) string) ([]sinks.Result, error) {
	r := &c.results
	out := make([]sinks.Result, len(items))
	if !r.given() {
		return out, nil
	}
	if a.Err != nil {
		return nil, a.Err
	}
	body := json.RawMessage(bytes.TrimSpace(a.Body))
	if !json.Valid(body) {
		return nil, transport.ReadError(a.Host, errNotJSON)
	}
	if said := r.success.holds(body); said != yes {
		return nil, c.whole(a, body, said)
	}
	switch {
	case len(r.keys) > 0:
		return out, c.byKeys(a, items, out, same)
	case r.list != nil:
		return out, c.byList(a, items, out, same)
	}
	if c.Many { // the answer is about all of them
		if said := r.ok.holds(body); said != yes {
			return nil, c.whole(a, body, said)
		}
		return out, nil
	}
	out[0] = c.one(a, body)
	return out, nil
}

// whole is the error of an answer that as a whole is no success.
func (c *Call) whole(a *transport.Answer, body json.RawMessage, said verdict) error {
	if said == unclear {
		return transport.ReadError(a.Host, errors.New("it does not say whether the request was carried out"))
	}
	return c.refusal(a.Status, body)
}

// byList reads a list of results.
func (c *Call) byList(a *transport.Answer, items []Item, out []sinks.Result, same func(sinks.Field) string) error {
	list, ok := c.results.list.list(a.Body)
	if !ok {
		return transport.ReadError(a.Host, errNotJSON)
	}
	match, name := c.results.match, items[0].Record.Key.Name
	if !match.given() && len(list) > len(items) {
		return transport.ReadError(a.Host, fmt.Errorf("it has %d results for %d records", len(list), len(items)))
	}
	of := map[string]json.RawMessage{}
	for _, item := range list {
		if v := match.key(name, item); v != nil {
			of[same(sinks.Field{Name: name, Value: v})] = item
		}
	}
	for i := range out {
		var item json.RawMessage
		if match.given() {
			item = of[same(items[i].Record.Key)]
		} else if i < len(list) {
			item = list[i]
		}
		if item == nil {
			out[i].Err = transport.ReadError(a.Host, fmt.Errorf("there is no result for record %d of %d", i+1, len(items)))
			continue
		}
		out[i] = c.one(a, item)
	}
	return nil
}

// byKeys reads lists of the keys that were taken.
func (c *Call) byKeys(a *transport.Answer, items []Item, out []sinks.Result, same func(sinks.Field) string) error {
	taken := map[string]bool{}
	for _, p := range c.results.keys {
		list, ok := p.list(a.Body)
		if !ok {
			return transport.ReadError(a.Host, errNotJSON)
		}
		for _, v := range list {
			taken[same(sinks.Field{Name: items[0].Record.Key.Name, Value: v})] = true
		}
	}
	for i := range out {
		r := items[i].Record
		if !taken[same(r.Key)] && !slices.Contains(c.results.absent, r.Op) {
			out[i].Err = transport.ReadError(a.Host, fmt.Errorf("there is no result for record %d of %d", i+1, len(items)))
		}
	}
	return nil
}

// one reads a result: an item of a list, or a whole answer about one record.
func (c *Call) one(a *transport.Answer, item json.RawMessage) sinks.Result {
	r, d := &c.results, &doc{raw: item}
	switch r.ok.says(d.get(r.ok.path)) {
	case yes:
		id := d.text(r.id)
		if c.Name == Create && r.id != nil && id == "" {
			return sinks.Result{Err: transport.ReadError(a.Host, errors.New("it has no id of the record"))}
		}
		if r.id != nil && id == "" && !c.Many {
			return sinks.Result{Err: transport.ReadError(a.Host, errNotJSON)}
		}
		return sinks.Result{RemoteID: id}
	case unclear:
		return sinks.Result{Err: transport.ReadError(a.Host, errors.New("a result does not say whether it is a success"))}
	}
	status, _ := strconv.Atoi(d.text(r.status)) // zero where there is none
	return sinks.Result{Err: c.refusal(status, item)}
}

// refusal is the error of a result that is no success. Where it does not say itself whether the
// record may be taken later, its status does, as that of a whole answer would.
func (c *Call) refusal(status int, item json.RawMessage) error {
	r := &c.results
	s := transport.Saying{Code: r.code.text(item), Message: r.message.text(item)}
	if s == (transport.Saying{}) {
		s = c.plan.Saying(item)
	}
	word := transport.Word(s.Code)
	err := &sinks.Answer{Status: status, Code: s.Code, Message: transport.Shorten(s.Message), Err: errors.New("the target refused the record: " + word)}
	switch retry := r.retry.text(item); {
	case retry == "true":
		return &sinks.Retryable{Err: err}
	case retry == "false":
	case status == http.StatusTooManyRequests:
		return &sinks.Throttled{Err: err}
	case status == http.StatusRequestTimeout || status >= http.StatusInternalServerError:
		err.Unknown = true
		return &sinks.Retryable{Err: err, Unknown: true}
	}
	return &sinks.Rejected{Err: err, Code: word}
}

// verdict is what a condition says.
type verdict int

const (
	no verdict = iota
	yes
	unclear
)

func (c condition) holds(v json.RawMessage) verdict { return c.says(c.path.get(v)) }

// says is about the value that is at the path.
func (c condition) says(got json.RawMessage) verdict {
	if c.path == nil {
		return yes
	}
	nothing := got == nil || isNull(got)
	if c.equals == nil {
		if nothing || slices.Contains([]string{`""`, "[]", "{}"}, string(got)) {
			return yes
		}
		return no
	}
	switch {
	case nothing || sort(got) != sort(c.equals): // it is not what was expected there
		return unclear
	case sinks.ExactKey(got) == sinks.ExactKey(c.equals):
		return yes
	}
	return no
}

// sort tells texts, booleans, numbers, lists and objects apart.
func sort(v json.RawMessage) byte {
	switch c := v[0]; c {
	case 't', 'f':
		return 't'
	case '"', '[', '{', 'n':
		return c
	}
	return '0'
}

// Saying reads why a request was refused.
func (p *Plan) Saying(body []byte) transport.Saying {
	code, message := p.errors.code, p.errors.message
	if code == nil && message == nil {
		code, message = path{{name: "code"}}, path{{name: "message"}}
	}
	if json.Valid(body) {
		s := transport.Saying{Code: code.text(body), Message: message.text(body)}
		if s != (transport.Saying{}) {
			return s
		}
	}
	return transport.Saying{Message: string(body)}
}
