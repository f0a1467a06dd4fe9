package salesforce

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/walbridge/walbridge/sinks"
)

// null is a value that is not there.
const null = "null"

// normalise gives a JSON value in the form in which a field holds it: texts without blanks
// around them, an empty text as null, numbers rounded to the field's scale, times in UTC.
// The fault is of a value whose type is wrong, as the parser of the API finds it.
func normalise(f *Field, raw json.RawMessage) (json.RawMessage, *fault) {
	raw = bytes.TrimSpace(raw)
	if string(raw) == null {
		return json.RawMessage(null), nil
	}
	var text string
	isText := json.Unmarshal(raw, &text) == nil
	if text = strings.TrimSpace(text); !isText {
		text = string(raw)
	}
	switch f.Type {
	case sinks.FieldNumber, sinks.FieldInteger:
		if n, ok := readNumber(text); ok {
			return json.RawMessage(rounded(f, n)), nil
		}
		return nil, wrongType(f, raw, "double")
	case sinks.FieldBoolean:
		if text = strings.ToLower(text); text == "true" || text == "false" {
			return json.RawMessage(text), nil
		}
		return nil, wrongType(f, raw, "boolean")
	}
	if !isText {
		return nil, wrongType(f, raw, f.kind())
	}
	if text == "" {
		return json.RawMessage(null), nil
	}
	switch f.Type {
	case sinks.FieldDate:
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return nil, wrongType(f, raw, "date")
		}
	case sinks.FieldDateTime:
		at, ok := readTime(text)
		if !ok {
			return nil, wrongType(f, raw, "datetime")
		}
		text = showTime(at)
	case sinks.FieldRef:
		if id, ok := readID(text); ok {
			text = id
		}
	}
	return quote(text), nil
}

// wrongType is how the API's parser tells of a value that it cannot read; where in the
// text it stands is not told here.
func wrongType(f *Field, raw json.RawMessage, want string) *fault {
	got := "VALUE_NUMBER_INT"
	switch raw[0] {
	case '"':
		got = "VALUE_STRING"
	case '{':
		got, raw = "START_OBJECT", raw[:1]
	case '[':
		got, raw = "START_ARRAY", raw[:1]
	case 't', 'f':
		got = "VALUE_" + strings.ToUpper(string(raw))
	}
	return unreadable("JSON_PARSER_ERROR", "Cannot deserialize instance of %s from %s value %s or request may be missing a required field (%s)",
		want, got, strings.Trim(string(raw), `"`), f.Name)
}

// fromCell gives the value of a CSV cell that is not empty.
func fromCell(f *Field, cell string) (json.RawMessage, *fault) {
	if cell == "#N/A" {
		return json.RawMessage(null), nil
	}
	v, bad := normalise(f, quote(cell))
	if bad != nil {
		return nil, refuse("INVALID_TYPE_ON_FIELD_IN_RECORD", fmt.Sprintf("%s: value not of required type: %s", f.label(), cell), f.Name)
	}
	return v, nil
}

// readTime reads the forms of an instant that the API takes.
func readTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// showTime writes an instant as the REST API does.
func showTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000-0700") }

func quote(text string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a text can always be written
	return bytes.TrimSpace(b.Bytes())
}

// plain is the text of a held value: a text without its quotes, anything else as it is,
// and nothing for null.
func plain(v json.RawMessage) string {
	if len(v) == 0 || string(v) == null {
		return ""
	}
	var text string
	if v[0] == '"' && json.Unmarshal(v, &text) == nil {
		return text
	}
	return string(v)
}

// folded is what two values have in common that are one to the field.
func folded(f *Field, v json.RawMessage) string {
	text := plain(v)
	switch f.Type {
	case sinks.FieldNumber, sinks.FieldInteger:
		if n, ok := readNumber(text); ok {
			return n.Text('f')
		}
	default:
		if !f.CaseSensitive && f.Type != sinks.FieldRef && f.Name != idField {
			return strings.ToLower(strings.ToUpper(text))
		}
	}
	return text
}

// maxDigits bounds what is worked out of a number: no field takes more.
const maxDigits = 400

// readNumber reads a number of JSON, without zeros at its end.
func readNumber(text string) (*apd.Decimal, bool) {
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') || !json.Valid([]byte(text)) {
		return nil, false
	}
	n, _, err := apd.NewFromString(text)
	if err != nil || n.Form != apd.Finite || n.Exponent > maxDigits || n.Exponent < -maxDigits {
		return nil, false
	}
	n.Reduce(n)
	if n.Exponent > 0 { // 1E+3 is 1000
		_, err = apd.BaseContext.WithPrecision(2*maxDigits).Quantize(n, n, 0)
	}
	return n, err == nil
}

// rounded writes a number with no more digits behind the point than the field has.
func rounded(f *Field, n *apd.Decimal) string {
	if f.Precision > 0 && -int(n.Exponent) > f.Scale || f.Type == sinks.FieldInteger && n.Exponent < 0 {
		c := apd.BaseContext.WithPrecision(2 * maxDigits)
		c.Rounding = apd.RoundHalfUp
		var out apd.Decimal
		if _, err := c.Quantize(&out, n, -int32(f.Scale)); err == nil {
			out.Reduce(&out)
			return out.Text('f')
		}
	}
	return n.Text('f')
}
