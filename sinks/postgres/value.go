package postgres

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/walbridge/walbridge/cdc"
)

// errValue is of a value that is no JSON. Its text must not be shown.
var errValue = errors.New("a value is not JSON")

// textOf makes the text that the server casts to a column's type; nil is NULL. Whether it fits
// the type the server says.
func textOf(v json.RawMessage, c *column) ([]byte, error) {
	v = bytes.TrimSpace(v)
	switch {
	case len(v) == 0:
		return nil, errValue
	case v[0] == 'n':
		return nil, nil
	case c.json():
		return v, nil
	case v[0] == '[' && c.array():
		return arrayText(v)
	case v[0] == '"':
		return unquote(v)
	case c.integer():
		return whole(v), nil
	}
	return v, nil
}

func unquote(v []byte) ([]byte, error) {
	if len(v) >= 2 && bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], nil
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return nil, errValue
	}
	return []byte(s), nil
}

// whole takes zeros behind the point away, since 12.0 is an integer in JSON and none to
// PostgreSQL. Anything else stays, and is refused if it is no integer.
func whole(v []byte) []byte {
	before, after, ok := bytes.Cut(v, []byte("."))
	if ok && len(bytes.Trim(after, "0")) == 0 {
		return before
	}
	return v
}

// arrayText writes a JSON list as an array: {"a",NULL,"b"}. A list in a list is a dimension.
func arrayText(v []byte) ([]byte, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(v, &items); err != nil {
		return nil, errValue
	}
	out := []byte{'{'}
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		switch {
		case item[0] == 'n':
			out = append(out, "NULL"...)
		case item[0] == '[':
			inner, err := arrayText(item)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		default:
			text := []byte(item)
			if item[0] == '"' {
				var err error
				if text, err = unquote(item); err != nil {
					return nil, err
				}
			}
			out = append(out, '"')
			for _, b := range text {
				if b == '"' || b == '\\' {
					out = append(out, '\\')
				}
				out = append(out, b)
			}
			out = append(out, '"')
		}
	}
	return append(out, '}'), nil
}

// positionText is a Position as a number with the LSN before the point and the ordinal behind it.
func positionText(p cdc.Position) []byte {
	return fmt.Appendf(nil, "%d.%020d", uint64(p.LSN), p.Ordinal)
}

// The binary form of a text[], which unnest takes apart at the server.
const (
	textOID      = 25
	textArrayOID = 1009
)

// arrayParam makes the binary form of a list of texts, of which nil is NULL. The text is the
// n-th of each row.
func arrayParam(rows [][][]byte, n int) []byte {
	size, nulls := 20, byte(0)
	for _, r := range rows {
		size += 4 + len(r[n])
		if r[n] == nil {
			nulls = 1
		}
	}
	out := make([]byte, 0, size)
	out = append(out, 0, 0, 0, 1, 0, 0, 0, nulls, 0, 0, 0, textOID)
	out = append32(out, uint32(len(rows)))
	out = append(out, 0, 0, 0, 1)
	for _, r := range rows {
		if r[n] == nil {
			out = append32(out, ^uint32(0))
			continue
		}
		out = append32(out, uint32(len(r[n])))
		out = append(out, r[n]...)
	}
	return out
}

func append32(b []byte, n uint32) []byte {
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
