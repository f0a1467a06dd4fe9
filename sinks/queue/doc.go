// Package queue is the heart of delivery: a keyed queue that folds the changes
// of a key into one entry while it waits, and the watermark that says how far
// the log has been dealt with.
//
// Both are pure state machines. They start no goroutine, hold no lock, read no
// clock (time is an argument), never block and do no I/O; they are not safe for
// concurrent use. Package deliver runs them.
//
// What the queue promises, each held by a test:
//
//  1. A key is in at most one batch in flight.
//  2. An entry in flight is never touched; later changes fold into the pending
//     one.
//  3. What failed goes back beneath what arrived meanwhile: pending becomes
//     failed folded with pending, by Position, and keeps the tokens of both.
//  4. A token is released exactly once, when its entry is finished.
//  5. Back-off belongs to the key, and a pause to a mapping or to the whole queue; a
//     new change shortens none (I10).
//  6. A key is ready after it was quiet, at the latest after the longest delay,
//     or at once when a batch is full.
//  7. Keys leave in the order they became ready, urgent before normal before
//     bulk; a key that becomes ready again goes to the end, so that a hot key
//     starves nobody. A lane that is passed over leads one batch in so many (its
//     floor), so that a more urgent one does not starve it either.
//  8. Full counts source entries and bytes not yet released, not keys: one hot
//     key can pin thousands of entries while the queue looks empty (I8).
//  9. What is put away comes back beneath what arrived meanwhile, once; until then
//     nothing of its key is taken.
//  10. Of the bulk lane of a mapping so many go together in a job, where there are jobs: what
//     was not tried before, and has gathered for a moment. Nothing else waits for one.
//  11. Behind the gate of a partition nothing is taken but what is more urgent, and nothing
//     comes back that is away; changes fold there as before. When the gate is opened, keys
//     go in the order in which they became ready behind it.
//  12. Of a key that rests nothing is taken before the time is over, wherever it was when it
//     was told to: waiting, ready, in flight, in back-off or away. It shortens no back-off.
//  13. What is dropped with its partition is forgotten as a whole: it is not given, not
//     counted, its tokens are not released by Done, and its room is there for others.
//
// Folding is by Position and column by column: absent is not null (I5).
package queue
