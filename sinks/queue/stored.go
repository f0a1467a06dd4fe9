package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// stored is the form of an entry in the retry set. Rows are texts, so that they come
// back to the byte.
type stored struct {
	V        int          `json:"v"`
	Op       string       `json:"op"`
	Position cdc.Position `json:"position"`
	Table    cdc.Table    `json:"table"`
	Key      string       `json:"key"`
	After    string       `json:"after,omitempty"`
	Before   string       `json:"before,omitempty"`
	Absent   []string     `json:"absent,omitempty"`
	Unread   []string     `json:"unread,omitempty"`
	For      []string     `json:"for,omitempty"`
	Since    cdc.Position `json:"since"`
	Time     time.Time    `json:"time"`
	XID      uint64       `json:"xid"`

	Base  cdc.Position   `json:"base"`
	Bare  bool           `json:"bare,omitempty"`
	Older []storedColumn `json:"older,omitempty"`

	Lane     string    `json:"lane"`
	Changes  int       `json:"changes"`
	Oldest   time.Time `json:"oldest"`
	Attempts int       `json:"attempts,omitempty"`
	Together int       `json:"together,omitempty"`
	Failed   time.Time `json:"failed"`
	Doubt    bool      `json:"doubt,omitempty"`
	Replay   Replay    `json:"replay,omitempty"`
	Looked   time.Time `json:"looked"`

	Tried   cdc.Position `json:"tried"`
	TriedAt time.Time    `json:"tried_at"`
}

type storedColumn struct {
	Name     string       `json:"name"`
	Value    string       `json:"value"`
	Position cdc.Position `json:"position"`
}

// storedVersion is the one that is written, and the only one there is.
const storedVersion = 1

// Encode gives the form of an entry in which it is put aside; it holds all but the
// tokens, the key and the partition.
func (e *Entry) Encode() (json.RawMessage, error) {
	f := &e.Row
	s := stored{
		V: storedVersion, Op: f.newest.Op.String(), Position: f.newest.Position, Table: f.newest.Table, Key: f.newest.Key,
		After: f.newest.After, Before: f.newest.Before, Absent: f.newest.Absent, Unread: f.newest.Unread, For: f.newest.For,
		Since: f.newest.Since, Time: f.newest.Time, XID: f.newest.XID, Base: f.base, Bare: f.bare,
		Lane: e.Lane.String(), Changes: e.Changes, Oldest: e.Oldest, Attempts: e.Attempts, Together: e.Together, Failed: e.Failed, Doubt: e.Doubt, Replay: e.Replay, Looked: e.Looked, Tried: e.Tried, TriedAt: e.TriedAt,
	}
	for _, c := range f.older {
		s.Older = append(s.Older, storedColumn{c.name, c.value.JSON(), c.pos})
	}
	b, err := json.Marshal(&s)
	if err != nil {
		return nil, fmt.Errorf("encode deferred entry at %s: %w", f.newest.Position, err)
	}
	return b, nil
}

// Decode reads the form that Encode gives. Its errors do not quote the text, which
// holds a row.
func Decode(k Key, partition int, text json.RawMessage) (*Entry, error) {
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, errors.New("parse deferred entry: it is not of the form that is written")
	}
	if s.V != storedVersion {
		return nil, fmt.Errorf("parse deferred entry: version %d is not known", s.V)
	}
	op, err := cdc.ParseOp(s.Op)
	if err != nil {
		return nil, errors.New("parse deferred entry: the operation is not known")
	}
	e := &Entry{
		Key: k, Partition: partition, Lane: LaneOf(s.Lane), Changes: s.Changes, Oldest: s.Oldest,
		Attempts: s.Attempts, Together: s.Together, Failed: s.Failed, Deferred: true, Doubt: s.Doubt, Replay: s.Replay,
		Looked: s.Looked, Tried: s.Tried, TriedAt: s.TriedAt,
	}
	e.Row = Folded{newest: cdc.Change{
		Position: s.Position, Op: op, Table: s.Table, Key: s.Key, After: s.After, Before: s.Before, Absent: s.Absent, Unread: s.Unread,
		For: s.For, Since: s.Since, Time: s.Time, XID: s.XID,
	}, base: s.Base, bare: s.Bare}
	for _, c := range s.Older {
		e.Row.older = append(e.Row.older, column{c.Name, cdc.ValueOf(c.Value), c.Position})
	}
	return e, nil
}
