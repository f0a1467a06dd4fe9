package salesforce

import (
	"encoding/json"
	"net/http"
	"strings"
)

// routeRows answers below /sobjects.
func (c *call) routeRows(p []string) reply {
	if len(p) == 0 {
		c.s.count("describe", 1)
		return c.only(c.describeAll, http.MethodGet)
	}
	t := c.s.store.table(p[0])
	if t == nil {
		return notFound(noResource).reply()
	}
	if len(p) == 2 && p[1] == "describe" {
		c.s.count("describe", 1)
		return c.only(func() reply { return c.describe(t) }, http.MethodGet)
	}
	c.s.count("sobjects", 1)
	switch len(p) {
	case 1:
		return c.only(func() reply { return c.writeOne(t, &writing{op: opInsert}, nil) }, http.MethodPost)
	case 2:
		return c.byID(t, p[1])
	case 3:
		f := t.field(p[1])
		if f == nil || !f.keyed() {
			return notFound("Provided external ID field does not exist or is not accessible: " + p[1]).reply()
		}
		return c.byKey(t, f, p[2])
	}
	return notFound(noResource).reply()
}

// byID answers about the record of an id.
func (c *call) byID(t *table, id string) reply {
	switch c.method {
	case http.MethodGet:
		r, bad := t.held(id)
		if bad != nil {
			return missing(bad).reply()
		}
		return c.show(t, r)
	case http.MethodPatch:
		return c.writeOne(t, &writing{op: opUpdate}, func(d *draft) { d.id = id })
	case http.MethodDelete:
		return c.writeOne(t, &writing{op: opDelete}, func(d *draft) { d.id = id })
	}
	return c.only(nil, http.MethodGet, http.MethodPatch, http.MethodDelete)
}

// missing tells of a record that the path names and that is not there.
func missing(bad *fault) *fault {
	if bad.Code == "ENTITY_IS_DELETED" {
		return bad
	}
	return notFound("Provided external ID field does not exist or is not accessible: " + idField)
}

// byKey answers about the record that has a value in a field.
func (c *call) byKey(t *table, f *Field, value string) reply {
	key, bad := fromKey(f, value)
	if bad != nil {
		return bad.reply()
	}
	if c.method == http.MethodPatch {
		w := &writing{op: opUpsert, key: f, updateOnly: strings.EqualFold(first(c.query["updateOnly"]), "true")}
		return c.writeOne(t, w, func(d *draft) { c.keyed(d, f, key) })
	}
	found := t.match(f, key)
	switch {
	case len(found) == 0:
		return notFound(noResource).reply()
	case len(found) > 1:
		return c.choices(t, found)
	case c.method == http.MethodGet:
		return c.show(t, found[0])
	case c.method == http.MethodDelete:
		return c.writeOne(t, &writing{op: opDelete}, func(d *draft) { d.id = found[0].id })
	}
	return c.only(nil, http.MethodGet, http.MethodPatch, http.MethodDelete)
}

// fromKey gives the value of a key in a path.
func fromKey(f *Field, text string) (json.RawMessage, *fault) {
	v, bad := normalise(f, quote(text))
	if bad != nil || string(v) == null {
		return nil, refuse("INVALID_TYPE_ON_FIELD_IN_RECORD", f.label()+": value not of required type: "+text, f.Name)
	}
	return v, nil
}

// keyed puts the key of the path into a draft, whose body must not hold another.
func (c *call) keyed(d *draft, f *Field, key json.RawMessage) {
	if f.Name == idField {
		d.id = plain(key)
		return
	}
	if _, both := d.values[f.Name]; both {
		d.bad = refuse("INVALID_FIELD", "The "+f.Name+" field should not be specified in the sobject data.", f.Name)
		return
	}
	d.values[f.Name] = key
}

// choices answers that a key has several records, with their addresses.
func (c *call) choices(t *table, found []*record) reply {
	urls := make([]string, len(found))
	for i, r := range found {
		urls[i] = c.url(t, r)
	}
	return reply{status: http.StatusMultipleChoices, body: urls}
}

func (c *call) url(t *table, r *record) string {
	return "/services/data/" + c.version + "/sobjects/" + t.Name + "/" + r.id
}

