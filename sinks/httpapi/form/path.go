package form

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// path leads to a value within JSON. A nil path leads nowhere; an empty one is the whole.
type path []step

type step struct {
	name  string
	index int
	list  bool
}

// maxIndex bounds an index, so that nobody counts by mistake.
const maxIndex = 1000

// parsePath reads a path such as errors[0].code; "." is the whole.
func parsePath(text string) (path, error) {
	switch text {
	case "":
		return nil, nil
	case ".":
		return path{}, nil
	}
	p := path{}
	for _, piece := range strings.Split(text, ".") {
		name, rest, indexed := strings.Cut(piece, "[")
		if name != "" {
			p = append(p, step{name: name})
		} else if !indexed || len(p) > 0 {
			return nil, errors.New("not a path")
		}
		for indexed {
			digits, after, closed := strings.Cut(rest, "]")
			n, err := strconv.Atoi(digits)
			if !closed || err != nil || n < 0 || n > maxIndex || after != "" && after[0] != '[' {
				return nil, errors.New("not a path")
			}
			p = append(p, step{index: n, list: true})
			indexed = after != ""
			rest = strings.TrimPrefix(after, "[")
		}
	}
	return p, nil
}

// get gives the value that a path leads to; nil where it leads nowhere.
func (p path) get(v json.RawMessage) json.RawMessage {
	if p == nil {
		return nil
	}
	for _, s := range p {
		if s.list {
			var list []json.RawMessage
			if json.Unmarshal(v, &list) != nil || s.index >= len(list) {
				return nil
			}
			v = list[s.index]
			continue
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(v, &object) != nil {
			return nil
		}
		next, ok := object[s.name]
		if !ok {
			return nil
		}
		v = next
	}
	return v
}

// text gives a scalar as a text; "" where there is none.
func (p path) text(v json.RawMessage) string { return plainText(p.get(v)) }

func plainText(got json.RawMessage) string {
	if got == nil || isNull(got) || got[0] == '{' || got[0] == '[' {
		return ""
	}
	return sinks.ExactKey(got)
}

// list gives a list; false where there is none.
func (p path) list(v json.RawMessage) (list []json.RawMessage, ok bool) {
	got := p.get(v)
	if got == nil || isNull(got) {
		return nil, false
	}
	return list, json.Unmarshal(got, &list) == nil
}

// doc is a value of which several paths are read: what it has at its top is decoded once.
type doc struct {
	raw  json.RawMessage
	top  map[string]json.RawMessage
	read bool
}

func (d *doc) get(p path) json.RawMessage {
	if len(p) == 0 || p[0].list {
		return p.get(d.raw)
	}
	if !d.read {
		d.read = true
		if json.Unmarshal(d.raw, &d.top) != nil {
			d.top = nil
		}
	}
	v, ok := d.top[p[0].name]
	if !ok {
		return nil
	}
	return p[1:].get(v)
}

// text gives a scalar as a text; "" where there is none.
func (d *doc) text(p path) string { return plainText(d.get(p)) }
