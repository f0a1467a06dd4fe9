package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// Key is a row of the source as one mapping sees it.
type Key struct {
	Mapping string
	Source  string
}

func (k Key) field() string { return k.Mapping + "\x00" + k.Source }

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
	if !k.Live || k.Doubt || k.Lacking || strings.ContainsFunc(k.Sent, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return k.Sent
}

// String gives the form that is stored: position, flags with, behind a bar, old target
// keys (see appendOld) and, behind an equals sign, what was sent, and the target key as a
// JSON object.
func (k Known) String() string {
	b := k.Seen.Append(make([]byte, 0, 64))
	b = append(b, ' ')
	n := len(b)
	for _, f := range k.flags() {
		if *f.on {
			b = append(b, f.letter)
		}
	}
	if len(b) == n {
		b = append(b, '-')
	}
	b = appendOld(b, k.Old)
	if sent := k.held(); sent != "" {
		b = append(append(b, '='), sent...)
	}
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

type flag struct {
	letter byte
	on     *bool
}

func (k *Known) flags() []flag {
	return []flag{{'l', &k.Live}, {'d', &k.Doubt}, {'a', &k.Partial}, {'p', &k.Lacking}}
}

// ParseKnown reads the form that String gives. Its errors do not quote the text.
func ParseKnown(s string) (Known, error) {
	var k Known
	pos, rest, ok := strings.Cut(s, " ")
	if !ok {
		return k, errors.New("parse state: want a position and flags")
	}
	var err error
	if k.Seen, err = cdc.ParsePosition(pos); err != nil {
		return k, errors.New("parse state: it does not begin with a position")
	}
	letters, object, _ := strings.Cut(rest, " ")
	letters, k.Sent, _ = strings.Cut(letters, "=")
	letters, old, _ := strings.Cut(letters, "|")
	if k.Old, err = parseOld(old); err != nil {
		return k, fmt.Errorf("parse state at %s: %w", pos, err)
	}
	for _, f := range k.flags() {
		*f.on = strings.IndexByte(letters, f.letter) >= 0
	}
	if object == "" {
		return k, nil
	}
	row, err := cdc.ParseRow(object)
	if err != nil || len(row) != 1 {
		return k, fmt.Errorf("parse state at %s: the target key is not an object of one field", pos)
	}
	k.Key = sinks.Field{Name: row[0].Name, Value: json.RawMessage(row[0].Value.JSON())}
	return k, nil
}
