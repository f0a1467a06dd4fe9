package state

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// appendOld appends old target keys behind a bar: a JSON array of objects of one field,
// in base64, so that it has neither spaces nor equals signs. Few keys have any, and not
// for long.
func appendOld(b []byte, old []sinks.Field) []byte {
	if len(old) == 0 {
		return b
	}
	list := []byte{'['}
	for i, f := range old {
		if i > 0 {
			list = append(list, ',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil { // a string always has a JSON form
			name = []byte(`""`)
		}
		list = append(append(append(append(list, '{'), name...), ':'), f.Value...)
		list = append(list, '}')
	}
	return base64.RawURLEncoding.AppendEncode(append(b, '|'), append(list, ']'))
}

var errOld = errors.New("the old target keys are not a list of objects of one field")

func parseOld(text string) ([]sinks.Field, error) {
	if text == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errOld
	}
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		return nil, errOld
	}
	out := make([]sinks.Field, len(list))
	for i, object := range list {
		row, err := cdc.ParseRow(string(object))
		if err != nil || len(row) != 1 {
			return nil, errOld
		}
		out[i] = sinks.Field{Name: row[0].Name, Value: json.RawMessage(row[0].Value.JSON())}
	}
	return out, nil
}
