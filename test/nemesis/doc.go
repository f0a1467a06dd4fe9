// Package nemesis hurts a running walbridge at random and judges what came of it:
// the binary in processes of its own, real PostgreSQL and Redis, writers that commit
// transactions of all kinds, and faults drawn from a seed.
//
// A run is made of rounds. In a round the processes, the two servers, the network to
// each and the backfills suffer at the same time, each by a hand of its own; then all
// is mended, and the log must catch up, which is the only thing judged by the clock.
// In the end test/judge holds the log against a witness (nothing missing, nothing
// twice, every stream rises) and against the tables, row for row; a finding comes
// with its story. That the slot is never confirmed above what the log holds is looked
// at all the while.
//
//	go test ./test/nemesis -run 'TestNemesis$' -v -nemesis 5m -seed 7 -timeout 0
//	go test ./test/nemesis -run TestKills -v -kills 200 -timeout 0
//	go test ./test/nemesis -run TestOutage -v -outage 10m -timeout 0
//
// WALBRIDGE_NEMESIS and WALBRIDGE_SEED do what -nemesis and -seed do; WALBRIDGE_FULL=1
// makes the defaults long. A seed repeats the choices, not the order of events between
// processes.
package nemesis
