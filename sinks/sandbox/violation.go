package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/walbridge/walbridge/sinks"
)

// The codes of what a schema does not allow, which are those of Salesforce.
const (
	codeUnknown  = "INVALID_FIELD"
	codeLong     = "STRING_TOO_LONG"
	codeMissing  = "REQUIRED_FIELD_MISSING"
	codeType     = "INVALID_TYPE_ON_FIELD_IN_RECORD"
	codePicklist = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
	codeWrite    = "INVALID_FIELD_FOR_INSERT_UPDATE"
)

// violation says what keeps a record from being taken by an object of a schema; nil if
// nothing does. held are the fields of the record that is there already, nil if there is
// none. Of several reasons the key's is told first, then those of unknown fields by name,
// then the others in the order of the schema.
func violation(s *sinks.Schema, rec *Record, held map[string]json.RawMessage) *Refusal {
	if r := keyViolation(s, rec.Key); r != nil || rec.Op != opUpsert {
		return r
	}
	for _, name := range slices.Sorted(maps.Keys(rec.Fields)) {
		if s.Field(name) == nil && !s.Open {
			return refuse(name, codeUnknown, "no such field")
		}
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		value, sent := rec.Fields[f.Name]
		_, isKey := rec.Key[f.Name]
		var r *Refusal
		switch {
		case sent:
			r = fieldViolation(f, value, held)
		case held == nil && f.Required && !f.ReadOnly && !isKey:
			r = refuse(f.Name, codeMissing, "a record cannot be made without it")
		}
		if r != nil {
			return r
		}
	}
	return nil
}

func refuse(field, code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: field + ": " + fmt.Sprintf(format, args...)}
}

func keyViolation(s *sinks.Schema, key map[string]json.RawMessage) *Refusal {
	for _, name := range slices.Sorted(maps.Keys(key)) {
		f := s.Field(name)
		switch {
		case f == nil && s.Open:
		case f == nil:
			return refuse(name, codeUnknown, "no such field")
		case !f.Key:
			return refuse(name, codeWrite, "records are not identified by it")
		default:
			if r := valueViolation(f, key[name]); r != nil {
				return r
			}
		}
	}
	return nil
}

// fieldViolation looks at a field that is sent.
func fieldViolation(f *sinks.SchemaField, value json.RawMessage, held map[string]json.RawMessage) *Refusal {
	if f.ReadOnly {
		return refuse(f.Name, codeWrite, "it is not writable")
	}
	if held != nil && f.CreateOnly && !same(value, held[f.Name]) {
		return refuse(f.Name, codeWrite, "it cannot be changed once the record is made")
	}
	if cleared(f, value) {
		if f.Required || f.NotNull {
			return refuse(f.Name, codeMissing, "it cannot be empty")
		}
		return nil
	}
	return valueViolation(f, value)
}

// cleared tells whether a value empties a field, as an empty text does to a CRM.
func cleared(f *sinks.SchemaField, value json.RawMessage) bool {
	text := string(bytes.TrimSpace(value))
	return text == "null" || text == `""` && (f.Type == sinks.FieldText || f.Type == sinks.FieldRef)
}

// same tells whether two values are one to the receiver: 1.0 is 1, and what was never
// sent is null.
func same(a, b json.RawMessage) bool {
	x, y := strings.TrimSpace(string(a)), strings.TrimSpace(string(b))
	if x == "" || y == "" {
		return (x == "" || x == "null") && (y == "" || y == "null")
	}
	if p, ok := digitsOf(x); ok {
		q, ok := digitsOf(y)
		return ok && p == q
	}
	var u, v any
	if json.Unmarshal(a, &u) != nil || json.Unmarshal(b, &v) != nil {
		return x == y
	}
	p, errP := json.Marshal(u)
	q, errQ := json.Marshal(v)
	return errP == nil && errQ == nil && bytes.Equal(p, q)
}

