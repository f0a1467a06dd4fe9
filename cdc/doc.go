// Package cdc is the vocabulary of change data capture: what a committed row
// change is (Change), where it stands in the order of all changes (Position),
// what a column can hold (Value: absent, null or set), and what a log of
// changes owes its writer and its readers (Entry, Stream).
//
// It imports only the standard library. The packages below it are adapters
// named for what they speak to: pgoutput decodes bytes, pgsource owns the
// replication connection, redislog keeps the log on Redis Streams.
//
// The invariants it serves are I2 (an entry's id is its Position, so the log
// has no duplicates and no gaps), I3 (the highest Position of a key is the
// state of its row) and I5 (absent is not null); see docs/architecture.md.
package cdc
