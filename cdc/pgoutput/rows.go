package pgoutput

import (
	"fmt"

	"github.com/walbridge/walbridge/cdc"
)

// RowColumn is a column of rows that are read by a query.
type RowColumn struct {
	Name string
	OID  uint32
	// Key tells whether it belongs to the key of the table's entries.
	Key bool
}

// Rows encodes rows that a query read, in the server's text form, as a Decoder does
// those of the stream: the same row has the same key and the same values. It is not
// safe for concurrent use.
type Rows struct {
	decoder *Decoder
	rel     *Relation
	cells   []cell
}

// NewRows gives an encoder for rows of a table with these columns. Of the options it
// uses Catalog and Misfit.
func NewRows(table cdc.Table, columns []RowColumn, o Options) (*Rows, error) {
	r := &Rows{decoder: NewDecoder(o), rel: &Relation{Table: table, Name: table.String()}, cells: make([]cell, len(columns))}
	for _, c := range columns {
		col := Column{Name: c.Name, OID: c.OID, Key: c.Key, name: append(appendString(nil, []byte(c.Name)), ':')}
		var ok bool
		if col.Type, ok = Builtin(c.OID); !ok {
			var err error
			if col.Type, err = o.Catalog.Type(c.OID); err != nil {
				return nil, fmt.Errorf("find type %d of column %s of %s: %w", c.OID, c.Name, table, err)
			}
		}
		r.rel.Columns = append(r.rel.Columns, col)
		if c.Key {
			r.rel.keys++
		}
	}
	return r, nil
}

// Encode gives key, after, absent and unread of a row as an entry has them. A value
// that is nil is null. The entry is valid until the next call.
func (r *Rows) Encode(values [][]byte) (*cdc.Entry, error) {
	if len(values) != len(r.cells) {
		return nil, fmt.Errorf("encode row of %s: %d values for %d columns", r.rel.Name, len(values), len(r.cells))
	}
	for i, v := range values {
		r.cells[i] = cell{kind: 'n'}
		if v != nil {
			r.cells[i] = cell{kind: 't', text: v}
		}
	}
	d := r.decoder
	d.entry = cdc.Entry{Op: cdc.OpRead, Table: r.rel.Name}
	var err error
	if d.key, err = d.appendKey(d.key[:0], r.rel, r.cells); err != nil {
		return nil, err
	}
	d.unread = d.unread[:0]
	if d.after, d.absent, err = d.appendRow(d.after[:0], d.absent[:0], r.rel, r.cells); err != nil {
		return nil, err
	}
	if len(d.unread) > 0 {
		d.unread = append(d.unread, ']')
	}
	d.entry.Key, d.entry.After, d.entry.Absent, d.entry.Unread = d.key, d.after, d.absent, d.unread
	return &d.entry, nil
}

// EncodeKey gives the key alone, of values for the key's columns in the order of the
// table's columns. It is valid until the next call.
func (r *Rows) EncodeKey(values [][]byte) ([]byte, error) {
	at := 0
	for i := range r.cells {
		r.cells[i] = cell{kind: 'u'}
		if !r.rel.Columns[i].Key || at == len(values) {
			continue
		}
		r.cells[i] = cell{kind: 'n'}
		if values[at] != nil {
			r.cells[i] = cell{kind: 't', text: values[at]}
		}
		at++
	}
	var err error
	r.decoder.key, err = r.decoder.appendKey(r.decoder.key[:0], r.rel, r.cells)
	return r.decoder.key, err
}

// Relation is a table as the stream last described it; nil if it has not yet.
func (d *Decoder) Relation(oid uint32) *Relation { return d.relations[oid] }

// Base is what is added to the server's LSNs to give those of the log.
func (d *Decoder) Base() cdc.LSN { return d.options.Base }
