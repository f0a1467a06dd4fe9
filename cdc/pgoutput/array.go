package pgoutput

import (
	"bytes"
	"fmt"
)

// maxArrayDepth is PostgreSQL's own limit of dimensions (MAXDIM).
const maxArrayDepth = 6

// appendArray turns the text form of an array, such as {1,NULL,"a b"}, into a
// JSON array. Lower bounds, as in [0:1]={1,2}, are left out, as in to_jsonb.
func (e *encoder) appendArray(dst []byte, t *Type, text []byte) ([]byte, error) {
	if len(text) > 0 && text[0] == '[' {
		i := bytes.IndexByte(text, '=')
		if i < 0 {
			return dst, fmt.Errorf("array has bounds but no elements")
		}
		text = text[i+1:]
	}
	a := arrayText{encoder: e, text: text, elem: t.elem, delim: t.delim}
	dst, err := a.appendLevel(dst, 1)
	if err != nil {
		return dst, err
	}
	if a.at != len(text) {
		return dst, fmt.Errorf("array has %d bytes after its end", len(text)-a.at)
	}
	return dst, nil
}

type arrayText struct {
	*encoder
	text  []byte
	at    int
	elem  *Type
	delim byte
}

func (a *arrayText) peek() byte {
	if a.at < len(a.text) {
		return a.text[a.at]
	}
	return 0
}

func (a *arrayText) appendLevel(dst []byte, depth int) ([]byte, error) {
	if a.peek() != '{' {
		return dst, fmt.Errorf("array does not begin with a brace at byte %d", a.at)
	}
	if depth > maxArrayDepth {
		return dst, fmt.Errorf("array has more than %d dimensions", maxArrayDepth)
	}
	a.at++
	dst = append(dst, '[')
	for first := true; ; first = false {
		switch c := a.peek(); {
		case c == '}':
			a.at++
			return append(dst, ']'), nil
		case !first && c == a.delim:
			a.at++
			dst = append(dst, ',')
		case !first:
			return dst, fmt.Errorf("array wants a comma or a brace at byte %d", a.at)
		}
		var err error
		if a.peek() == '{' {
			dst, err = a.appendLevel(dst, depth+1)
		} else {
			dst, err = a.appendElement(dst)
		}
		if err != nil {
			return dst, err
		}
	}
}

func (a *arrayText) appendElement(dst []byte) (_ []byte, err error) {
	if a.peek() == '"' {
		mark := len(a.scratch)
		if a.at, err = a.unquote(a.text, a.at, false); err == nil {
			dst, err = a.inner(dst, a.elem, a.scratch[mark:])
		}
		a.scratch = a.scratch[:mark]
		return dst, err
	}
	start := a.at
	for a.at < len(a.text) && a.text[a.at] != a.delim && a.text[a.at] != '}' {
		a.at++
	}
	el := a.text[start:a.at]
	if len(el) == 0 {
		return dst, fmt.Errorf("array has an empty element at byte %d", start)
	}
	if string(el) == "NULL" {
		return append(dst, "null"...), nil
	}
	return a.inner(dst, a.elem, el)
}

// appendVector turns the text form of int2vector and oidvector, such as 1 2 3,
// into a JSON array: to_jsonb takes them for the arrays that they are stored as.
func (e *encoder) appendVector(dst []byte, t *Type, text []byte) ([]byte, error) {
	dst = append(dst, '[')
	for first := true; len(text) > 0; first = false {
		var el []byte
		el, text, _ = bytes.Cut(text, []byte{' '})
		if len(el) == 0 {
			return dst, fmt.Errorf("vector has an empty element")
		}
		if !first {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = e.inner(dst, t.elem, el); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}
