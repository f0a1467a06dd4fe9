package salesforce

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a composite request.
const (
	maxSubrequests = 25
	maxHeavy       = 5 // of them collections or queries
)

type compositeRequest struct {
	AllOrNone   bool         `json:"allOrNone"`
	Collate     *bool        `json:"collateSubrequests"`
	Subrequests []subrequest `json:"compositeRequest"`
}

type subrequest struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	ID     string            `json:"referenceId"`
	Header map[string]string `json:"httpHeaders"`
	Body   json.RawMessage   `json:"body"`
}

type subresponse struct {
	Body   json.RawMessage   `json:"body"`
	Header map[string]string `json:"httpHeaders"`
	Status int               `json:"httpStatusCode"`
	ID     string            `json:"referenceId"`
}

// routeComposite answers below /composite.
func (c *call) routeComposite(p []string) reply {
	switch {
	case len(p) > 0 && p[0] == "sobjects":
		return c.routeCollections(p[1:])
	case c.top != c:
		return unreadable("INVALID_OPERATION", "a composite request cannot be within another").reply()
	case len(p) == 0:
		c.s.count("composite", 1)
		return c.only(c.composite, http.MethodPost)
	case len(p) == 1 && p[0] == "batch":
		c.s.count("batch", 1)
		return c.only(c.batch, http.MethodPost)
	}
	return notFound(noResource).reply()
}

// composite carries out up to 25 requests, which count as one call.
func (c *call) composite() reply {
	var in compositeRequest
	if bad := c.readJSON(&in); bad != nil {
		return bad.reply()
	}
	if bad := in.check(); bad != nil {
		return bad.reply()
	}
	done := make(map[string]*subresponse, len(in.Subrequests))
	failed := false
	for _, i := range c.order(&in) {
		sub := &in.Subrequests[i]
		if failed && in.AllOrNone {
			break
		}
		a := c.subrequest(sub, done)
		done[sub.ID] = a
		failed = failed || a.Status >= 300
	}
	if failed && in.AllOrNone {
		c.s.store.rollback(0)
	}
	out := make([]*subresponse, len(in.Subrequests))
	for i := range in.Subrequests {
		id := in.Subrequests[i].ID
		if out[i] = done[id]; out[i] == nil || failed && in.AllOrNone && out[i].Status < 300 {
			out[i] = halted(id, "The transaction was rolled back since another operation in the same transaction failed.")
		}
	}
	return ok(map[string]any{"compositeResponse": out})
}

// check says why nothing of the request is carried out.
func (in *compositeRequest) check() *fault {
	if len(in.Subrequests) == 0 {
		return unreadable("REQUIRED_FIELD_MISSING", "compositeRequest is missing")
	}
	if len(in.Subrequests) > maxSubrequests {
		return unreadable("LIMIT_EXCEEDED", "Limit exceeded: %d subrequests, and %d are allowed", len(in.Subrequests), maxSubrequests)
	}
	heavy := 0
	seen := make(map[string]bool, len(in.Subrequests))
	for i := range in.Subrequests {
		sub := &in.Subrequests[i]
		if sub.ID == "" || seen[sub.ID] {
			return unreadable("INVALID_INPUT", "Invalid reference id: each subrequest needs one of its own")
		}
		seen[sub.ID] = true
		if strings.Contains(sub.URL, "/composite/sobjects") || strings.Contains(sub.URL, "/query") {
			heavy++
		}
		for name := range sub.Header {
			if slices.ContainsFunc([]string{"Accept", "Authorization", "Content-Type"}, func(h string) bool { return strings.EqualFold(h, name) }) {
				return unreadable("INVALID_INPUT", "The header %s cannot be given for a subrequest", name)
			}
		}
	}
	if heavy > maxHeavy {
		return unreadable("LIMIT_EXCEEDED", "Limit exceeded: %d subrequests are collections or queries, and %d are allowed", heavy, maxHeavy)
	}
	return nil
}

// order gives the order in which subrequests are carried out: that of the request, or with
// collation any in which a subrequest comes after those that it refers to.
func (c *call) order(in *compositeRequest) []int {
	order := make([]int, len(in.Subrequests))
	for i := range order {
		order[i] = i
	}
	if in.Collate != nil && !*in.Collate {
		return order
	}
	c.s.rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	placed := make(map[int]bool, len(order))
	var sorted []int
	for len(order) > 0 {
		i := slices.IndexFunc(order, func(at int) bool {
			for earlier := range at { // only those before it can be referred to
				if !placed[earlier] && in.Subrequests[at].refersTo(in.Subrequests[earlier].ID) {
					return false
				}
			}
			return true
		})
		placed[order[i]] = true
		sorted = append(sorted, order[i])
		order = slices.Delete(order, i, i+1)
	}
	return sorted
}

func (sub *subrequest) refersTo(id string) bool {
	text := sub.URL + string(sub.Body)
	return strings.Contains(text, "@{"+id+".") || strings.Contains(text, "@{"+id+"[")
}

