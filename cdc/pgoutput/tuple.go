package pgoutput

import (
	"errors"
	"fmt"
)

// errHalfKey says that the server sent only a part of a key: the identity of a
// partition is not that of its root, which the stream describes.
var errHalfKey = errors.New("a column of the key was not sent")

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
//
// A composite that does not fit the catalog counts as not sent: nothing tells any
// more what its fields were called when the row was written, and an error would
// stop all tables for good, since the row comes again. The other columns are good,
// and whoever needs this one can read the row from the source, which has all its
// rows in the type of today. It is told to Options.Misfit (I12), and named among
// the unread: it may have changed, unlike an unchanged TOAST value.
func (d *Decoder) appendRow(dst, absent []byte, rel *Relation, cells []cell) (row, names []byte, err error) {
	dst = append(dst, '{')
	start := len(dst)
	for i := range cells {
		c, col := &cells[i], &rel.Columns[i]
		if c.kind == 'u' {
			absent = appendName(absent, col)
			continue
		}
		mark := len(dst)
		if mark > start {
			dst = append(dst, ',')
		}
		dst = append(dst, col.name...)
		if dst, err = d.appendCell(dst, col, c); err != nil {
			var misfit *MisfitError
			if !errors.As(err, &misfit) {
				return dst, absent, fmt.Errorf("encode column %s of %s: %w", col.Name, rel.Name, err)
			}
			dst, absent, d.unread = dst[:mark], appendName(absent, col), appendName(d.unread, col)
			if d.options.Misfit != nil {
				d.options.Misfit(rel.Name, col.Name)
			}
		}
	}
	if len(absent) > 0 {
		absent = append(absent, ']')
	}
	return append(dst, '}'), absent, nil
}

// appendName adds a column to a JSON array of names that has no end yet.
func appendName(names []byte, col *Column) []byte {
	sep := byte(',')
	if len(names) == 0 {
		sep = '['
	}
	names = append(names, sep)
	return append(names, col.name[:len(col.name)-1]...)
}

// appendKey appends the key columns of a tuple as a JSON object. A key has no
// absent columns: one that does not fit the catalog is an error.
func (d *Decoder) appendKey(dst []byte, rel *Relation, cells []cell) ([]byte, error) {
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
		if cells[i].kind == 'n' { // no column of an identity can be null
			return dst, errHalfKey
		}
		dst = append(dst, col.name...)
		var err error
		if dst, err = d.appendCell(dst, col, &cells[i]); err != nil {
			return dst, fmt.Errorf("encode key column %s of %s: %w", col.Name, rel.Name, err)
		}
	}
	return append(dst, '}'), nil
}

func (d *Decoder) appendCell(dst []byte, col *Column, c *cell) ([]byte, error) {
	switch c.kind {
	case 'n':
		return append(dst, "null"...), nil
	case 't':
		out, err := d.encoder.value(dst, &col.Type, c.text)
		if err != nil {
			return d.tryAnew(dst, col, c, err)
		}
		return out, nil
	}
	return dst, fmt.Errorf("the value was not sent")
}

// tryAnew appends a composite that did not fit, with the type as the catalog has
// it now. It may still not fit: the catalog is asked after the row was written,
// and the type may have been changed since.
func (d *Decoder) tryAnew(dst []byte, col *Column, c *cell, was error) ([]byte, error) {
	var misfit *MisfitError
	if !errors.As(was, &misfit) {
		return dst, was
	}
	t, err := d.options.Catalog.Refresh(col.OID)
	if err != nil {
		return dst, fmt.Errorf("find type %d anew: %w", col.OID, err)
	}
	col.Type = t
	return d.encoder.value(dst, &col.Type, c.text)
}
