package expr

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
)

// value is what a node gives. Its type is the node's static one, or it is null,
// which the zero value is.
type value struct {
	set  bool
	bool bool
	int  int64        // of a Date its day, of a Timestamp or Local its microsecond, from 1970
	text string       // of JSON its text
	dec  *apd.Decimal // never written to once it is in a value
	list []value      // likewise
}

func boolOf(b bool) value           { return value{set: true, bool: b} }
func intOf(i int64) value           { return value{set: true, int: i} }
func textOf(s string) value         { return value{set: true, text: s} }
func decOf(d *apd.Decimal) value    { return value{set: true, dec: d} }
func listOf(l []value) value        { return value{set: true, list: l} }
func (v value) isTrue() bool        { return v.set && v.bool }
func widen(i int64) *apd.Decimal    { return apd.New(i, 0) }
func decText(d *apd.Decimal) string { return string(appendDec(nil, d)) }
func isFinite(d *apd.Decimal) bool  { return d.Form == apd.Finite }
func isNaN(d *apd.Decimal) bool     { return d.Form == apd.NaN || d.Form == apd.NaNSignaling }

// maxDigits bounds the numbers that are calculated with, to either side of the
// point. Longer ones can still be passed on.
const maxDigits = 1000

// withinBounds keeps the cost of arithmetic bounded.
func withinBounds(d *apd.Decimal) bool {
	return !isFinite(d) || d.Exponent <= maxDigits && d.Exponent >= -2*maxDigits && d.NumDigits() <= 2*maxDigits
}

// decode reads the JSON of a column of type t, which is not null. The text tells what
// is wrong, without the value.
func decode(t Type, raw string) (value, string) {
	if t.IsList() {
		return decodeList(t.Item(), raw)
	}
	switch t {
	case Bool:
		switch raw {
		case "true":
			return boolOf(true), ""
		case "false":
			return boolOf(false), ""
		}
		return value{}, "its value is not a boolean"
	case Int:
		i, err := strconv.ParseInt(raw, 10, 64)
		if err != nil {
			return value{}, "its value is not a whole number of 64 bits"
		}
		return intOf(i), ""
	case Decimal:
		return decodeDec(raw)
	case Text:
		return decodeText(raw)
	case Date, Timestamp, Local:
		text, bad := decodeText(raw)
		if bad != "" {
			return value{}, bad
		}
		v, ok := parseMoment(t, text.text)
		if !ok {
			return value{}, "its value is not " + t.String()
		}
		return v, ""
	}
	return textOf(raw), ""
}

func decodeDec(raw string) (value, string) {
	switch raw {
	case `"NaN"`:
		return decOf(&apd.Decimal{Form: apd.NaN}), ""
	case `"Infinity"`:
		return decOf(&apd.Decimal{Form: apd.Infinite}), ""
	case `"-Infinity"`:
		return decOf(&apd.Decimal{Form: apd.Infinite, Negative: true}), ""
	}
	const bad = "its value is not a number"
	if raw == "" || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return value{}, bad
	}
	if len(raw) > 3*maxDigits {
		return value{}, "its value has too many digits to calculate with"
	}
	if d := shortDec(raw); d != nil {
		return decOf(d), ""
	}
	d := new(apd.Decimal)
	if _, _, err := d.SetString(raw); err != nil || !isFinite(d) {
		return value{}, bad
	}
	if !withinBounds(d) {
		return value{}, "its value has too many digits to calculate with"
	}
	return decOf(d), ""
}

// shortDec reads up to 18 digits with a point among them, as most amounts are; nil for
// anything else. apd takes three times as long.
func shortDec(raw string) *apd.Decimal {
	digits, scale, seen := int64(0), -1, 0
	for i := range len(raw) {
		switch c := raw[i]; {
		case c >= '0' && c <= '9':
			digits, seen = digits*10+int64(c-'0'), seen+1
			if scale >= 0 {
				scale++
			}
		case c == '.' && scale < 0:
			scale = 0
		case c == '-' && i == 0:
		default:
			return nil
		}
	}
	if seen == 0 || seen > 18 || scale == 0 {
		return nil
	}
	d := apd.New(digits, int32(-max(scale, 0)))
	d.Negative = raw[0] == '-' && digits != 0
	return d
}