// valueViolation looks at a value that is not null.
func valueViolation(f *sinks.SchemaField, value json.RawMessage) *Refusal {
	var text string
	isText := json.Unmarshal(value, &text) == nil
	raw := string(bytes.TrimSpace(value))
	wrong := func() *Refusal { return refuse(f.Name, codeType, "the value is not of type %s", f.Type) }
	switch f.Type {
	case sinks.FieldText:
		if !isText {
			return wrong()
		}
	case sinks.FieldNumber, sinks.FieldInteger:
		return numberViolation(f, raw)
	case sinks.FieldBoolean:
		if raw != "true" && raw != "false" {
			return wrong()
		}
	case sinks.FieldDate:
		if _, err := time.Parse(time.DateOnly, text); !isText || err != nil {
			return wrong()
		}
	case sinks.FieldDateTime:
		if _, err := time.Parse(time.RFC3339, text); !isText || err != nil {
			return wrong()
		}
	case sinks.FieldList:
		return listViolation(f, value)
	case sinks.FieldRef:
		if _, isNumber := digitsOf(raw); !isText && !isNumber {
			return wrong()
		}
	}
	if isText {
		return textViolation(f, text)
	}
	return nil
}

func textViolation(f *sinks.SchemaField, text string) *Refusal {
	if n := utf8.RuneCountInString(text); f.Length > 0 && n > f.Length {
		return refuse(f.Name, codeLong, "data value too large: %d characters (max length=%d)", n, f.Length)
	}
	if f.Values != nil && !slices.Contains(f.Values, text) {
		return refuse(f.Name, codePicklist, "bad value for restricted picklist field: %s", text)
	}
	return nil
}

func listViolation(f *sinks.SchemaField, value json.RawMessage) *Refusal {
	var list []any
	if json.Unmarshal(value, &list) != nil {
		return refuse(f.Name, codeType, "the value is not of type %s", f.Type)
	}
	for _, item := range list {
		if text, ok := item.(string); f.Values != nil && (!ok || !slices.Contains(f.Values, text)) {
			return refuse(f.Name, codePicklist, "bad value for restricted picklist field: %v", item)
		}
	}
	return nil
}

func numberViolation(f *sinks.SchemaField, raw string) *Refusal {
	n, ok := digitsOf(raw)
	switch {
	case !ok:
		return refuse(f.Name, codeType, "the value is not of type %s", f.Type)
	case f.Type == sinks.FieldInteger && n.behind() > 0:
		return refuse(f.Name, codeType, "the value is not whole")
	case f.Precision > 0 && (n.before() > f.Precision-f.Scale || n.behind() > f.Scale):
		return refuse(f.Name, codeType, "the value has %d digits before the point and %d behind it, and the field takes %d and %d",
			n.before(), n.behind(), f.Precision-f.Scale, f.Scale)
	}
	return nil
}

// number is a number as its digits without zeros at either end, and the power of ten of
// the last of them, so that two that are equal look the same however they were written.
type number struct {
	negative bool
	digits   string // "" is zero
	exponent int
}

// before and behind count the digits on both sides of the point.
func (n number) before() int { return max(0, len(n.digits)+n.exponent) }
func (n number) behind() int { return max(0, -n.exponent) }

// digitsOf takes a JSON number apart.
func digitsOf(raw string) (n number, ok bool) {
	if raw == "" || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') || !json.Valid([]byte(raw)) {
		return n, false
	}
	mantissa, exponent := raw, ""
	if i := strings.IndexAny(raw, "eE"); i >= 0 {
		mantissa, exponent = raw[:i], raw[i+1:]
	}
	if exponent != "" {
		e, err := strconv.Atoi(exponent)
		// What is beyond this no field takes, and sums must not overflow.
		if n.exponent = e; err != nil || e > maxExponent || e < -maxExponent {
			n.exponent = maxExponent
			if exponent[0] == '-' {
				n.exponent = -maxExponent
			}
		}
	}
	mantissa, n.negative = strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n.digits = strings.TrimLeft(whole+fraction, "0")
	n.exponent -= len(fraction)
	trimmed := strings.TrimRight(n.digits, "0")
	n.exponent += len(n.digits) - len(trimmed)
	if n.digits = trimmed; trimmed == "" {
		return number{}, true
	}
	return n, true
}

const maxExponent = 1 << 30
