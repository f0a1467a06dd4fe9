package expr

import "strings"

// Type is the static type of an expression or a column. Every type includes
// null.
type Type uint8

// The types. Any is only asked for, never given: it stands for all of them.
const (
	Any       Type = iota
	Nil            // the literal nil alone
	Bool           //
	Int            // 64 bits
	Decimal        // exact, with PostgreSQL's NaN and infinities
	Text           //
	Date           // a day of the calendar
	Timestamp      // an instant: timestamptz
	Local          // a day and a time of day without a zone: timestamp
	JSON           // json, jsonb: passed on, or a path is taken of it

	// list marks a list; the rest of the bits is the type of its items.
	list Type = 1 << 7
)

// ListOf gives the type of lists of items of a type.
func ListOf(item Type) Type { return item | list }

// IsList tells whether it is a type of lists.
func (t Type) IsList() bool { return t&list != 0 }

// Item gives the type of a list's items.
func (t Type) Item() Type { return t &^ list }

// String gives the word used in error texts.
func (t Type) String() string {
	if t.IsList() {
		if t.Item() == Nil {
			return "a list"
		}
		return "a list of " + t.Item().Word()
	}
	switch t {
	case Any:
		return "any type"
	case Nil:
		return "nil"
	case Bool:
		return "a boolean"
	case Int:
		return "a whole number"
	case Decimal:
		return "a decimal"
	case Text:
		return "text"
	case Date:
		return "a date"
	case Timestamp, Local:
		return "a " + t.Word()
	}
	return "JSON"
}

// Word names the type in one word: boolean, integer, decimal, text, date, timestamptz,
// timestamp, json, null, list.
func (t Type) Word() string {
	if t.IsList() {
		return "list"
	}
	return [...]string{"any", "null", "boolean", "integer", "decimal", "text", "date", "timestamptz", "timestamp", "json"}[t]
}

func (t Type) numeric() bool { return t == Int || t == Decimal }
func (t Type) moment() bool  { return t == Date || t == Timestamp || t == Local }

// Column is a column that an expression may name.
type Column struct {
	Name string
	// Type is the type's name as PostgreSQL's format_type gives it, such as
	// numeric(12,2); of a domain, that of its base type.
	Type string
	// NotNull tells that it is never null.
	NotNull bool
	// Labels are those of an enum, which it cannot be compared with another text than; nil
	// for any other type.
	Labels []string
}

// TypeOf gives the type that values of a PostgreSQL type have in expressions.
// Enums, times of day, intervals, and all types it does not know are Text, as their
// JSON is.
func TypeOf(pg string) Type {
	name := strings.ToLower(strings.TrimSpace(pg))
	if item, ok := strings.CutSuffix(name, "[]"); ok {
		return ListOf(TypeOf(item))
	}
	if open := strings.IndexByte(name, '('); open >= 0 { // timestamp(3) with time zone
		_, rest, _ := strings.Cut(name[open:], ")")
		name = strings.TrimSpace(name[:open]) + rest
	}
	switch name {
	case "smallint", "integer", "bigint", "int2", "int4", "int8", "int":
		return Int
	case "numeric", "decimal", "real", "double precision", "float4", "float8":
		return Decimal
	case "boolean", "bool":
		return Bool
	case "date":
		return Date
	case "timestamp with time zone", "timestamptz":
		return Timestamp
	case "timestamp without time zone", "timestamp":
		return Local
	case "json", "jsonb":
		return JSON
	}
	return Text
}

// unify gives the type that can hold values of both; false if there is none.
func unify(a, b Type) (Type, bool) {
	switch {
	case a == b:
		return a, true
	case a == Nil:
		return b, true
	case b == Nil:
		return a, true
	case a.numeric() && b.numeric():
		return Decimal, true
	case a.IsList() && b.IsList():
		item, ok := unify(a.Item(), b.Item())
		return ListOf(item), ok
	}
	return Any, false
}
