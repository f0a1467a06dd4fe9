package cdc

// Value is what a column of a change holds. There are three cases, never two
// (I5): absent, for a TOASTed value that the update did not touch and that
// PostgreSQL therefore did not send; null; and set.
// The zero Value is absent.
type Value struct {
	state state
	json  string
}

type state uint8

const (
	absent state = iota
	null
	set
)

// Null is the SQL NULL.
func Null() Value { return Value{state: null} }

// Set is a value given as JSON text. JSON null is not a Set value: use Null.
func Set(json string) Value { return Value{state: set, json: json} }

// ValueOf takes JSON text as the log has it, where null is the SQL NULL.
func ValueOf(json string) Value {
	if json == "null" {
		return Null()
	}
	return Set(json)
}

// IsAbsent tells that the value was not sent: it must not be taken for null.
func (v Value) IsAbsent() bool { return v.state == absent }

// IsNull tells that the value is the SQL NULL.
func (v Value) IsNull() bool { return v.state == null }

// JSON gives the value as JSON text: "null" for null, and "" for absent.
func (v Value) JSON() string {
	switch v.state {
	case null:
		return "null"
	case set:
		return v.json
	}
	return ""
}
