// Package redislog keeps the log of changes on Redis Streams: one stream for
// each lane and partition, where an entry's id is its Position.
//
// Writer appends with the rule that makes I2 hold: a batch for a stream is one
// MULTI…EXEC that begins with a read of the stream's last id, at most one batch
// of a stream is unanswered, and what a stream already holds is known only from
// that read, never from a refusal. Reader follows the streams from a position.
// Log keeps the description of the whole (how many partitions, which source).
//
// Trimmer takes from the log what every reader has read and the retention does not
// want; decide is pure and says what, a script in the server checks the consumer
// groups once more and does it. A target that is the cause of a full server is
// detached: it loses its groups, and so can write no checkpoint, until it comes back
// by a backfill. The time index tells up to which Position everything is older than
// some time.
package redislog
