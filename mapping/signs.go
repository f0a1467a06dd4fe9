package mapping

import (
	"encoding/base64"
	"hash/fnv"
	"strings"
)

// A record tells which values the target has, once it has accepted it, of the fields with
// write: if_changed (sinks.Record.Sent): for each a token of which the beginning stands
// for the field and the rest for its value. They are kept with what is known of the key,
// so they are short.

var tokenText = base64.RawURLEncoding

// tokenOf gives what the tokens of a field of an object, known by a key, begin with.
func tokenOf(object, key, name string) string {
	h := fnv.New32a()
	h.Write([]byte(object + "\x00" + key + "\x00" + name))
	return tokenText.EncodeToString(h.Sum(nil))
}

// signs make the tokens of one record.
type signs struct {
	prior []string // the tokens that certainly hold
	next  []string
}

// newSigns begins the tokens of a record; nil where no field has one.
func (m *Mapping) newSigns(prior string) *signs {
	if !m.signed {
		return nil
	}
	s := &signs{}
	if prior != "" {
		s.prior = strings.Split(prior, ",")
	}
	return s
}

// same notes the value of a field, and tells whether the target has it.
func (s *signs) same(f *field, value []byte) bool {
	h := fnv.New64a()
	h.Write([]byte(f.name + "\x00")) // a field whose beginning is another's has other ends
	h.Write(value)
	token := f.token + tokenText.EncodeToString(h.Sum(nil))
	s.next = append(s.next, token)
	for _, was := range s.prior {
		if was == token {
			return true
		}
	}
	return false
}

// keep leaves a field as the target has it.
func (s *signs) keep(f *field) {
	for _, was := range s.prior {
		if strings.HasPrefix(was, f.token) {
			s.next = append(s.next, was)
			return
		}
	}
}

// text gives the tokens as a record has them.
func (s *signs) text() string {
	if s == nil {
		return ""
	}
	return strings.Join(s.next, ",")
}

// Signed gives the fields with write: if_changed of which two texts of tokens, of the same
// object and key, have different values. Of a field that one of them does not have nothing is told.
func (m *Mapping) Signed(before, now string) (differ []string) {
	if !m.signed || before == "" {
		return nil
	}
	was, is := strings.Split(before, ","), strings.Split(now, ",")
	for i := range m.fields {
		f := &m.fields[i]
		if f.write != WriteChanged {
			continue
		}
		of := func(tokens []string) string {
			for _, t := range tokens {
				if strings.HasPrefix(t, f.token) {
					return t
				}
			}
			return ""
		}
		if a, b := of(was), of(is); a != "" && b != "" && a != b {
			differ = append(differ, f.name)
		}
	}
	return differ
}
