// Package judge says whether a log holds what its source holds. What the source
// did comes from a witness, a replication slot of the test's own, read by a parser
// of its own; what the log has is read as docs/events.md tells any client to:
//
//   - I1, I2: the entries are exactly what the witness saw, each Position once (a
//     truncate once in every stream), every stream rises, every key stays in one
//     partition, and what a backfill read travels in the bulk lane.
//   - I3: the log, folded by Position, is the tables.
//
// It shares no code with what it judges, but for the parsing of Positions. Both
// sides are walked in the order of Positions, so that a run may be of any length:
// what is kept are the facts of the witness, a few dozen bytes each, and the rows
// that there are in the end. A finding comes with its story: what the source and
// the log say of the offending key, and what was done to the bridge in between.
package judge
