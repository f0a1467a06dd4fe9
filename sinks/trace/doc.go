// Package trace keeps a bounded history of what became of records on their way to a target,
// for whoever asks for the story of one of them (walbridge trace).
//
// It is no data promise. A Writer takes what it is told into a buffer and never waits: what
// does not fit, or what Redis does not take, is dropped and counted, and the history has a gap.
// Nothing of delivery reads it. It holds keys of the source, ids and codes of the target and
// texts of errors, which have no values of rows.
//
// It lies in two streams for each partition of a target, one of them for what comes in the
// bulk lane and by replays, so that a backfill does not wipe out what was there of the others.
// An entry holds the lines of a moment: a line for each request or batch (a head), and behind
// it one for each record (a step), each a JSON object with short names. The first half of an
// entry's id counts the bytes that were ever written to the stream, so that one XADD bounds it
// by bytes, whoever writes.
package trace
