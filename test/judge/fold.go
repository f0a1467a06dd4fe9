package judge

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
)

// Rows are the rows of tables, by table and key.
type Rows map[string]map[string]map[string]json.RawMessage

// Count is how many rows there are.
func (r Rows) Count() (n int) {
	for _, rows := range r {
		n += len(rows)
	}
	return n
}

// Add puts a row in.
func (r Rows) Add(table, key string, row map[string]json.RawMessage) {
	if r[table] == nil {
		r[table] = map[string]map[string]json.RawMessage{}
	}
	r[table][key] = row
}

// fold makes the tables of the log alone (I3). Entries come in the order of their
// Positions. An absent column keeps what an older entry gave; the create half of a
// changed key takes it from the row that its delete half ended. A column that no
// entry ever gave is one that the row lacks.
type fold struct {
	rows    Rows
	at      map[string]map[string]cdc.Position // of the newest entry of each row
	ended   map[string]json.RawMessage         // the row that the entry before deleted
	endedAt cdc.Position
}

func (f *fold) add(e *Entry) {
	ended, endedAt := f.ended, f.endedAt
	f.ended, f.endedAt = nil, cdc.Position{}
	older := f.rows[e.Table][e.Key]
	switch e.Op {
	case "t":
		delete(f.rows, e.Table)
		delete(f.at, e.Table)
		return
	case "s": // what was neither read nor changed since is gone
		for key, at := range f.at[e.Table] {
			if at.Before(e.since) {
				delete(f.rows[e.Table], key)
				delete(f.at[e.Table], key)
			}
		}
		return
	case "d":
		f.ended, f.endedAt = older, e.At
		delete(f.rows[e.Table], e.Key)
		delete(f.at[e.Table], e.Key)
		return
	case "c", "r":
		older = nil
		if e.At.Ordinal%2 == 1 && e.At.Prev() == endedAt {
			older = ended
		}
	}
	row := maps.Clone(e.after)
	for _, name := range e.Absent {
		if v, ok := older[name]; ok {
			row[name] = v
		}
	}
	f.rows.Add(e.Table, e.Key, row)
	if f.at[e.Table] == nil {
		f.at[e.Table] = map[string]cdc.Position{}
	}
	f.at[e.Table][e.Key] = e.At
}

// Differences compares rows with what they should be, column by column.
func Differences(want, have Rows) (findings []Finding) {
	tables := map[string]bool{}
	for t := range want {
		tables[t] = true
	}
	for t := range have {
		tables[t] = true
	}
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		keys := map[string]bool{}
		for k := range want[table] {
			keys[k] = true
		}
		for k := range have[table] {
			keys[k] = true
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if what := difference(want[table][key], have[table][key]); what != "" {
				findings = append(findings, Finding{What: fmt.Sprintf("%s %s: %s", table, key, what), Table: table, Key: key})
			}
		}
	}
	return findings
}

// difference says how a row is not as it should be; empty if it is.
func difference(want, have map[string]json.RawMessage) string {
	switch {
	case have == nil:
		return "the row is missing"
	case want == nil:
		return "the row should not be there"
	}
	var found []string
	for _, column := range slices.Sorted(maps.Keys(want)) {
		v, ok := have[column]
		if !ok {
			found = append(found, "it has no "+column)
		} else if w := canonical(want[column]); w != canonical(v) {
			found = append(found, fmt.Sprintf("it has %s %.60s, want %.60s", column, canonical(v), w))
		}
	}
	for _, column := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[column]; !ok {
			found = append(found, "it has a column too many: "+column)
		}
	}
	return strings.Join(found, "; ")
}

// canonical gives a value of JSON in one form: numbers by their value, objects in
// the order of their names.
func canonical(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) == nil && string(v) != "null" {
		return fmt.Sprintf("%q", text)
	}
	if n, ok := new(big.Rat).SetString(string(v)); ok {
		return n.RatString()
	}
	var list []json.RawMessage
	if json.Unmarshal(v, &list) == nil && list != nil {
		parts := make([]string, 0, len(list))
		for _, e := range list {
			parts = append(parts, canonical(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(v, &object) == nil && object != nil {
		parts := make([]string, 0, len(object))
		for _, name := range slices.Sorted(maps.Keys(object)) {
			parts = append(parts, fmt.Sprintf("%q:%s", name, canonical(object[name])))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return string(v)
}
