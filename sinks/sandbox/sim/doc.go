// Package sim is what the sandbox and the APIs that it simulates have in common: the sandbox
// serves each Simulation below /NAME/, lets faults fall on its requests, and shows on its
// page what it holds.
//
// A Simulation is the other side of the wire. It is made from what is published of the API,
// and never from the target that speaks to it, so that it can judge that target; so neither
// it nor this package imports anything of a target.
package sim
