// Package redislog keeps the log of changes on Redis Streams: one stream for
// each lane and partition, where an entry's id is its Position.
//
// Writer appends with the rule that makes I2 hold: a batch for a stream is one
// MULTI…EXEC that begins with a read of the stream's last id, at most one batch
// of a stream is unanswered, and what a stream already holds is known only from
// that read, never from a refusal. Nothing is appended over a new connection before
// it is known that the server behind it has all that was answered before. Barrier
// follows it, and finds out what is durable (I1). Reader follows the streams from a
// position. Log keeps the description of the whole (how many partitions, which
// source).
//
// The log lies on one server, fixed or chosen by sentinels, or is spread over a
// cluster. It is cut into parts, each of which one server holds whole: of a single
// server there is one, of a cluster one for each partition and one for the
// description. Each part has the number of the last append to it and a durable mark,
// by which a server that loses writes is found out (docs/adr/0003).
//
// Trimmer takes from the log what every reader has read and the retention does not
// want; decide is pure and says what, a script in the server checks the consumer
// groups once more and does it. A target that is the cause of a full server is
// detached: it loses its groups, and so can write no checkpoint, until it comes back
// by a backfill. The time index tells up to which Position everything is older than
// some time.
package redislog
