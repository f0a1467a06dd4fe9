// Package sinks is the vocabulary of delivery: what a mapping makes of a row
// (Record), what a target promises (Target), what it says of each record
// (Result), and the kinds of error that decide what happens next.
//
// It imports only the standard library and cdc. The packages below it are the
// delivery engine (queue, deliver, state, deadletter) and one adapter for each
// target; adapters never import each other.
//
// The invariants it serves are I6 (one bad record harms one key), I9 (a retry
// is safe) and I11 (state follows success); see docs/architecture.md.
package sinks
