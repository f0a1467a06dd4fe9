package pgoutput

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// AppendValue appends the JSON of a value given in the server's text form. The
// error is a MisfitError where a composite is not what t says.
func AppendValue(dst []byte, t *Type, text []byte) ([]byte, error) {
	var e encoder
	return e.value(dst, t, text)
}

// encoder turns values into JSON. It holds what is used again for the next value.
type encoder struct {
	// scratch holds texts freed of their quotes, those of inner values after
	// those of outer ones: at most the value's text for each level of its type.
	scratch []byte
	// strict tells that the value is within a composite.
	strict bool
}

// value is on the way of every column of every row: what is simple must stay a
// switch that allocates nothing.
func (e *encoder) value(dst []byte, t *Type, text []byte) ([]byte, error) {
	switch t.Kind {
	case Number, JSON:
		if len(text) == 0 {
			return dst, fmt.Errorf("empty text for a number or json value")
		}
		return append(dst, text...), nil
	case Decimal:
		return appendDecimal(dst, text)
	case Bool:
		switch string(text) {
		case "t":
			return append(dst, "true"...), nil
		case "f":
			return append(dst, "false"...), nil
		}
		return dst, fmt.Errorf("want t or f for a boolean, have %d bytes", len(text))
	case Timestamp, Timestamptz:
		return appendTimestamp(dst, t.Kind, text), nil
	case Array:
		return e.appendArray(dst, t, text)
	case Vector:
		return e.appendVector(dst, t, text)
	case Composite:
		return e.appendComposite(dst, t, text)
	case HStore:
		return e.appendHStore(dst, text)
	}
	return appendString(dst, text), nil
}

// inner appends a part of a value.
func (e *encoder) inner(dst []byte, t *Type, text []byte) ([]byte, error) {
	if e.strict && !fits(t.Kind, text) {
		return dst, fmt.Errorf("a field is not of the type that the catalog has for it")
	}
	return e.value(dst, t, text)
}

// fits tells whether a text can be of a kind. A column's own type comes with its
// table's description, and its texts pass unchecked. The fields of a composite
// come from the catalog, which may know them otherwise than they were when the
// row was written; what passes as JSON must be JSON even then.
func fits(k Kind, text []byte) bool {
	switch k {
	case Number:
		return isNumber(text)
	case Decimal:
		switch string(text) {
		case "NaN", "Infinity", "-Infinity":
			return true
		}
		return isNumber(text)
	case JSON:
		return json.Valid(text)
	case Timestamp, Timestamptz:
		switch string(text) {
		case "infinity", "-infinity":
			return true
		}
		return len(text) > 0 && isDigit(text[0]) && !bytes.ContainsFunc(text, func(r rune) bool {
			return r >= 0x80 || escaped[byte(r)]
		})
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNumber(text []byte) bool {
	return len(text) > 0 && (isDigit(text[0]) || text[0] == '-') && json.Valid(text)
}

// unquote appends to the scratch what stands in quotes, of which the first is at
// at, and gives where the text goes on after the last. A backslash stands before
// a character that means itself. In a composite a quote is doubled instead.
func (e *encoder) unquote(text []byte, at int, doubled bool) (next int, err error) {
	for at++; at < len(text); at++ {
		c := text[at]
		switch {
		case c == '\\':
			if at++; at == len(text) {
				continue
			}
			c = text[at]
		case c == '"' && doubled && at+1 < len(text) && text[at+1] == '"':
			at++
		case c == '"':
			return at + 1, nil
		}
		e.scratch = append(e.scratch, c)
	}
	return at, fmt.Errorf("text has a quote that is not closed")
}

// appendDecimal passes a number through; NaN, Infinity and -Infinity have no
// form in JSON and become strings, as in to_jsonb.
func appendDecimal(dst, text []byte) ([]byte, error) {
	if len(text) == 0 {
		return dst, fmt.Errorf("empty text for a number")
	}
	switch text[len(text)-1] {
	case 'N', 'y':
		return appendString(dst, text), nil
	}
	return append(dst, text...), nil
}

// appendTimestamp writes what to_jsonb writes of a timestamp: a T in place of
// the first space, and the offset of the time zone with its minutes. Infinities
// have no space and stay as they are; " BC" stays at the end.
func appendTimestamp(dst []byte, k Kind, text []byte) []byte {
	sp := bytes.IndexByte(text, ' ')
	if sp < 0 {
		return appendString(dst, text)
	}
	dst = append(dst, '"')
	dst = append(dst, text[:sp]...)
	dst = append(dst, 'T')
	rest := text[sp+1:]
	if k == Timestamptz {
		end := bytes.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		dst = append(dst, rest[:end]...)
		if sign := bytes.LastIndexAny(rest[:end], "+-"); sign >= 0 && end-sign == 3 {
			dst = append(dst, ":00"...)
		}
		rest = rest[end:]
	}
	dst = append(dst, rest...)
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// escaped tells which bytes cannot stand in a JSON string as they are.
var escaped = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// appendString appends text, which is valid UTF-8 because the connection's
// client_encoding is, as a JSON string.
func appendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !escaped[c] {
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}