func halted(id, message string) *subresponse {
	body, _ := marshal([]problem{{Code: "PROCESSING_HALTED", Message: message}}) // texts can always be written
	return &subresponse{Body: body, Header: map[string]string{}, Status: http.StatusBadRequest, ID: id}
}

// subrequest carries out one request of a composite one. Of the outer headers it has none
// that mean anything to records: those must be its own.
func (c *call) subrequest(sub *subrequest, done map[string]*subresponse) *subresponse {
	address, missing := fill(sub.URL, done, url.PathEscape)
	body, missingBody := fill(string(sub.Body), done, func(text string) string {
		quoted := quote(text)
		return string(quoted[1 : len(quoted)-1])
	})
	if missing == "" {
		missing = missingBody
	}
	if missing != "" {
		return halted(sub.ID, "Invalid reference specified. No value for "+missing)
	}
	inner := &call{s: c.s, ctx: c.ctx, base: c.base, method: sub.Method, header: make(http.Header), body: []byte(body), top: c.top}
	for name, value := range sub.Header {
		inner.header.Set(name, value)
	}
	path, query, _ := strings.Cut(address, "?")
	a := inner.dispatch(path, query)
	out := &subresponse{Header: a.header, Status: a.status, ID: sub.ID, Body: json.RawMessage(null)}
	if out.Header == nil {
		out.Header = map[string]string{}
	}
	if a.body != nil {
		body, err := marshal(a.body)
		if err != nil {
			return halted(sub.ID, "encode answer")
		}
		out.Body = body
	}
	return out
}

var references = regexp.MustCompile(`@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])+)\}`)

// fill puts values of earlier answers in the place of references such as @{ref.id}; missing
// is the first that has none.
func fill(text string, done map[string]*subresponse, escape func(string) string) (filled, missing string) {
	filled = references.ReplaceAllStringFunc(text, func(match string) string {
		m := references.FindStringSubmatch(match)
		value, ok := "", false
		if a := done[m[1]]; a != nil && a.Status < 300 {
			value, ok = find(a.Body, m[2])
		}
		if !ok && missing == "" {
			missing = fmt.Sprintf("%s in %s", strings.TrimPrefix(m[2], "."), m[1])
		}
		return escape(value)
	})
	return filled, missing
}

// find gives the scalar at a path such as [0].id of a JSON text.
func find(body json.RawMessage, path string) (string, bool) {
	for path != "" {
		switch path[0] {
		case '.':
			end := strings.IndexAny(path[1:], ".[") + 1
			if end == 0 {
				end = len(path)
			}
			var fields map[string]json.RawMessage
			if json.Unmarshal(body, &fields) != nil {
				return "", false
			}
			body, path = fields[path[1:end]], path[end:]
		default:
			end := strings.IndexByte(path, ']')
			n, err := strconv.Atoi(path[1:end])
			var list []json.RawMessage
			if err != nil || json.Unmarshal(body, &list) != nil || n >= len(list) {
				return "", false
			}
			body, path = list[n], path[end+1:]
		}
	}
	if len(body) == 0 || string(body) == null || body[0] == '{' || body[0] == '[' {
		return "", false
	}
	return plain(body), true
}

// batch carries out up to 25 requests, each of which counts.
func (c *call) batch() reply {
	var in struct {
		Halt     bool `json:"haltOnError"`
		Requests []struct {
			Method string          `json:"method"`
			URL    string          `json:"url"`
			Body   json.RawMessage `json:"richInput"`
		} `json:"batchRequests"`
	}
	if bad := c.readJSON(&in); bad != nil {
		return bad.reply()
	}
	if n := len(in.Requests); n == 0 || n > maxSubrequests {
		return unreadable("LIMIT_EXCEEDED", "A batch has between 1 and %d subrequests", maxSubrequests).reply()
	}
	c.s.count("api", len(in.Requests)-1)
	type result struct {
		Status int `json:"statusCode"`
		Result any `json:"result"`
	}
	var results []result
	failed := false
	for _, r := range in.Requests {
		if failed && in.Halt {
			results = append(results, result{Status: http.StatusPreconditionFailed, Result: []problem{{Code: "BATCH_PROCESSING_HALTED",
				Message: "Batch processing has been halted due to previous errors."}}})
			continue
		}
		inner := &call{s: c.s, ctx: c.ctx, base: c.base, method: r.Method, header: c.header, body: r.Body, top: c.top}
		path, query, _ := strings.Cut(strings.TrimPrefix(r.URL, "/services/data/"), "?")
		a := inner.dispatch("/services/data/"+strings.TrimPrefix(path, "/"), query)
		results = append(results, result{Status: a.status, Result: a.body})
		failed = failed || a.status >= 300
	}
	return ok(map[string]any{"hasErrors": failed, "results": results})
}
