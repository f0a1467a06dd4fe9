// Package sinktest is the conformance suite of targets: Run holds one against the contract
// of package sinks, in front of a server that keeps records (a simulation, or the real
// thing), with faults injected at the wire between the two.
//
// A target's test says how to make it and its server, as a Subject. Each check gets a server
// and a target of its own. Whatever a check does, after every Deliver the suite holds what the
// target said against what the server holds: what counts as delivered is there, what failed
// without doubt has changed nothing, and no error shows a row value or a secret (I14).
//
// The suite is itself tested with targets that have one flaw each, which the check that is
// meant for it must find.
package sinktest
