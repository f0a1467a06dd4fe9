package pgoutput

import (
	"bytes"
	"fmt"
)

// appendHStore turns the text form of an hstore, such as "a"=>"1", "b"=>NULL,
// into a JSON object of strings and nulls: what the extension's own cast to json
// gives, which to_jsonb uses.
func (e *encoder) appendHStore(dst, text []byte) ([]byte, error) {
	dst = append(dst, '{')
	for at := 0; at < len(text); {
		if at > 0 {
			if !bytes.HasPrefix(text[at:], []byte(", ")) {
				return dst, fmt.Errorf("hstore wants a comma at byte %d", at)
			}
			at += len(", ")
			dst = append(dst, ',')
		}
		var err error
		if dst, at, err = e.appendQuoted(dst, text, at); err != nil {
			return dst, err
		}
		if !bytes.HasPrefix(text[at:], []byte("=>")) {
			return dst, fmt.Errorf("hstore wants an arrow at byte %d", at)
		}
		at += len("=>")
		dst = append(dst, ':')
		if bytes.HasPrefix(text[at:], []byte("NULL")) {
			at += len("NULL")
			dst = append(dst, "null"...)
		} else if dst, at, err = e.appendQuoted(dst, text, at); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func (e *encoder) appendQuoted(dst, text []byte, at int) (_ []byte, next int, err error) {
	if at >= len(text) || text[at] != '"' {
		return dst, at, fmt.Errorf("hstore wants a quote at byte %d", at)
	}
	mark := len(e.scratch)
	if next, err = e.unquote(text, at, false); err == nil {
		dst = appendString(dst, e.scratch[mark:])
	}
	e.scratch = e.scratch[:mark]
	return dst, next, err
}
