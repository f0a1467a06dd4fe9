// Package deadletter keeps, in Redis, the records that a target refused for good, one
// for each source key of a mapping: the newest. They lie in a stream for each target
// and partition, with an index from the key to the entry beside it.
//
//   - What is parked and not superseded is there exactly once. A state of the key that
//     is written later, be it delivered, filtered or parked again, takes the entry away
//     in the same script that writes the state.
//   - Nothing goes silently: whatever takes an entry away is counted for a reason, in
//     the same script, and the counts survive the processes.
//   - Both bounds, count and age, are kept by the owner of the partition.
//
// What a delivery writes is part of the scripts of package state, under its fencing
// token; the Lua functions for it are here. Whoever looks or discards from outside
// needs no lease: an entry is named by its id, which never comes again, so a record
// that is parked meanwhile is not touched.
//
// Letters hold values of rows. Letter.Error holds none and may be shown anywhere; the
// key, the detail and the payload may not (I14).
package deadletter
