package cdc

import (
	"encoding/json"
	"strings"
)

// SameKey tells whether what a person writes, the value of a key of one column or a JSON
// object of its columns, is a key of the log.
func SameKey(want, key string) bool {
	have, err := ParseRow(key)
	if err != nil {
		return want == key
	}
	if !strings.HasPrefix(want, "{") {
		return len(have) == 1 && plainText(have[0].Value) == want
	}
	columns, err := ParseRow(want)
	if err != nil || len(columns) != len(have) {
		return false
	}
	for _, c := range columns {
		if v := have.Get(c.Name); v.IsAbsent() || plainText(v) != plainText(c.Value) {
			return false
		}
	}
	return true
}

// plainText is a value without the quotes of a text.
func plainText(v Value) string {
	var s string
	if json.Unmarshal([]byte(v.JSON()), &s) == nil {
		return s
	}
	return v.JSON()
}
