// Package state keeps, in Redis, what delivery must remember: for each target
// and partition the lease of its owner, what was seen and delivered of every
// source key, how far entries were handed to the target, the records that were
// parked, and the checkpoint.
//
// Everything of a partition is written by scripts that first check the owner's
// fencing token, so that an owner that lost its lease can write nothing. A
// commit is one script: state, parked records and checkpoint change together or
// not at all (I1, I11). The last one may be repeated after an answer was lost; a
// late copy of an older one does nothing, and a commit that follows on one which
// the server has lost is refused.
//
// What is known of the keys lies in many small hashes, the buckets, which Redis keeps in
// one piece each: a record takes well under 100 bytes (layout.go). Names that many keys
// share have numbers instead, which are given once and kept: also of a mapping that was
// renamed or removed, so that its keys can be told apart for as long as they are there.
// Every script names the buckets that it touches, and all keys of a partition share a
// hash tag, as Redis Cluster wants.
//
// The checkpoint is the position of a consumer group named like the target, one
// for each stream of the log, so that every Redis tool shows it. (Not the lag:
// Redis cannot count that for a group whose position was set.) Package
// deliver is the only user; package redislog names the keys.
package state
