package salesforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// header is one of a sub-request.
type header struct{ name, value string }

// sub is a request inside a Composite request.
type sub struct {
	method, url string
	headers     []header
	body        []byte // nil if there is none
}

// composite makes the body of a Composite request. Each sub-request is known by its place.
// collateSubrequests would let Salesforce change their order (it does by default since v49).
func composite(subs []sub) []byte {
	size := 128
	for i := range subs {
		size += 256 + len(subs[i].url) + len(subs[i].body)
	}
	b := append(make([]byte, 0, size), `{"allOrNone":false,"collateSubrequests":false,"compositeRequest":[`...)
	for i := range subs {
		s := &subs[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"method":%q,"url":`, s.method)
		b = appendText(b, s.url)
		b = fmt.Appendf(b, `,"referenceId":"%s"`, ref(i))
		if len(s.headers) > 0 {
			b = append(b, `,"httpHeaders":{`...)
			for j, h := range s.headers {
				if j > 0 {
					b = append(b, ',')
				}
				b = append(appendText(b, h.name), ':')
				b = appendText(b, h.value)
			}
			b = append(b, '}')
		}
		if s.body != nil {
			b = append(append(b, `,"body":`...), s.body...)
		}
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

func ref(i int) string { return fmt.Sprintf("r%d", i) }

func appendText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // a string always has a JSON
	}
	return append(b, text...)
}

// collection makes the body of an upsert of some records of a batch.
func collection(rows [][]byte) []byte {
	size := 64
	for _, r := range rows {
		size += len(r) + 1
	}
	b := append(make([]byte, 0, size), `{"allOrNone":false,"records":[`...)
	for i, r := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r...)
	}
	return append(b, "]}"...)
}

// row makes one record of a collection. Fields keep their order and values their text, so
// that a number does not change on the way. The error is Rejected.
func row(object string, r *sinks.Record) ([]byte, error) {
	b := append(make([]byte, 0, 64+64*len(r.Fields)), `{"attributes":{"type":`...)
	b = append(appendText(b, object), "},"...)
	if err := keyOf(r); err != nil {
		return nil, err
	}
	b = appendField(b, r.Key.Name, r.Key.Value)
	for i := range r.Fields {
		f := &r.Fields[i]
		if strings.EqualFold(f.Name, r.Key.Name) {
			continue // it is there
		}
		if len(f.Value) == 0 {
			return nil, &sinks.Rejected{Code: "encode", Err: fmt.Errorf("encode field %s: it has no value", f.Name)}
		}
		b = append(b, ',')
		rel, ok := relationOf(r, f.Name)
		switch {
		case ok && (isNull(f.Value) || rel.by == ""): // a relationship is cleared by the field of its id
			b = appendField(b, rel.id, f.Value)
		case ok:
			b = append(appendText(b, rel.name), ":{"...)
			if rel.kind != "" {
				b = append(b, `"attributes":{"type":`...)
				b = append(appendText(b, rel.kind), "},"...)
			}
			b = append(appendField(b, rel.by, f.Value), '}')
		default:
			b = appendField(b, f.Name, f.Value)
		}
	}
	return append(b, '}'), nil
}

func appendField(b []byte, name string, value json.RawMessage) []byte {
	return append(append(appendText(b, name), ':'), value...)
}

// keyOf says what is wrong with the key of a record: it has to be a text or a number.
func keyOf(r *sinks.Record) error {
	text := strings.TrimSpace(sinks.ExactKey(r.Key.Value))
	switch v := r.Key.Value; {
	case r.Key.Name == "":
		return &sinks.Misconfigured{Err: errors.New("encode the key: it has no field"), Hint: "give the mapping a key"}
	case len(v) == 0 || isNull(v) || text == "":
		return &sinks.Rejected{Code: sinks.CodeNullKey, Err: fmt.Errorf("encode the key %s: it is empty", r.Key.Name)}
	case v[0] == '{' || v[0] == '[':
		return &sinks.Rejected{Code: "encode", Err: fmt.Errorf("encode the key %s: it is no text and no number", r.Key.Name)}
	}
	return nil
}
