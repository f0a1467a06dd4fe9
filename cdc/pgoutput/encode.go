package pgoutput

import (
	"bytes"
	"fmt"
)

// AppendValue appends the JSON of a value given in the server's text form.
func AppendValue(dst []byte, t Type, text []byte) ([]byte, error) {
	if t.Array {
		return appendArray(dst, t, text)
	}
	return appendScalar(dst, t.Kind, text)
}

func appendScalar(dst []byte, k Kind, text []byte) ([]byte, error) {
	switch k {
	case Number, JSON:
		if len(text) == 0 {
			return dst, fmt.Errorf("empty text for a %s", kindNames[k])
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
		return appendTimestamp(dst, k, text), nil
	}
	return appendString(dst, text), nil
}

var kindNames = map[Kind]string{Number: "number", JSON: "json value", Decimal: "number"}

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
