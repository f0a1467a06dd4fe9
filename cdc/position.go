package cdc

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// LSN is a byte offset into the write-ahead log, or into the log's own
// continuation of it: an epoch's base plus an LSN of the server.
type LSN uint64

// String gives the form PostgreSQL uses, two hexadecimal halves: "16/B374D848".
func (l LSN) String() string {
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l))
}

// ParseLSN reads the form that String gives.
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("parse lsn %q: want two hexadecimal numbers with a slash, such as 16/B374D848", s)
	}
	h, err := strconv.ParseUint(hi, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse lsn %q: %w", s, err)
	}
	l, err := strconv.ParseUint(lo, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse lsn %q: %w", s, err)
	}
	return LSN(h<<32 | l), nil
}

// Position is the place of a change in the total order of all changes: the
// LSN of its transaction's commit, then its ordinal within the transaction.
// Rows of one transaction share the LSN, so an LSN alone never names a change.
type Position struct {
	LSN LSN
	// Ordinal is twice the number of the row message within its transaction,
	// counting messages that are filtered afterwards, so that it does not
	// depend on configuration. The create half of a key change is one higher.
	Ordinal uint64
}

// String gives the id of the change's entry in the log: "<lsn>-<ordinal>",
// both decimal, which is also the form of a Redis stream id.
func (p Position) String() string {
	return string(p.Append(make([]byte, 0, 32)))
}

// Append appends what String gives to b.
func (p Position) Append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(p.LSN), 10)
	b = append(b, '-')
	return strconv.AppendUint(b, p.Ordinal, 10)
}

// ParsePosition reads the form that String gives.
func ParsePosition(s string) (Position, error) {
	ms, seq, ok := strings.Cut(s, "-")
	if !ok {
		return Position{}, fmt.Errorf("parse position %q: want <lsn>-<ordinal> in decimal, such as 26843545-4", s)
	}
	lsn, err := strconv.ParseUint(ms, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("parse position %q: %w", s, err)
	}
	ord, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("parse position %q: %w", s, err)
	}
	return Position{LSN: LSN(lsn), Ordinal: ord}, nil
}

// Compare is negative when p comes before q, positive when after, else zero.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.LSN, q.LSN); c != 0 {
		return c
	}
	return cmp.Compare(p.Ordinal, q.Ordinal)
}

// Before tells whether p comes before q.
func (p Position) Before(q Position) bool { return p.Compare(q) < 0 }

// Prev gives the position just before p; the zero position has none but itself.
func (p Position) Prev() Position {
	switch {
	case p.Ordinal > 0:
		p.Ordinal--
	case p.LSN > 0:
		p.LSN--
		p.Ordinal = math.MaxUint64
	}
	return p
}

// Next gives the position just after p; the highest has none but itself.
func (p Position) Next() Position {
	switch {
	case p.Ordinal < math.MaxUint64:
		p.Ordinal++
	case p.LSN < math.MaxUint64:
		p.LSN++
		p.Ordinal = 0
	}
	return p
}

// MarshalText gives the form of String.
func (p Position) MarshalText() ([]byte, error) { return p.Append(nil), nil }

// UnmarshalText reads the form of String.
func (p *Position) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePosition(string(b))
	return err
}

// IsZero tells whether p is the position before all changes.
func (p Position) IsZero() bool { return p == Position{} }
