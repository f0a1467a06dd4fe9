// Package sales is the source of the demo: the database of a sales team
// (Create), the life in it (Life), the mapping files that push it to the
// sandbox's apps (Mappings), and the judge who says at the end whether the
// targets hold what the source says (Reconcile).
//
// Reconcile is a second opinion: it computes with plain SQL what every target
// object should be and shares no code with the mapping package, so that an
// error there cannot hide. It holds I1, I3 and I5 over a whole run: nothing
// missing, nothing left over, no field of an object unlike the source's.
//
// The package imports pgx and nothing of walbridge; package demo starts the
// servers, runs the bridge and calls it.
package sales