// saved is the answer about a record that was written.
type saved struct {
	ID      string `json:"id,omitempty"`
	Success bool   `json:"success"`
	Errors  []item `json:"errors"`
	Created *bool  `json:"created,omitempty"`
}

// writeOne writes the record of the body; about puts into it what the path says.
func (c *call) writeOne(t *table, w *writing, about func(*draft)) reply {
	record := make(map[string]json.RawMessage)
	if w.op != opDelete {
		if bad := c.readJSON(&record); bad != nil {
			return bad.reply()
		}
	}
	d, bad := c.s.store.readDraft(t, record)
	if bad != nil {
		return bad.reply()
	}
	if w.op != opInsert && d.id != "" {
		return refuse("INVALID_FIELD_FOR_INSERT_UPDATE", "The Id field should not be specified in the sobject data.", idField).reply()
	}
	if about != nil {
		about(d)
	}
	out := c.writeDrafts(w, []*draft{d}, false)[0]
	switch {
	case out.several != nil:
		return c.choices(t, out.several)
	case out.bad != nil && out.bad.Code == "INVALID_CROSS_REFERENCE_KEY" && len(out.bad.Fields) == 0:
		return missing(out.bad).reply()
	case out.bad != nil:
		return out.bad.reply()
	case w.op == opUpdate || w.op == opDelete:
		return reply{status: http.StatusNoContent}
	}
	s := saved{ID: out.id, Success: true, Errors: []item{}}
	if w.op == opUpsert {
		s.Created = &out.created
	}
	if out.created {
		a := created(s)
		a.header = map[string]string{"Location": c.url(t, t.records[out.id])}
		return a
	}
	return ok(s)
}

// show answers with a record, or some fields of it.
func (c *call) show(t *table, r *record) reply {
	names := make([]string, 0, len(t.Fields))
	if list := first(c.query["fields"]); list != "" {
		names = strings.Split(list, ",")
	} else {
		for i := range t.Fields {
			names = append(names, t.Fields[i].Name)
		}
	}
	out, bad := c.row(t, r, names)
	if bad != nil {
		return bad.reply()
	}
	return ok(out)
}

// row gives the fields of a record by their names, with its type and address.
func (c *call) row(t *table, r *record, names []string) (map[string]any, *fault) {
	out := map[string]any{"attributes": map[string]string{"type": t.Name, "url": c.url(t, r)}, idField: r.id}
	for _, name := range names {
		f := t.field(strings.TrimSpace(name))
		if f == nil {
			return nil, refuse("INVALID_FIELD", "No such column '"+name+"' on sobject of type "+t.Name)
		}
		out[f.Name] = c.s.store.value(f, r)
	}
	return out, nil
}

// writeDrafts writes drafts in order. With allOrNone, one that is refused takes the others
// back.
func (c *call) writeDrafts(w *writing, drafts []*draft, allOrNone bool) []outcome {
	s := c.s
	c.lock(w, drafts)
	c.work()
	w.now, w.room = s.o.Now(), s.o.Room
	w.allowDuplicates = allows(c.header.Get("Sforce-Duplicate-Rule-Header"))
	w.assign = !strings.EqualFold(c.header.Get("Sforce-Auto-Assign"), "false")
	w.refusal = s.refusal
	if !s.store.inside {
		s.store.begin()
	}
	mark := len(s.store.undo)
	out := s.store.writeAll(w, drafts)
	failed := false
	for i := range out {
		failed = failed || out[i].bad != nil
	}
	if !allOrNone || !failed {
		return out
	}
	s.store.rollback(mark)
	for i := range out {
		if out[i].bad == nil {
			out[i] = outcome{bad: refuse("ALL_OR_NONE_OPERATION_ROLLED_BACK",
				"Record rolled back because not all records were valid and the request was using AllOrNone header")}
		}
	}
	return out
}

// allows reads allowSave=true out of the header about duplicates.
func allows(header string) bool {
	for part := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(name), "allowSave") {
			return strings.EqualFold(strings.TrimSpace(value), "true")
		}
	}
	return false
}

// refusal asks the sandbox's faults about a record.
func (s *Server) refusal(t *table, values map[string]json.RawMessage) *fault {
	if s.refusals == nil {
		return nil
	}
	if r := s.refusals(t.Name, values); r != nil {
		return refuse(r.Code, r.Message)
	}
	return nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
