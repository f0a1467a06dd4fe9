package expr

import "github.com/walbridge/walbridge/cdc"

// sample is a row of a made-up table, over which the examples of functions and those of
// the documentation are written: its columns, and the JSON of their values.
func sample() ([]Column, map[string]string) {
	list := []struct{ name, typ, json string }{
		{"id", "bigint", "42"},
		{"name", "character varying(80)", `"Ada Lovelace"`},
		{"stage", "deal_stage", `"won"`},
		{"email", "text", `"Ada.L@Example.COM"`},
		{"amount", "numeric(12,2)", "1234.50"},
		{"discount", "numeric", "null"},
		{"quantity", "integer", "3"},
		{"active", "boolean", "true"},
		{"note", "text", "null"},
		{"close_date", "date", `"2026-02-03"`},
		{"updated_at", "timestamp with time zone", `"2026-02-03T17:30:00.25+00:00"`},
		{"tags", "text[]", `["smb","partner"]`},
		{"custom", "jsonb", `{"tier":"gold","seats":"12","regions":["emea","apac"],"address":{"city":"Graz"}}`},
		{"Close Date", "date", `"2026-01-01"`},
		{"account_id", "bigint", "7"},
	}
	columns, row := make([]Column, len(list)), make(map[string]string, len(list))
	for i, c := range list {
		columns[i], row[c.name] = Column{Name: c.name, Type: c.typ}, c.json
	}
	return columns, row
}

// Fill gives the row the values of a map from columns' names to JSON; what the map does
// not have is absent.
func (s *Scope) Fill(row *Row, values map[string]string) {
	row.Reset()
	for i, name := range s.names {
		if raw, ok := values[name]; ok {
			row.Values[i] = cdc.ValueOf(raw)
		}
	}
}
