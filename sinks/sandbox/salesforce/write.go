package salesforce

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// The operations on records.
const (
	opInsert     = "insert"
	opUpdate     = "update"
	opUpsert     = "upsert"
	opDelete     = "delete"
	opHardDelete = "hardDelete"
)

// writing is how records are to be written.
type writing struct {
	op  string
	key *Field // of an upsert
	// updateOnly keeps an upsert from making records.
	updateOnly bool
	// allowDuplicates and assign are what the request's headers say.
	allowDuplicates, assign bool
	now                     time.Time
	// refusal asks the sandbox whether a record is to be refused.
	refusal func(t *table, values map[string]json.RawMessage) *fault
	// room is how many records the org can hold; zero is without bound.
	room int
}

// outcome is what became of a draft.
type outcome struct {
	id      string
	created bool
	bad     *fault
	several []*record // the matches, if a key has more than one
}

// writeAll writes drafts in order; those of one upsert that have the same key are all
// refused.
func (s *store) writeAll(w *writing, drafts []*draft) []outcome {
	out := make([]outcome, len(drafts))
	twice := repeated(w, drafts)
	for i, d := range drafts {
		switch {
		case d.bad != nil:
			out[i].bad = d.bad
		case twice[i]:
			out[i].bad = refuse("DUPLICATE_VALUE", "Duplicate external id specified: "+plain(d.values[w.key.Name]), w.key.Name)
		default:
			out[i] = s.write(w, d)
		}
	}
	return out
}

// repeated tells which drafts of an upsert have a key that another has too.
func repeated(w *writing, drafts []*draft) []bool {
	out := make([]bool, len(drafts))
	if w.op != opUpsert {
		return out
	}
	first := make(map[string]int, len(drafts))
	for i, d := range drafts {
		if d.bad != nil {
			continue
		}
		v, bad := d.keyOf(w.key)
		if bad != nil || string(v) == null {
			continue
		}
		text := folded(w.key, v)
		if j, ok := first[text]; ok {
			out[i], out[j] = true, true
			continue
		}
		first[text] = i
	}
	return out
}

// write writes one draft.
func (s *store) write(w *writing, d *draft) outcome {
	r, out := s.target(w, d)
	if out.bad != nil {
		return out
	}
	if w.op == opDelete || w.op == opHardDelete {
		s.remove(d.table, r)
		return outcome{id: r.id}
	}
	if out.bad = s.resolve(d); out.bad == nil {
		out.bad = s.check(d, r)
	}
	if out.bad == nil && w.refusal != nil {
		out.bad = w.refusal(d.table, d.values)
	}
	if out.bad != nil {
		return out
	}
	return s.save(w, d, r)
}

// target finds the record that a draft is about; none if one is to be made.
func (s *store) target(w *writing, d *draft) (*record, outcome) {
	if w.op == opInsert {
		if d.id != "" {
			return nil, outcome{bad: refuse("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", idField)}
		}
		return nil, outcome{}
	}
	if w.op == opUpsert && w.key.Name != idField {
		value, bad := d.keyOf(w.key)
		if bad != nil {
			return nil, outcome{bad: bad}
		}
		found := d.table.match(w.key, value)
		switch {
		case len(found) > 1:
			return nil, outcome{bad: tooMany(w.key, found), several: found}
		case len(found) == 1:
			return found[0], outcome{}
		case w.updateOnly:
			return nil, outcome{bad: notFound(noResource)}
		}
		return nil, outcome{}
	}
	if d.id == "" {
		if w.op == opUpsert {
			return nil, outcome{}
		}
		return nil, outcome{bad: refuse("MISSING_ARGUMENT", "Id not specified in an "+w.op+" call", idField)}
	}
	r, bad := d.table.held(d.id)
	return r, outcome{bad: bad}
}

// held finds the record of an id as a client has sent it.
func (t *table) held(text string) (*record, *fault) {
	id, ok := readID(text)
	switch {
	case !ok:
		return nil, refuse("MALFORMED_ID", "malformed id "+text)
	case t.gone[id]:
		return nil, &fault{Code: "ENTITY_IS_DELETED", Message: "entity is deleted", status: 404}
	case t.records[id] == nil:
		return nil, refuse("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	}
	return t.records[id], nil
}

// save makes or changes a record of a draft that was found good.
func (s *store) save(w *writing, d *draft, r *record) outcome {
	var held map[string]json.RawMessage
	if r != nil {
		held = r.fields
	}
	values := merged(d.table, held, d.values)
	if r == nil && w.assign && d.table.AssignTo != "" {
		values[ownerField] = quote(d.table.AssignTo)
	}
	compute(d.table, values)
	if bad := collide(d.table, values, r, w.allowDuplicates); bad != nil {
		return outcome{bad: bad}
	}
	if r != nil {
		s.change(d.table, r, values, w.now)
		return outcome{id: r.id}
	}
	if w.room > 0 && s.count >= w.room {
		return outcome{bad: refuse("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded")}
	}
	return outcome{id: s.insert(d.table, values, w.now).id, created: true}
}

// compute fills the fields that the org works out itself.
func compute(t *table, values map[string]json.RawMessage) {
	if f := t.field("Name"); f != nil && f.ReadOnly && t.field("LastName") != nil {
		values["Name"] = quote(strings.TrimSpace(plain(values["FirstName"]) + " " + plain(values["LastName"])))
	}
	if t.field("StageName") != nil && t.field("IsWon") != nil {
		stage := plain(values["StageName"])
		values["IsWon"] = flag(stage == "Closed Won")
		values["IsClosed"] = flag(slices.Contains([]string{"Closed Won", "Closed Lost"}, stage))
	}
}

func flag(b bool) json.RawMessage {
	if b {
		return json.RawMessage("true")
	}
	return json.RawMessage("false")
}
