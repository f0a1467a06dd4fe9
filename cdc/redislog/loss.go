package redislog

import (
	"fmt"

	"github.com/walbridge/walbridge/cdc"
)

// RolledBackError says that a stream ends before the entry that was last
// appended to it: the server lost part of the log.
type RolledBackError struct {
	Stream     cdc.Stream
	Want, Have cdc.Position
	// Appended tells that entries were appended above the hole before it was seen.
	Appended bool
}

func (e *RolledBackError) Error() string {
	return fmt.Sprintf("stream %v ends at %v, but %v was appended: the Redis server has lost part of the log (restarted without its last writes, or failed over)",
		e.Stream, e.Have, e.Want)
}

// ForeignWriterError says that somebody else appended to a stream.
type ForeignWriterError struct {
	Stream     cdc.Stream
	Want, Have cdc.Position
}

func (e *ForeignWriterError) Error() string {
	return fmt.Sprintf("stream %v ends at %v, but %v was appended last: another process writes to this log; give each bridge a name of its own",
		e.Stream, e.Have, e.Want)
}

// SessionLostError says that the number of the last append is not where it was
// left.
type SessionLostError struct{ Want, Have string }

func (e *SessionLostError) Error() string {
	have := e.Have
	if have == "" {
		have = "nothing"
	}
	return fmt.Sprintf("the last append to the log is %s, not %s: the Redis server has lost part of the log (restarted without its last writes, or failed over), or another process writes to it", have, e.Want)
}

// RefusedEntryError says that the server took a batch but refused one entry of
// it. The entries after it may be in the stream, so the log has a hole.
type RefusedEntryError struct {
	Stream   cdc.Stream
	Position cdc.Position
	Err      error
}

func (e *RefusedEntryError) Error() string {
	return fmt.Sprintf("stream %v refused entry %v within a batch it took: %v", e.Stream, e.Position, e.Err)
}

// Unwrap gives the server's own error.
func (e *RefusedEntryError) Unwrap() error { return e.Err }

// MarkLostError says that the barrier's key does not hold what was written last:
// the server lost its newest writes, and so perhaps entries of the log.
type MarkLostError struct{ Want, Have string }

func (e *MarkLostError) Error() string {
	have := e.Have
	if have == "" {
		have = "nothing"
	}
	return fmt.Sprintf("the log's durable mark is %s, but %s was written: the Redis server has lost part of the log", have, e.Want)
}
