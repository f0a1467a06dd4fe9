// Package e2e tests the program from end to end: the walbridge binary in
// processes of its own, real PostgreSQL and Redis, and the sandbox as targets.
// Processes and servers are killed, targets fail, memory runs out; what came of
// it is judged by checkers over the whole run, not by examples:
//
//   - I1, I2, I3: test/judge holds the log against a second replication slot, the
//     witness, and against the tables: nothing missing, nothing twice, nothing
//     else; every stream rises; folded by Position it is the table row for row.
//   - I4: no key of a target went backwards, also while workers that share it come, die, stand
//     still and are cut off. Excused is only what a worker had under way when it was stopped
//     with SIGSTOP, shown by the request that carried it (pause_test.go).
//   - I1, I11: once the checkpoints are at the ends of the streams, the targets
//     hold what the mappings, written once more as SQL, say. At no time was the
//     slot confirmed above what the log held durably.
//
// The checkers share no code with what they judge, but for the parsing of
// Positions. WALBRIDGE_SEED repeats a run's random choices (the order of events
// between processes stays its own), WALBRIDGE_FULL=1 makes runs longer.
package e2e
