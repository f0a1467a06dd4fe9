package pgoutput

import (
	"bytes"
	"fmt"
)

// maxArrayDepth is PostgreSQL's own limit of dimensions (MAXDIM).
const maxArrayDepth = 6

// appendArray turns the text form of an array, such as {1,NULL,"a b"}, into a
// JSON array. Lower bounds, as in [0:1]={1,2}, are left out, as in to_jsonb.
func appendArray(dst []byte, t Type, text []byte) ([]byte, error) {
	if len(text) > 0 && text[0] == '[' {
		i := bytes.IndexByte(text, '=')
		if i < 0 {
			return dst, fmt.Errorf("array has bounds but no elements")
		}
		text = text[i+1:]
	}
	a := arrayText{text: text, kind: t.Kind, delim: t.Delim}
	if a.delim == 0 {
		a.delim = ','
	}
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
	text    []byte
	at      int
	kind    Kind
	delim   byte
	scratch []byte
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

func (a *arrayText) appendElement(dst []byte) ([]byte, error) {
	if a.peek() == '"' {
		a.scratch = a.scratch[:0]
		for a.at++; a.at < len(a.text); a.at++ {
			switch c := a.text[a.at]; c {
			case '"':
				a.at++
				return appendScalar(dst, a.kind, a.scratch)
			case '\\':
				if a.at++; a.at < len(a.text) {
					a.scratch = append(a.scratch, a.text[a.at])
				}
			default:
				a.scratch = append(a.scratch, c)
			}
		}
		return dst, fmt.Errorf("array has a quote that is not closed")
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
	return appendScalar(dst, a.kind, el)
}
