package restapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rules are those of a collection. Its zero value takes any record.
type Rules struct {
	Required []string // fields that a record must have, and that cannot be emptied
	// Unique are fields of which no two records have the same value (409).
	Unique []string
	// Length are the most characters of texts.
	Length map[string]int
	// Numbers are the fields that take nothing but numbers.
	Numbers []string
	// Fields are all that there are; nil is any.
	Fields []string
}

// problem is one error of a request.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

// record is one record of a collection.
type record struct {
	id      string
	fields  map[string]json.RawMessage
	created time.Time
	updated time.Time
	born    int64 // orders records by when they were made
	seq     int64 // and by when they were changed
}

// collection holds records. It is pure: it has neither a clock nor HTTP.
type collection struct {
	name    string
	rules   Rules
	lag     time.Duration // a record is found by a search so much after it was made
	records map[string]*record
	unique  map[string]map[string]string // ids by field and value
	seq     int64
}

func newCollection(name string, rules Rules, lag time.Duration) *collection {
	c := &collection{name: name, rules: rules, lag: lag, records: make(map[string]*record), unique: make(map[string]map[string]string)}
	for _, field := range rules.Unique {
		c.unique[field] = make(map[string]string)
	}
	return c
}

var null = []byte("null")

func empty(v json.RawMessage) bool {
	return len(v) == 0 || bytes.Equal(v, null) || bytes.Equal(v, []byte(`""`))
}

// check says what is wrong with what a record is to become.
func (c *collection) check(fields map[string]json.RawMessage) (wrong []problem) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		v := fields[name]
		var text string
		isText := json.Unmarshal(v, &text) == nil && !bytes.Equal(v, null)
		switch {
		case name == "id" || name == "created_at" || name == "updated_at":
			wrong = append(wrong, problem{"read_only", "the field is set by the API", name})
		case c.rules.Fields != nil && !slices.Contains(c.rules.Fields, name):
			wrong = append(wrong, problem{"unknown_field", "there is no such field", name})
		case c.rules.Length[name] > 0 && isText && len([]rune(text)) > c.rules.Length[name]:
			wrong = append(wrong, problem{"too_long", fmt.Sprintf("at most %d characters", c.rules.Length[name]), name})
		case slices.Contains(c.rules.Numbers, name) && !bytes.Equal(v, null) && !isNumber(v):
			wrong = append(wrong, problem{"not_a_number", "a number is wanted", name})
		}
	}
	for _, name := range c.rules.Required {
		if empty(fields[name]) {
			wrong = append(wrong, problem{"required", "the field is required", name})
		}
	}
	return wrong
}

// isNumber tells numbers from other valid JSON.
func isNumber(v json.RawMessage) bool {
	return len(v) > 0 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9')
}

// taken says which unique values another record has.
func (c *collection) taken(id string, fields map[string]json.RawMessage) (wrong []problem) {
	for _, name := range c.rules.Unique {
		if other := c.unique[name][string(fields[name])]; !empty(fields[name]) && other != "" && other != id {
			wrong = append(wrong, problem{"duplicate", "another record has this value: " + other, name})
		}
	}
	return wrong
}

// create makes a record.
func (c *collection) create(fields map[string]json.RawMessage, now time.Time) *record {
	c.seq++
	r := &record{id: fmt.Sprintf("%s-%06d", c.name, c.seq), created: now, updated: now, born: c.seq, seq: c.seq}
	c.records[r.id] = r
	c.set(r, fields)
	return r
}

// update changes a record to what it is to become.
func (c *collection) update(r *record, fields map[string]json.RawMessage, now time.Time) {
	c.seq++
	r.updated, r.seq = now, c.seq
	c.set(r, fields)
}

func (c *collection) set(r *record, fields map[string]json.RawMessage) {
	c.unindex(r)
	r.fields = fields
	for name, index := range c.unique {
		if !empty(fields[name]) {
			index[string(fields[name])] = r.id
		}
	}
}

func (c *collection) unindex(r *record) {
	for name, index := range c.unique {
		delete(index, string(r.fields[name]))
	}
}

func (c *collection) remove(r *record) {
	c.unindex(r)
	delete(c.records, r.id)
}

// copied gives the record as it is now, for an answer that is written later. Its fields are
// never changed, only replaced.
func (r *record) copied() *record {
	clone := *r
	return &clone
}

// merged gives the fields of a record with some changed.
func (r *record) merged(changes map[string]json.RawMessage) map[string]json.RawMessage {
	out := maps.Clone(r.fields)
	maps.Copy(out, changes)
	return out
}

// find gives the records with some values, oldest first. A value in a query is a text or
// the JSON of anything else, so that 7 finds 7 and "7".
func (c *collection) find(want map[string]string, now time.Time) []*record {
	var out []*record
	for _, r := range c.records {
		if now.Before(r.created.Add(c.lag)) {
			continue
		}
		all := true
		for name, value := range want {
			all = all && r.has(name, value)
		}
		if all {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *record) int { return cmp.Compare(a.born, b.born) })
	return out
}

func (r *record) has(name, value string) bool {
	v, ok := r.fields[name]
	if name == "id" {
		return r.id == value
	}
	if !ok {
		return false
	}
	var text string
	if json.Unmarshal(v, &text) == nil && !bytes.Equal(v, null) {
		return text == value
	}
	return string(v) == value
}

// MarshalJSON gives the record with its id among its fields.
func (r *record) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(r.fields)+3)
	for name, v := range r.fields {
		out[name] = v
	}
	out["id"], out["created_at"], out["updated_at"] = r.id, r.created.UTC(), r.updated.UTC()
	return json.Marshal(out)
}
