package cdc

import (
	"cmp"
	"fmt"
	"strings"
)

// Table names a table of the source.
type Table struct {
	Schema string
	Name   string
}

// String gives schema.name, each part quoted as SQL wants it where it is not a
// plain lower-case identifier. It is the form used in the log and in mapping
// files.
func (t Table) String() string {
	return QuoteIdent(t.Schema) + "." + QuoteIdent(t.Name)
}

// Compare orders tables by schema and name.
func (t Table) Compare(o Table) int {
	return cmp.Or(strings.Compare(t.Schema, o.Schema), strings.Compare(t.Name, o.Name))
}

// SQL gives schema.name with both parts quoted, as a statement wants it: a schema
// may be named like a word that SQL reserves.
func (t Table) SQL() string { return quote(t.Schema) + "." + quote(t.Name) }

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// MarshalText gives the form of String.
func (t Table) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the form of String.
func (t *Table) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTable(string(b))
	return err
}

// ParseTable reads "schema.name" or "name" (schema public), quoted as String
// quotes.
func ParseTable(s string) (Table, error) {
	parts, err := splitIdents(s)
	if err != nil {
		return Table{}, fmt.Errorf("parse table %q: %w", s, err)
	}
	switch len(parts) {
	case 1:
		return Table{Schema: "public", Name: parts[0]}, nil
	case 2:
		return Table{Schema: parts[0], Name: parts[1]}, nil
	}
	return Table{}, fmt.Errorf("parse table %q: want name or schema.name", s)
}

// QuoteIdent quotes a name for SQL where it has to be. Reserved words are
// quoted by nobody here: a table named so is always written with its schema.
func QuoteIdent(s string) string {
	if plainIdent(s) {
		return s
	}
	return quote(s)
}

func plainIdent(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '$'):
		default:
			return false
		}
	}
	return s != ""
}

func splitIdents(s string) ([]string, error) {
	var parts []string
	for {
		var part string
		if strings.HasPrefix(s, `"`) {
			var b strings.Builder
			i := 1
			for {
				j := strings.IndexByte(s[i:], '"')
				if j < 0 {
					return nil, fmt.Errorf("a quote is not closed")
				}
				b.WriteString(s[i : i+j])
				i += j + 1
				if i < len(s) && s[i] == '"' {
					b.WriteByte('"')
					i++
					continue
				}
				break
			}
			part, s = b.String(), s[i:]
		} else {
			j := strings.IndexByte(s, '.')
			if j < 0 {
				j = len(s)
			}
			part, s = strings.ToLower(s[:j]), s[j:]
		}
		if part == "" {
			return nil, fmt.Errorf("a name is empty")
		}
		parts = append(parts, part)
		if s == "" {
			return parts, nil
		}
		if s[0] != '.' {
			return nil, fmt.Errorf("want a dot at %q", s)
		}
		s = s[1:]
	}
}
