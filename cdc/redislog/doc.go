// Package redislog keeps the log of changes on Redis Streams: one stream for
// each lane and partition, where an entry's id is its Position.
//
// Writer appends with the rule that makes I2 hold: a batch for a stream is one
// MULTI…EXEC that begins with a read of the stream's last id, at most one batch
// of a stream is unanswered, and what a stream already holds is known only from
// that read, never from a refusal. Reader follows the streams from a position.
// Log keeps the description of the whole (how many partitions, which source).
package redislog
