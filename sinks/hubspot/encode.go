package hubspot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// text writes a value as HubSpot takes it, which is a text of any type: an empty one clears,
// a list is a;b, and dates are as they come, in ISO 8601 (developers.hubspot.com,
// "Properties"). Numbers keep their text, and other JSON too.
func text(v json.RawMessage) (string, error) {
	v = bytes.TrimSpace(v)
	if len(v) == 0 {
		return "", errors.New("it has no value")
	}
	if !json.Valid(v) {
		return "", errors.New("the value is no JSON")
	}
	switch v[0] {
	case 'n':
		return "", nil
	case '"':
		return sinks.ExactKey(v), nil
	case '[':
		return list(v)
	case '{':
		return compact(v)
	}
	return string(v), nil
}

// list writes items with semicolons between them, as those of several checkboxes. An empty
// one is left out: a text that begins with a semicolon would add to what is there.
func list(v json.RawMessage) (string, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(v, &items); err != nil {
		return "", errors.New("the value is no list")
	}
	parts := make([]string, 0, len(items))
	for _, item := range items {
		switch {
		case item[0] == '[' || item[0] == '{':
			return compact(v)
		case string(item) == "null":
			continue
		}
		s := sinks.ExactKey(item)
		if strings.Contains(s, ";") {
			return "", errors.New("an item of a list has a semicolon, which separates items")
		}
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ";"), nil
}

func compact(v json.RawMessage) (string, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		return "", errors.New("the value is no JSON")
	}
	return b.String(), nil
}

// property is a value on the wire.
type property struct{ name, text string }

// properties keep the order of the mapping.
type properties []property

// MarshalJSON writes an object.
func (p properties) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range p {
		if i > 0 {
			b = append(b, ',')
		}
		for _, part := range []string{f.name, f.text} {
			s, err := json.Marshal(part)
			if err != nil {
				return nil, fmt.Errorf("encode text: %w", err)
			}
			b = append(append(b, s...), ':')
		}
		b = b[:len(b)-1]
	}
	return append(b, '}'), nil
}

// input is a record in a batch that writes.
type input struct {
	ID         string     `json:"id"`
	IDProperty string     `json:"idProperty,omitempty"`
	Trace      string     `json:"objectWriteTraceId"`
	Properties properties `json:"properties"`
}

// ref names a record by its id, or by the value of a unique property.
type ref struct {
	ID string `json:"id"`
}

func refs(ids []string) []ref {
	out := make([]ref, len(ids))
	for i, id := range ids {
		out[i].ID = id
	}
	return out
}

// inputs is the form of the body of every batch.
type inputs[T any] struct {
	Inputs []T `json:"inputs"`
}

// readInputs is that of a batch that reads.
type readInputs struct {
	IDProperty string   `json:"idProperty,omitempty"`
	Properties []string `json:"properties"`
	History    []string `json:"propertiesWithHistory"`
	Inputs     []ref    `json:"inputs"`
}

// encode makes the body of a request, of values that always have a JSON form.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, &sinks.Rejected{Code: codeEncode, Err: fmt.Errorf("encode request: %w", err)}
	}
	return b, nil
}

// codeEncode is of a value that cannot be written as HubSpot takes it.
const codeEncode = "encode"
