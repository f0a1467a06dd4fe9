package pgoutput

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errShort = errors.New("message ends too early")

// reader takes fields off a message. After the first field that is not there it
// gives zeroes, and err says so: callers look once, at the end.
type reader struct {
	buf []byte
	err error
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.buf) {
		r.err = errShort
		r.buf = nil
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string() string {
	i := bytes.IndexByte(r.buf, 0)
	if i < 0 {
		r.err = errShort
		r.buf = nil
		return ""
	}
	s := string(r.buf[:i])
	r.buf = r.buf[i+1:]
	return s
}
