// Package same tells whether a value as it was sent and as a target gives it back are the
// same: systems give numbers as texts, times in another form, and empty texts as null.
package same

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// Value tells whether two JSON values mean the same. A number and the text of it are the
// same (two texts are not for being the same number), and so are null and an empty text;
// instants by when they are, to the millisecond that most systems keep; an object or a list
// and the JSON text of it; lists if they are of as many items that are the same.
func Value(sent, held json.RawMessage) bool {
	a, b := plain(sent), plain(held)
	switch {
	case a == b:
		return true
	case strings.TrimSpace(a) == strings.TrimSpace(b):
		return true // most systems cut blanks off
	}
	if x, ok := number(a); ok && !(isText(sent) && isText(held)) {
		y, ok := number(b)
		return ok && x.Cmp(y) == 0
	}
	if x, ok := instant(a); ok {
		y, ok := instant(b)
		return ok && x.Truncate(time.Millisecond).Equal(y.Truncate(time.Millisecond))
	}
	return structured(a) && structured(b) && (compact(a) == compact(b) || items(a, b))
}

// items tells whether two texts are lists of the same items, such as objects and their texts.
func items(a, b string) bool {
	var x, y []json.RawMessage
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return slices.EqualFunc(x, y, Value)
}

// plain gives the text of a scalar, nothing for null, and anything else as it is.
func plain(v json.RawMessage) string {
	var text string
	switch {
	case len(v) == 0 || string(v) == "null":
		return ""
	case v[0] == '"' && json.Unmarshal(v, &text) == nil:
		return text
	}
	return string(v)
}

func isText(v json.RawMessage) bool { return len(v) > 0 && v[0] == '"' }

func number(s string) (*apd.Decimal, bool) {
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return nil, false
	}
	d, _, err := apd.NewFromString(s)
	return d, err == nil && d.Form == apd.Finite
}

// forms are those of instants, as systems write them.
var forms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07"}

func instant(s string) (time.Time, bool) {
	for _, form := range forms {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func structured(s string) bool {
	return s != "" && (s[0] == '{' || s[0] == '[') && json.Valid([]byte(s))
}

func compact(s string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return s
	}
	var b bytes.Buffer
	if json.NewEncoder(&b).Encode(v) != nil { // with the keys of objects in order
		return s
	}
	return b.String()
}
