package captivateiq

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxBatch is the most upserts of a batch, and the most deletes.
const maxBatch = 1000

// record is one record of a worksheet.
type record struct {
	id      string // made by CaptivateIQ, a UUID
	unique  string
	data    map[string]json.RawMessage
	created time.Time
	updated time.Time
	born    int64 // orders records by when they were made
	seq     int64 // and by when they were changed
}

// sheet holds the records of a worksheet. It is pure.
type sheet struct {
	*Worksheet
	replaces bool
	records  map[string]*record // by unique id
	seq      int64
	refuse   func(fields map[string]json.RawMessage) string // says why a record is refused; empty if it is not
}

func newSheet(w *Worksheet, replaces bool) *sheet {
	return &sheet{Worksheet: w, replaces: replaces, records: make(map[string]*record)}
}

// batch is what a client wants of many records.
type batch struct {
	Upserts []map[string]json.RawMessage `json:"upserts"`
	Deletes []string                     `json:"deletes"`
}

// batchResult lists the unique ids.
type batchResult struct {
	Created []string `json:"created"`
	Updated []string `json:"updated"`
	Deleted []string `json:"deleted"`
}

// check says what is wrong with a batch: by list, and there by record, in its order.
func (s *sheet) checkBatch(b *batch) any {
	lists := map[string][]string{}
	for name, n := range map[string]int{"upserts": len(b.Upserts), "deletes": len(b.Deletes)} {
		if n > maxBatch {
			lists[name] = []string{fmt.Sprintf("Ensure this field has no more than %d elements.", maxBatch)}
		}
	}
	if b.Upserts == nil {
		lists["upserts"] = []string{"This field is required."}
	}
	if b.Deletes == nil {
		lists["deletes"] = []string{"This field is required."}
	}
	if len(lists) > 0 {
		return lists
	}
	seen := make(map[string]bool, len(b.Upserts)+len(b.Deletes))
	each := make([]map[string][]string, len(b.Upserts))
	failed := false
	for i, data := range b.Upserts {
		each[i] = s.checkOne(data)
		if unique, why := s.uniqueID(data); why == "" && seen[unique] && each[i] == nil {
			each[i] = map[string][]string{s.UniqueID: {"This unique ID is there more than once."}}
		} else {
			seen[unique] = true
		}
		failed = failed || each[i] != nil
		if each[i] == nil {
			each[i] = map[string][]string{}
		}
	}
	if failed {
		return map[string]any{"upserts": each}
	}
	for _, unique := range b.Deletes {
		if seen[unique] {
			return map[string][]string{"deletes": {"A unique ID is there more than once."}}
		}
		seen[unique] = true
	}
	return nil
}

// checkOne says what is wrong with a record, by column.
func (s *sheet) checkOne(data map[string]json.RawMessage) map[string][]string {
	if wrong := s.check(data); wrong != nil {
		return wrong
	}
	if s.refuse != nil {
		if why := s.refuse(data); why != "" {
			return map[string][]string{s.UniqueID: {why}}
		}
	}
	return nil
}

// apply carries out a batch that was checked.
func (s *sheet) apply(b *batch, now time.Time) batchResult {
	out := batchResult{Created: []string{}, Updated: []string{}, Deleted: []string{}}
	for _, data := range b.Upserts {
		unique, _ := s.uniqueID(data)
		if s.put(unique, data, now) {
			out.Created = append(out.Created, unique)
		} else {
			out.Updated = append(out.Updated, unique)
		}
	}
	for _, unique := range b.Deletes {
		if s.remove(unique) {
			out.Deleted = append(out.Deleted, unique)
		}
	}
	return out
}

// put writes a record and tells whether it is new. A record can get another unique id only
// by the path of a single one, so here both are the same.
func (s *sheet) put(unique string, data map[string]json.RawMessage, now time.Time) (made bool) {
	r := s.records[unique]
	s.seq++
	if r == nil {
		made = true
		r = &record{id: fmt.Sprintf("%s-%012d", s.ID[:len(s.ID)-13], s.seq), unique: unique, data: make(map[string]json.RawMessage), created: now, born: s.seq}
		s.records[unique] = r
	}
	if s.replaces {
		clear(r.data)
	}
	for name, value := range data {
		if text, isText := textOf(value); isText && text == "" && s.column(name).Type != TypeText {
			value = null
		}
		r.data[name] = value
	}
	r.updated, r.seq = now, s.seq
	return made
}

// rename gives a record another unique id; it tells whether that is free.
func (s *sheet) rename(from, to string) bool {
	if from == to {
		return true
	}
	if s.records[to] != nil {
		return false
	}
	r := s.records[from]
	r.unique = to
	delete(s.records, from)
	s.records[to] = r
	return true
}

func (s *sheet) remove(unique string) bool {
	if s.records[unique] == nil {
		return false
	}
	delete(s.records, unique)
	return true
}

// find gives the records that hold a text, in a column or in any, in the order they were made.
func (s *sheet) find(query, column string) []*record {
	var out []*record
	for _, r := range s.records {
		if query == "" || r.holds(strings.ToLower(query), column) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *record) int { return cmp.Compare(a.born, b.born) })
	return out
}

func (r *record) holds(query, column string) bool {
	for name, value := range r.data {
		if text, _ := textOf(value); (column == "" || column == name) && strings.Contains(strings.ToLower(text), query) {
			return true
		}
	}
	return false
}

// row copies the data.
func (r *record) row() map[string]json.RawMessage { return maps.Clone(r.data) }
