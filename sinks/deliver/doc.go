// Package deliver runs the delivery to one target: it reads the log from the
// checkpoint, folds changes in a queue, maps what is taken from it, sends
// batches, and writes state and checkpoint.
//
// Several processes, the workers, may do so for one target. Each partition is owned by one of
// them under a lease; partitions are taken and given while a session goes on (share.go,
// workers.go, open.go). A session lasts as long as no lease is lost. In it, one
// goroutine, the loop, owns the queue and the watermarks and decides; reads,
// batches and commits each run in a goroutine of their own and post an event to
// the loop when they end. A lost lease ends the session: everything pending is
// dropped and the next one starts from the checkpoints.
//
// What holds, and where:
//
//   - The checkpoint never passes an entry that is not dealt with, because it is
//     written together with the state of the entries it passes (I1, I11;
//     commit.go). A key stays in flight until that is done, so that a later batch
//     never reads a state older than what the target has.
//   - Before a batch is sent, the Positions up to which entries may reach the
//     target are written (map.go). A session that starts sends nothing until it
//     has read that far again, unless the queue has become too small for it, and
//     until the requests sent before have outlived their timeout (I4; read.go).
//     After an unknown outcome a key waits as long. What a sweep found is sent as the source
//     has it, and is noted on its own: what is older is then read at the source too (reach.go).
//   - A key's first write, and its delete, are noted before they are made, so that
//     a record whose outcome is not known is neither forgotten nor taken for whole
//     (I5, I11; map.go). A field that is only written when it changes is sent until the
//     target said yes to it: what it held before is forgotten in that note, and not
//     trusted of a key that a session before may have sent (I11; doubt.go).
//   - A record that the target has already is not sent: its hash is that of the last one
//     delivered, and the key is not in doubt (I11; repeat.go, doubt.go).
//   - A change not above what was seen is dropped (I4), unless the target may
//     lack columns that it has: then the row is read from the source (I5).
//   - A record goes out under a target key only while its row owns that key, and is
//     removed only while it does (package targetkey; keys.go, oldkeys.go).
//   - A key in a long back-off does not hold the checkpoint: its entry is put aside in
//     the commit that lets the checkpoint pass, and what comes of it meanwhile waits
//     for it (I1, I4, I10; aside.go). A session that finds it so trusts nothing of what
//     the one before may have sent of it (I11).
//   - A record waits for those that it refers to, within a bound (parents.go).
//   - Bulk goes in jobs of a target that carries them out, which last for minutes: nothing
//     else waits for them, and what one may still write the target keeps back (bulk.go).
//   - One record's failure is its own; a batch refused as a whole is halved (I6).
//     The target's failure pauses the target (I7); the queue goes on folding
//     until it is full, and then the lane is not read on (I8).
package deliver
