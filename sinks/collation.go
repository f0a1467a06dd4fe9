package sinks

import (
	"encoding/json"
	"strings"
)

// Collation is the ability of a target to tell which key values it takes for the same
// one. A target without it is taken to tell all texts apart.
type Collation interface {
	// FoldKey gives a text that two values of the key field of an object have in common if,
	// and only if, the target takes them for the same. The value is a JSON scalar.
	FoldKey(object string, key Field) string
	// Folds tells whether it takes different values for the same at all.
	Folds() bool
}

// ExactKey is the text of a key value, for targets that tell all texts apart. A number and
// the text of it are the same: what a field of the target holds is of one type.
func ExactKey(value json.RawMessage) string {
	var s string
	if len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// InsensitiveKey is the text of a key value, for targets that take ABC and abc for the same.
func InsensitiveKey(value json.RawMessage) string {
	return strings.ToLower(strings.ToUpper(ExactKey(value))) // up first: some letters have two small forms
}
