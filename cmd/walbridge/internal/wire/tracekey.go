package wire

import (
	"encoding/json"
	"strings"

	"github.com/walbridge/walbridge/cdc"
)

// meantMost is how many keys a person may mean with one text: each value may be a text or not.
const meantMost = 64

// meantKeys gives the keys that a person may mean, of a table whose key has these columns: the
// value of the only one, a=1,b=2, or a JSON object. The log has a key as JSON, where a number
// and a text differ, and a person leaves the quotes out.
func meantKeys(text string, columns []string) (keys []string) {
	if len(columns) == 0 {
		return nil
	}
	if strings.HasPrefix(text, "{") {
		if row, err := cdc.ParseRow(text); err == nil {
			values := map[string]string{}
			for _, c := range row {
				values[c.Name] = plainValue(c.Value.JSON())
			}
			return keysWith(values, columns)
		}
	}
	if values := pairs(text); values != nil {
		keys = keysWith(values, columns)
	}
	if len(columns) == 1 { // a value may have an equals sign
		keys = append(keys, keysWith(map[string]string{columns[0]: text}, columns)...)
	}
	return keys
}

// pairs reads a=1,b=2; nil if it is not that.
func pairs(text string) map[string]string {
	values := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil
		}
		values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return values
}

// asObject is what a person wrote as the JSON object that names the columns, where it does.
func asObject(text string) string {
	values := pairs(text)
	if values == nil || strings.HasPrefix(text, "{") {
		return text
	}
	b, err := json.Marshal(values)
	if err != nil { // texts always have a JSON form
		return text
	}
	return string(b)
}

// keysWith makes the keys of values by column; none if the columns are others.
func keysWith(values map[string]string, columns []string) []string {
	if len(values) != len(columns) {
		return nil
	}
	keys := []string{"{"}
	for i, name := range columns {
		value, ok := values[name]
		if !ok {
			return nil
		}
		begin := jsonText(name) + ":"
		if i > 0 {
			begin = "," + begin
		}
		var next []string
		for _, k := range keys {
			for _, form := range formsOf(value) {
				next = append(next, k+begin+form)
			}
		}
		if keys = next; len(keys) > meantMost {
			return nil
		}
	}
	for i := range keys {
		keys[i] += "}"
	}
	return keys
}

// formsOf are the JSON values that a person may mean.
func formsOf(value string) []string {
	if value != "" && value[0] != '"' && value[0] != '{' && value[0] != '[' && value != "null" && json.Valid([]byte(value)) {
		return []string{value, jsonText(value)}
	}
	return []string{jsonText(value)}
}

// plainValue is a JSON value without the quotes of a text.
func plainValue(text string) string {
	var s string
	if json.Unmarshal([]byte(text), &s) == nil && text != "null" {
		return s
	}
	return text
}
