package mapping

import (
	"encoding/json"
	"strings"

	"github.com/walbridge/walbridge/cdc"
)

// RefersTo gives an SQL condition for the rows of the mapping's table that refer to some records
// of another mapping, by these rows' own keys (JSON objects); empty if no field refers to that
// mapping. It is false where a field refers by more than the names of columns: then there is no
// such condition.
func (m *Mapping) RefersTo(mapping string, sources []string) (where string, ok bool) {
	var any []string
	for i := range m.fields {
		r := m.fields[i].ref
		if r == nil || r.mapping != mapping {
			continue
		}
		for _, source := range sources {
			c, ok := r.condition(m.names, source)
			if !ok {
				return "", false
			}
			any = append(any, c)
		}
	}
	return strings.Join(any, " OR "), true
}

// condition is one for the rows that refer to one other. The columns of the row that refers
// have the types of the other's key, so that a text of a value is one of theirs.
func (r *reference) condition(names []string, source string) (string, bool) {
	row, err := cdc.ParseRow(source)
	if err != nil {
		return "", false
	}
	var all []string
	for i, p := range r.keys {
		slot, plain := p.IsColumn()
		text, scalar := literal(row.Get(r.columns[i]))
		if !plain || !scalar {
			return "", false
		}
		all = append(all, `"`+strings.ReplaceAll(names[slot], `"`, `""`)+`" = `+text)
	}
	return "(" + strings.Join(all, " AND ") + ")", len(all) > 0
}

// literal writes a value of a key in SQL, as a text of whatever type the column has.
func literal(v cdc.Value) (string, bool) {
	text := v.JSON()
	if v.IsAbsent() || v.IsNull() || text == "" || text[0] == '{' || text[0] == '[' {
		return "", false
	}
	if text[0] == '"' && json.Unmarshal([]byte(text), &text) != nil {
		return "", false
	}
	if strings.ContainsRune(text, 0) {
		return "", false
	}
	text = "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) { // whatever standard_conforming_strings says
		text = "E" + strings.ReplaceAll(text, `\`, `\\`)
	}
	return text, true
}
