package form

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// items gives the records that an answer has: those of a list, or the one that it is.
func (c *Call) items(a *transport.Answer) ([]json.RawMessage, error) {
	if a.Err != nil {
		return nil, a.Err
	}
	body := bytes.TrimSpace(a.Body)
	if !json.Valid(body) {
		return nil, transport.ReadError(a.Host, errNotJSON)
	}
	switch said := c.results.success.holds(body); said {
	case yes:
	case no:
		return nil, c.refusal(a.Status, body)
	default:
		return nil, transport.ReadError(a.Host, errors.New("it does not say whether the request was carried out"))
	}
	if c.results.list == nil {
		return []json.RawMessage{body}, nil
	}
	list, ok := c.results.list.list(body)
	if !ok {
		return nil, transport.ReadError(a.Host, errNotJSON)
	}
	return list, nil
}

// Found reads the ids of the records with a key of an answer to Lookup. same gives what key
// values have in common that the API takes for the same.
func (c *Call) Found(a *transport.Answer, key sinks.Field, same func(sinks.Field) string) (ids []string, err error) {
	items, err := c.items(a)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if c.results.match.given() { // a search may find more than was asked for
			v := c.results.match.key(key.Name, item)
			if v == nil || same(sinks.Field{Name: key.Name, Value: v}) != same(key) {
				continue
			}
		}
		id := c.results.id.text(item)
		if id == "" {
			return nil, transport.ReadError(a.Host, errors.New("it has no id of the record"))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Held reads the records of an answer to Read.
func (c *Call) Held(a *transport.Answer, key string, fields []string) (out []sinks.Held, err error) {
	items, err := c.items(a)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		from := item
		if c.results.fields != nil {
			from = c.results.fields.get(item)
		}
		var all map[string]json.RawMessage
		if json.Unmarshal(from, &all) != nil {
			return nil, transport.ReadError(a.Host, errNotJSON)
		}
		h := sinks.Held{Key: all[key], RemoteID: c.results.id.text(item), Fields: map[string]json.RawMessage{}}
		if c.results.match.given() {
			h.Key = c.results.match.key(key, item)
		}
		if h.Key == nil {
			return nil, transport.ReadError(a.Host, errors.New("a record has no key"))
		}
		for _, name := range fields {
			if v, ok := all[name]; ok {
				h.Fields[name] = v
			}
		}
		out = append(out, h)
	}
	return out, nil
}
