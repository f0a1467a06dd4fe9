package state

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// Key is a row of the source as one mapping sees it.
type Key struct {
	Mapping string
	Source  string
}

// Known is what is remembered of a key. The zero value is a key never seen.
type Known struct {
	// Seen is the highest Position dealt with in any way: delivered, filtered or
	// parked. Changes not above it are stale.
	Seen cdc.Position
	// Live tells that the target holds a record made from the key.
	Live bool
	// Doubt tells that a first write or, of one that is Live, a delete was begun and
	// its outcome is not known: the target may hold a record, or none.
	Doubt bool
	// Partial tells that the last change delivered had absent columns. The target
	// holds their values if nothing overtook anything; an older change that still
	// comes may hold newer ones (I5).
	Partial bool
	// Lacking tells that the target may lack columns, because a record was parked or
	// a delete was begun: absent columns of the next change are not what it holds.
	Lacking bool
	// Sent is what the target holds of the fields that are only written when they
	// change, as in sinks.Record. A token that a request may make untrue is taken
	// out before the request is made.
	Sent string
	// Payload is a hash of what was delivered last, 0 if it is not known. What would give
	// the same again need not be sent.
	Payload uint64
	// Key is the target key of the record.
	Key sinks.Field
	// Old are other target keys under which the target may still hold a record made from
	// the key: its row had them before. They go once that record is away, or another row's.
	Old []sinks.Field
}

// Prior is what a mapping is told of the key. A record in doubt counts as live:
// deleting one that is not there does no harm, forgetting one does.
func (k Known) Prior() sinks.Prior {
	return sinks.Prior{Live: k.Live || k.Doubt, Doubt: k.Doubt, Key: k.Key, Sent: k.held()}
}

// held is Sent where it counts: a record that is to be made whole, or that may not
// be there, is sent with all its fields. What has no place in the stored form does
// not count either, which costs a request, not a key whose state cannot be read.
func (k Known) held() string {
	if !k.sound() || strings.ContainsFunc(k.Sent, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return k.Sent
}

// sound tells that the target has all of the last record that was delivered.
func (k Known) sound() bool { return k.Live && !k.Doubt && !k.Lacking }

// Holds tells that the target has a record of this hash, and all of it.
func (k Known) Holds(payload uint64) bool { return k.sound() && payload != 0 && k.Payload == payload }

// String gives a text that tells all of it: the position (LSN and, if it is not zero,
// ordinal, both to the base 36), capital letters for what holds, behind a bar old
// target keys (see appendOld), behind a number sign the hash in base64, behind an equals
// sign what was sent, and the target key as a JSON object. What is stored is the same, but
// for a shorter form of the target key.
func (k Known) String() string {
	b := k.append(make([]byte, 0, 64))
	if k.Key.Name == "" {
		return string(b)
	}
	name, err := json.Marshal(k.Key.Name)
	if err != nil { // a string always has a JSON form
		name = []byte(`""`)
	}
	b = append(b, " {"...)
	b = append(b, name...)
	b = append(b, ':')
	b = append(b, k.Key.Value...)
	return string(append(b, '}'))
}

// append gives all but the target key.
func (k Known) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(k.Seen.LSN), 36)
	if k.Seen.Ordinal != 0 {
		b = strconv.AppendUint(append(b, '-'), k.Seen.Ordinal, 36)
	}
	for _, f := range k.flags() {
		if *f.on {
			b = append(b, f.letter)
		}
	}
	b = appendOld(b, k.Old)
	if k.sound() && k.Payload != 0 {
		b = base64.RawURLEncoding.AppendEncode(append(b, '#'), binary.BigEndian.AppendUint64(nil, k.Payload))
	}
	if sent := k.held(); sent != "" {
		b = append(append(b, '='), sent...)
	}
	return b
}

type flag struct {
	letter byte
	on     *bool
}

func (k *Known) flags() []flag {
	return []flag{{'L', &k.Live}, {'D', &k.Doubt}, {'A', &k.Partial}, {'P', &k.Lacking}}
}

// ParseKnown reads the form that String gives. Its errors do not quote the text.
func ParseKnown(s string) (Known, error) {
	k, key, err := parse(s)
	if err != nil || key == "" {
		return k, err
	}
	row, err := cdc.ParseRow(key)
	if err != nil || len(row) != 1 {
		return k, fmt.Errorf("parse state at %s: the target key is not an object of one field", k.Seen)
	}
	k.Key = sinks.Field{Name: row[0].Name, Value: json.RawMessage(row[0].Value.JSON())}
	return k, nil
}

// parse reads all but the target key.
func parse(s string) (k Known, key string, err error) {
	head, key, spaced := strings.Cut(s, " ")
	if spaced && key == "" {
		return k, "", errors.New("parse state: no target key is behind the space")
	}
	head, k.Sent, _ = strings.Cut(head, "=")
	head, hash, _ := strings.Cut(head, "#")
	head, old, _ := strings.Cut(head, "|")
	digits := strings.TrimRightFunc(head, unicode.IsUpper)
	lsn, ordinal, long := strings.Cut(digits, "-")
	n, err := strconv.ParseUint(lsn, 36, 64)
	if err == nil && long {
		k.Seen.Ordinal, err = strconv.ParseUint(ordinal, 36, 64)
	}
	if err != nil {
		return k, "", errors.New("parse state: it does not begin with a position")
	}
	k.Seen.LSN = cdc.LSN(n)
	if hash != "" {
		b, err := base64.RawURLEncoding.DecodeString(hash)
		if err != nil || len(b) != 8 {
			return k, "", fmt.Errorf("parse state at %s: the hash is not one", k.Seen)
		}
		k.Payload = binary.BigEndian.Uint64(b)
	}
	if k.Old, err = parseOld(old); err != nil {
		return k, "", fmt.Errorf("parse state at %s: %w", k.Seen, err)
	}
	for _, letter := range []byte(head[len(digits):]) {
		i := slices.IndexFunc(k.flags(), func(f flag) bool { return f.letter == letter })
		if i < 0 {
			return k, "", fmt.Errorf("parse state at %s: there is a flag of a newer version", k.Seen)
		}
		*k.flags()[i].on = true
	}
	return k, key, nil
}