func decodeText(raw string) (value, string) {
	if raw == "" {
		return value{}, "its value is not text"
	}
	switch raw[0] {
	case '"':
		if len(raw) >= 2 && strings.IndexByte(raw, '\\') < 0 {
			return textOf(raw[1 : len(raw)-1]), ""
		}
		var s string
		if err := json.Unmarshal([]byte(raw), &s); err != nil {
			return value{}, "its value is not valid JSON"
		}
		return textOf(s), ""
	case '{', '[':
		return value{}, "its value is not text but a JSON object or list"
	}
	return textOf(raw), "" // a number of a type not known here
}

func decodeList(item Type, raw string) (value, string) {
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(raw), &parts); err != nil {
		return value{}, "its value is not a list"
	}
	items := make([]value, len(parts))
	for i, p := range parts {
		text := string(p)
		if text == "null" {
			continue
		}
		if item != JSON && (text[0] == '[' || text[0] == '{') {
			return value{}, "its value is not a list of plain values"
		}
		v, bad := decode(item, text)
		if bad != "" {
			return value{}, bad
		}
		items[i] = v
	}
	return listOf(items), ""
}

// appendJSON appends the JSON of a value of type t.
func appendJSON(b []byte, t Type, v value) []byte {
	if !v.set {
		return append(b, "null"...)
	}
	if t.IsList() {
		b = append(b, '[')
		for i, item := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, t.Item(), item)
		}
		return append(b, ']')
	}
	switch t {
	case Bool:
		return strconv.AppendBool(b, v.bool)
	case Int:
		return strconv.AppendInt(b, v.int, 10)
	case Decimal:
		if !isFinite(v.dec) { // as to_jsonb has them
			return append(appendDec(append(b, '"'), v.dec), '"')
		}
		return appendDec(b, v.dec)
	case Text:
		return AppendText(b, v.text)
	case Date, Timestamp, Local:
		return append(appendMoment(append(b, '"'), t, v.int), '"')
	}
	return append(b, v.text...)
}

// appendDec writes plain digits, never an exponent, and PostgreSQL's words.
func appendDec(b []byte, d *apd.Decimal) []byte {
	switch {
	case isNaN(d):
		return append(b, "NaN"...)
	case d.Form == apd.Infinite && d.Negative:
		return append(b, "-Infinity"...)
	case d.Form == apd.Infinite:
		return append(b, "Infinity"...)
	case d.IsZero() && d.Exponent > 0: // a row of noughts is not JSON
		return append(b, '0')
	case d.IsZero() && d.Negative: // PostgreSQL has no negative zero
		return new(apd.Decimal).Abs(d).Append(b, 'f')
	}
	return d.Append(b, 'f')
}

// AppendText appends s as a JSON string with as few escapes as JSON allows.
func AppendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// compareDec orders as PostgreSQL does: NaN equals itself and is the greatest.
func compareDec(a, b *apd.Decimal) int {
	switch {
	case isNaN(a) && isNaN(b):
		return 0
	case isNaN(a):
		return 1
	case isNaN(b):
		return -1
	}
	return a.Cmp(b)
}

// asText gives the text that string(x) makes of a value of a scalar type.
func asText(t Type, v value) string {
	switch t {
	case Bool:
		return strconv.FormatBool(v.bool)
	case Int:
		return strconv.FormatInt(v.int, 10)
	case Decimal:
		return decText(v.dec)
	case Date, Timestamp, Local:
		return string(appendMoment(nil, t, v.int))
	}
	return v.text
}

// Fits tells whether a JSON value is one that a column of a PostgreSQL type can have, as far
// as expressions know the type.
func Fits(pg, raw string) bool {
	_, bad := decode(TypeOf(pg), raw)
	return bad == ""
}
