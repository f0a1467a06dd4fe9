package pgoutput

import (
	"bytes"
	"errors"
	"fmt"
)

// MisfitError says that the text of a composite does not have the fields of its
// type as the catalog was last read.
//
// The stream describes a table's columns, but not what a column's composite type
// is made of; that only the catalog tells, and it tells how the type is now, not
// how it was when the row was written. ALTER TYPE changes it at any time, without
// a word in the stream.
type MisfitError struct{ Err error }

func (e *MisfitError) Error() string {
	return fmt.Sprintf("composite does not fit the catalog: %v", e.Err)
}

// Unwrap gives what does not fit.
func (e *MisfitError) Unwrap() error { return e.Err }

// appendComposite turns the text form of a row, such as (1,,"a ""b"""), into a
// JSON object.
func (e *encoder) appendComposite(dst []byte, t *Type, text []byte) ([]byte, error) {
	outer := e.strict
	e.strict = true
	dst, err := e.appendFields(dst, t.fields, text)
	e.strict = outer
	var inner *MisfitError
	if err != nil && !errors.As(err, &inner) {
		err = &MisfitError{Err: err}
	}
	return dst, err
}

func (e *encoder) appendFields(dst []byte, fields []field, text []byte) ([]byte, error) {
	if len(text) < 2 || text[0] != '(' {
		return dst, fmt.Errorf("row does not begin with a parenthesis")
	}
	at := 1
	dst = append(dst, '{')
	for i := range fields {
		if i > 0 {
			if at >= len(text) || text[at] != ',' {
				return dst, fmt.Errorf("row has %d fields, its type %d", i, len(fields))
			}
			at++
			dst = append(dst, ',')
		}
		dst = append(dst, fields[i].name...)
		var err error
		if dst, at, err = e.appendField(dst, fields[i].typ, text, at); err != nil {
			return dst, err
		}
	}
	switch {
	case at < len(text) && text[at] == ',':
		return dst, fmt.Errorf("row has more than the %d fields of its type", len(fields))
	case at != len(text)-1 || text[at] != ')':
		return dst, fmt.Errorf("row does not end with a parenthesis at byte %d", at)
	}
	return append(dst, '}'), nil
}

// appendField appends the field at a place of a row's text and gives where the
// text goes on. Nothing at all is null; an empty text has quotes.
func (e *encoder) appendField(dst []byte, t *Type, text []byte, at int) (_ []byte, next int, err error) {
	if at < len(text) && text[at] == '"' {
		mark := len(e.scratch)
		if next, err = e.unquote(text, at, true); err == nil {
			dst, err = e.inner(dst, t, e.scratch[mark:])
		}
		e.scratch = e.scratch[:mark]
		return dst, next, err
	}
	n := bytes.IndexAny(text[at:], `,)"\(`)
	if n < 0 {
		return dst, at, fmt.Errorf("row ends within a field")
	}
	next = at + n
	if c := text[next]; c != ',' && c != ')' {
		return dst, next, fmt.Errorf("row has a field without the quotes it needs at byte %d", at)
	}
	if n == 0 {
		return append(dst, "null"...), next, nil
	}
	dst, err = e.inner(dst, t, text[at:next])
	return dst, next, err
}
