// Package check judges what was found of a bridge's files, servers and targets: what
// works, what will fail later, and what to do about it. It is pure: facts go in, findings
// come out. Package wire gathers the facts.
package check
