package expr

import "strings"

// Type is the static type of an expression or a column. Every type includes
// null.
type Type uint8

// The types. Any is only asked for, never given: it stands for all of them.
const (
	Any Type = iota
	Nil      // the literal nil alone
	Bool
	Int     // 64 bits
	Decimal // exact, with PostgreSQL's NaN and infinities
	Text
	JSON // json, jsonb, arrays: only passed on
)

// String gives the word used in error texts.
func (t Type) String() string {
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
	}
	return "JSON"
}

func (t Type) numeric() bool { return t == Int || t == Decimal }

// Column is a column that an expression may name.
type Column struct {
	Name string
	// Type is the type's name as PostgreSQL's format_type gives it, such as
	// numeric(12,2); of a domain, that of its base type.
	Type string
}

// TypeOf gives the type that values of a PostgreSQL type have in expressions.
// Enums, dates, and all types it does not know are Text, as their JSON is.
func TypeOf(pg string) Type {
	name := strings.ToLower(strings.TrimSpace(pg))
	if strings.HasSuffix(name, "]") {
		return JSON
	}
	if i := strings.IndexByte(name, '('); i >= 0 {
		name = strings.TrimSpace(name[:i])
	}
	switch name {
	case "smallint", "integer", "bigint", "int2", "int4", "int8", "int", "oid":
		return Int
	case "numeric", "decimal", "real", "double precision", "float4", "float8":
		return Decimal
	case "boolean", "bool":
		return Bool
	case "json", "jsonb", "record":
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
	}
	return Any, false
}
