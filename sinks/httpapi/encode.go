package httpapi

import (
	"encoding/json"
	"fmt"

	"github.com/walbridge/walbridge/sinks"
)

// Encode makes the body of a request. Fields keep their order and values their
// text, so that a number does not change on the way.
func Encode(b sinks.Batch) ([]byte, error) {
	e := encoder{buf: make([]byte, 0, 64+256*len(b.Records))}
	e.raw(`{"object":`)
	e.text(b.Object)
	e.raw(`,"records":[`)
	for i := range b.Records {
		if i > 0 {
			e.raw(",")
		}
		e.record(&b.Records[i])
	}
	e.raw("]}")
	if e.err != nil {
		return nil, &sinks.Rejected{Code: "encode", Err: e.err}
	}
	return e.buf, nil
}

type encoder struct {
	buf []byte
	err error
}

func (e *encoder) raw(s string) { e.buf = append(e.buf, s...) }

func (e *encoder) text(s string) {
	b, err := json.Marshal(s)
	if err != nil {
		e.err = fmt.Errorf("encode text: %w", err)
		return
	}
	e.buf = append(e.buf, b...)
}

func (e *encoder) field(f *sinks.Field) {
	e.text(f.Name)
	e.raw(":")
	if len(f.Value) == 0 {
		e.err = fmt.Errorf("encode field %s: it has no value", f.Name)
		return
	}
	e.buf = append(e.buf, f.Value...)
}

func (e *encoder) record(r *sinks.Record) {
	e.raw(`{"op":`)
	e.text(r.Op.String())
	e.raw(`,"key":{`)
	e.field(&r.Key)
	e.raw("}")
	if r.Op == sinks.Upsert {
		e.raw(`,"fields":{`)
		for i := range r.Fields {
			if i > 0 {
				e.raw(",")
			}
			e.field(&r.Fields[i])
		}
		e.raw("}")
	}
	e.raw(`,"position":"`)
	e.buf = r.Position.Append(e.buf)
	e.raw(`"}`)
}
