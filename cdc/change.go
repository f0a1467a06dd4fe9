package cdc

import (
	"fmt"
	"time"
)

// Op is the kind of a change, a letter as the log has it.
type Op byte

// The kinds of change.
const (
	OpCreate   Op = 'c'
	OpUpdate   Op = 'u'
	OpDelete   Op = 'd'
	OpRead     Op = 'r' // a row read by a backfill
	OpTruncate Op = 't' // of a whole table; it has no key
	OpSweep    Op = 's' // the end of a generation of a table; it has no key
)

// String gives the letter.
func (o Op) String() string { return string(rune(o)) }

// ParseOp reads the letter.
func ParseOp(s string) (Op, error) {
	if len(s) == 1 {
		switch o := Op(s[0]); o {
		case OpCreate, OpUpdate, OpDelete, OpRead, OpTruncate, OpSweep:
			return o, nil
		}
	}
	return 0, fmt.Errorf("parse op %q: want one of c u d r t s", s)
}

// Keyed tells whether a change of this kind is about one row.
func (o Op) Keyed() bool { return o != OpTruncate && o != OpSweep }

// Change is one committed change of a row, as a reader of the log gets it.
// Its texts are JSON and may be shared: nobody writes to them.
type Change struct {
	Position Position
	Op       Op
	Table    Table
	// Key is a JSON object of the columns of the replica identity, in the
	// order of the table's columns. Empty for truncate and sweep.
	Key string
	// After is the row as a JSON object, without the absent columns. Empty for
	// a delete.
	After string
	// Before is what the replica identity gives of the old row; often empty.
	Before string
	// Absent names the columns that are not in After, because they were not sent
	// (unchanged TOAST) or could not be read.
	Absent []string
	// Unread names those of Absent that were sent but could not be read: unlike the
	// others they may have changed.
	Unread []string
	// For says who a row read by a backfill is for, each the name of a target or of
	// target/mapping; empty for all.
	For []string
	// Since is, of a sweep, where the generation began: rows of which no change has come
	// since are gone.
	Since Position
	// Time is when the transaction committed, by the source's clock.
	Time time.Time
	// XID is the transaction's id, widened to 64 bits.
	XID uint64
}

// Stream names one stream of the log: a lane and a partition.
type Stream struct {
	Lane      string
	Partition int
}

// String gives lane/partition, for people.
func (s Stream) String() string { return fmt.Sprintf("%s/%d", s.Lane, s.Partition) }

// The lanes, most urgent first.
const (
	LaneUrgent = "urgent"
	LaneNormal = "normal"
	LaneBulk   = "bulk"
)

// Lanes lists the lanes of a log, most urgent first.
func Lanes() []string { return []string{LaneUrgent, LaneNormal, LaneBulk} }

// PartitionOf says which of n partitions the key of a table belongs to: FNV-1a
// of 64 bits over the table's name, a zero byte and the key's JSON text, modulo
// n. A key has the same partition in every lane. The function is part of the
// public contract and never changes.
func PartitionOf(table string, key []byte, n int) int {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := 0; i < len(table); i++ {
		h = (h ^ uint64(table[i])) * prime
	}
	h *= prime // the zero byte
	for _, c := range key {
		h = (h ^ uint64(c)) * prime
	}
	return int(h % uint64(n))
}

// Entry is a change on its way into the log, already encoded as the public
// contract has it. Its bytes belong to the one who made it and are valid only
// until the call they are passed to returns.
type Entry struct {
	Position Position
	Op       Op
	Table    string
	Key      []byte
	After    []byte
	Before   []byte
	Absent   []byte // a JSON array of names; empty when nothing is absent
	Unread   []byte // likewise
	For      []byte // a JSON array of names; empty for all
	Since    []byte // a Position as text; empty but for a sweep
	// Micros is the commit time in microseconds since 1970.
	Micros int64
	XID    uint64
}

// Message is an entry as a reader of the log gets it.
type Message struct {
	Stream Stream
	Change Change
	// Size is about how many bytes the entry takes in memory.
	Size int
}
