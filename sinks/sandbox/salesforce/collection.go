package salesforce

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Bounds of requests about many records.
const (
	maxCollection = 200
	maxChunks     = 10
)

type collection struct {
	AllOrNone bool                         `json:"allOrNone"`
	Records   []map[string]json.RawMessage `json:"records"`
}

// routeCollections answers below /composite/sobjects.
func (c *call) routeCollections(p []string) reply {
	c.s.count("collections", 1)
	switch {
	case len(p) == 0:
		switch c.method {
		case http.MethodPost:
			return c.writeMixed(opInsert)
		case http.MethodPatch:
			return c.writeMixed(opUpdate)
		case http.MethodDelete:
			return c.deleteMany()
		}
		return c.only(nil, http.MethodPost, http.MethodPatch, http.MethodDelete)
	case len(p) == 1:
		return c.only(func() reply { return c.retrieve(p[0]) }, http.MethodGet, http.MethodPost)
	case len(p) == 2:
		return c.only(func() reply { return c.upsertMany(p[0], p[1]) }, http.MethodPatch)
	}
	return notFound(noResource).reply()
}

// readCollection reads the body.
func (c *call) readCollection() (collection, *fault) {
	var in collection
	if bad := c.readJSON(&in); bad != nil {
		return in, bad
	}
	if in.Records == nil {
		return in, unreadable("REQUIRED_FIELD_MISSING", "records is missing")
	}
	return in, tooManyRecords(len(in.Records))
}

func tooManyRecords(n int) *fault {
	if n > maxCollection {
		return unreadable("EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than %d records into this call", maxCollection)
	}
	return nil
}

// upsertMany upserts records of one object by a field of it.
func (c *call) upsertMany(object, field string) reply {
	t := c.s.store.table(object)
	if t == nil {
		return notFound(noResource).reply()
	}
	f := t.field(field)
	if f == nil || !f.keyed() {
		return notFound("Provided external ID field does not exist or is not accessible: " + field).reply()
	}
	in, bad := c.readCollection()
	if bad != nil {
		return bad.reply()
	}
	drafts := make([]*draft, len(in.Records))
	for i, record := range in.Records {
		of, bad := c.s.store.typeOf(record)
		if bad == nil && of != t {
			bad = refuse("INVALID_TYPE", "Records must be of type "+t.Name)
		}
		if bad == nil {
			drafts[i], bad = c.s.store.readDraft(t, record)
		}
		if bad != nil {
			return bad.reply()
		}
	}
	return savedAll(c.writeDrafts(&writing{op: opUpsert, key: f}, drafts, in.AllOrNone), true)
}

// writeMixed makes or updates records of one or more objects.
func (c *call) writeMixed(op string) reply {
	in, bad := c.readCollection()
	if bad != nil {
		return bad.reply()
	}
	drafts := make([]*draft, len(in.Records))
	chunks := 0
	for i, record := range in.Records {
		t, bad := c.s.store.typeOf(record)
		if bad == nil {
			drafts[i], bad = c.s.store.readDraft(t, record)
		}
		if bad != nil {
			return bad.reply()
		}
		if i == 0 || drafts[i-1].table != t {
			chunks++
		}
	}
	if chunks > maxChunks {
		return unreadable("TOO_MANY_TYPE_CHANGES", "Cannot have more than %d chunks in a single operation. Please rearrange the data to reduce chunking.", maxChunks).reply()
	}
	return savedAll(c.writeDrafts(&writing{op: op}, drafts, in.AllOrNone), false)
}

// deleteMany deletes the records of ids.
func (c *call) deleteMany() reply {
	ids := splitIDs(first(c.query["ids"]))
	if len(ids) == 0 {
		return unreadable("MISSING_ARGUMENT", "The ids parameter is missing").reply()
	}
	if bad := tooManyRecords(len(ids)); bad != nil {
		return bad.reply()
	}
	drafts := make([]*draft, len(ids))
	for i, id := range ids {
		drafts[i] = &draft{table: c.s.store.tableOf(id), id: id}
		if drafts[i].table == nil {
			drafts[i].bad = refuse("MALFORMED_ID", "malformed id "+id)
		}
	}
	return savedAll(c.writeDrafts(&writing{op: opDelete}, drafts, strings.EqualFold(first(c.query["allOrNone"]), "true")), false)
}

// tableOf gives the object that an id is of; nil if there is none.
func (s *store) tableOf(id string) *table {
	if _, ok := readID(id); !ok {
		return nil
	}
	for _, t := range s.tables {
		if strings.HasPrefix(id, t.Prefix) {
			return t
		}
	}
	return nil
}

func splitIDs(list string) (ids []string) {
	for id := range strings.SplitSeq(list, ",") {
		if id = strings.TrimSpace(id); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// savedAll answers with one result for each record, in the order of the request. One that
// was refused has no id.
func savedAll(outcomes []outcome, upsert bool) reply {
	list := make([]saved, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		list[i] = saved{ID: o.id, Success: o.bad == nil, Errors: []item{}}
		if o.bad != nil {
			list[i].Errors = []item{o.bad.item()}
		}
		if upsert {
			list[i].Created = &o.created
		}
	}
	return ok(list)
}

// retrieve answers with records of one object by their ids, null for those that are not
// there.
func (c *call) retrieve(object string) reply {
	t := c.s.store.table(object)
	if t == nil {
		return notFound(noResource).reply()
	}
	var in struct {
		IDs    []string `json:"ids"`
		Fields []string `json:"fields"`
	}
	if c.method == http.MethodPost {
		if bad := c.readJSON(&in); bad != nil {
			return bad.reply()
		}
	} else {
		in.IDs, in.Fields = splitIDs(first(c.query["ids"])), splitIDs(first(c.query["fields"]))
	}
	if len(in.IDs) == 0 || len(in.Fields) == 0 {
		return unreadable("MISSING_ARGUMENT", "ids and fields are needed").reply()
	}
	if len(in.IDs) > 2000 {
		return unreadable("EXCEEDED_ID_LIMIT", "record limit reached. cannot retrieve more than 2000 records").reply()
	}
	list := make([]any, len(in.IDs))
	for i, id := range in.IDs {
		r, missing := t.held(id)
		if missing != nil {
			continue
		}
		row, bad := c.row(t, r, in.Fields)
		if bad != nil {
			return bad.reply()
		}
		list[i] = row
	}
	return ok(list)
}
