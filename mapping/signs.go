package mapping

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"strings"
)

// The signature of a record tells which values the target was last given of the fields
// with write: if_changed: which fields these are, then a hash of each value. It is kept
// with what is known of the key, so it is short, and of letters that fit there.
const (
	signLen = 11            // characters of 64 bits
	unknown = "-----------" // as many: the value is not known
)

var signText = base64.RawURLEncoding

// signsOf names the fields that have a sign; empty if none has.
func signsOf(fields []field) string {
	h := fnv.New32a()
	some := false
	for i := range fields {
		if fields[i].write == WriteChanged {
			h.Write([]byte(fields[i].name + "\x00"))
			some = true
		}
	}
	if !some {
		return ""
	}
	return signText.EncodeToString(h.Sum(nil))
}

// signs go through the fields with a sign, in their order, for one record.
type signs struct {
	names string
	prior string // the signs that the target's values have; empty if they are not known
	next  []byte
}

// newSigns begins a signature. One of other fields than these says nothing.
func (m *Mapping) newSigns(prior string) *signs {
	if m.signs == "" {
		return nil
	}
	s := &signs{names: m.signs}
	if rest, ok := strings.CutPrefix(prior, m.signs); ok {
		s.prior = rest
	}
	return s
}

// same notes the value of the next field, and tells whether the target has it.
func (s *signs) same(value []byte) bool {
	h := fnv.New64a()
	h.Write(value)
	sign := signText.EncodeToString(binary.BigEndian.AppendUint64(nil, h.Sum64()))
	was := s.was()
	s.next = append(s.next, sign...)
	return sign == was
}

// keep leaves the next field as the target has it.
func (s *signs) keep() { s.next = append(s.next, s.was()...) }

func (s *signs) was() string {
	if at := len(s.next); at+signLen <= len(s.prior) {
		return s.prior[at : at+signLen]
	}
	return unknown
}

// text gives the signature.
func (s *signs) text() string {
	if s == nil {
		return ""
	}
	return s.names + string(s.next)
}
