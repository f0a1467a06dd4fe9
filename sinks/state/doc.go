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
// The checkpoint is the position of a consumer group named like the target, one
// for each stream of the log, so that every Redis tool shows it. (Not the lag:
// Redis cannot count that for a group whose position was set.) Package
// deliver is the only user; package redislog names the keys.
package state
