// Package console serves what the process knows of itself: one embedded page,
// its numbers as JSON and as a stream of events, Prometheus metrics, and health.
//
// What holds:
//   - It only reads. Every route answers GET and HEAD; nothing can be changed
//     through it, so it asks for no password and listens where it is told to.
//   - It shows no row values and no secrets (I14): Status has no field for them,
//     and the page writes all texts as text, never as markup.
//     The story of a record is told without values, to who knows its key.
//   - Every request is bounded: by timeouts, a deadline for each write, and a
//     number of event streams beyond which the answer is 503 (I8).
//   - /livez says that the process lives, /readyz that it makes progress.
//
// It knows no part of the bridge. Package wire is its Source and fills the
// Status; the metrics come from the registry that the parts register with.
package console
