package pgoutput

import "fmt"

// cell is a column of a tuple: the kind byte of the protocol and the text.
type cell struct {
	kind byte // n null, u unchanged TOAST, t text
	text []byte
}

// readTuple fills cells, which is used again, with the columns of a tuple. The
// texts are parts of the message.
func readTuple(r *reader, rel *Relation, cells []cell) ([]cell, error) {
	n := int(r.uint16())
	if r.err == nil && n != len(rel.Columns) {
		return cells, fmt.Errorf("row of %s has %d columns, its description %d", rel.Name, n, len(rel.Columns))
	}
	cells = cells[:0]
	for range n {
		c := cell{kind: r.byte()}
		switch c.kind {
		case 'n', 'u':
		case 't':
			c.text = r.take(int(int32(r.uint32())))
		default:
			if r.err == nil {
				return cells, fmt.Errorf("row of %s has a column of unknown kind %q", rel.Name, c.kind)
			}
		}
		cells = append(cells, c)
	}
	return cells, r.err
}

// appendRow appends the columns that were sent as a JSON object, and those that
// were not as a JSON array of names (nothing at all if there are none).
func appendRow(dst, absent []byte, rel *Relation, cells []cell) (row, names []byte, err error) {
	dst = append(dst, '{')
	first := true
	for i := range cells {
		c, col := &cells[i], &rel.Columns[i]
		if c.kind == 'u' {
			sep := byte(',')
			if len(absent) == 0 {
				sep = '['
			}
			absent = append(absent, sep)
			absent = append(absent, col.name[:len(col.name)-1]...)
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, col.name...)
		if dst, err = appendCell(dst, col, c); err != nil {
			return dst, absent, fmt.Errorf("encode column %s of %s: %w", col.Name, rel.Name, err)
		}
	}
	if len(absent) > 0 {
		absent = append(absent, ']')
	}
	return append(dst, '}'), absent, nil
}

// appendKey appends the key columns of a tuple as a JSON object.
func appendKey(dst []byte, rel *Relation, cells []cell) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	for i := range cells {
		col := &rel.Columns[i]
		if !col.Key {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, col.name...)
		var err error
		if dst, err = appendCell(dst, col, &cells[i]); err != nil {
			return dst, fmt.Errorf("encode key column %s of %s: %w", col.Name, rel.Name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendCell(dst []byte, col *Column, c *cell) ([]byte, error) {
	switch c.kind {
	case 'n':
		return append(dst, "null"...), nil
	case 't':
		return AppendValue(dst, col.Type, c.text)
	}
	return dst, fmt.Errorf("the value was not sent")
}
