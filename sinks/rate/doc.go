// Package rate keeps the limits of an account at a target: of requests a second and of
// requests a day. All workers whose requests the target counts together share one
// account, and its state lies in Redis.
//
// account is the core: a state and a step, with the time passed in. It never waits and
// knows no server. Keeper is the part in a process: it takes requests in small grants, so
// that a fast delivery does not ask Redis for each of them, and it tells what came of
// them. Redis is where the state lies; it is replaced only by the worker that
// read it last (a compare and swap, by the clock of the server), so that the clocks of
// workers do not matter and no two of them take the same request.
//
// What holds:
//
//  1. In any time, no more requests are granted than the burst and what the rate gives in
//     it. A grant is used within a tenth of a second, or given back. What a grant leads to
//     beyond its one request is made at once, and later grants wait for it: when something
//     is granted, no more was made until then, as far as was told, than the rate gives.
//  2. A throttled request halves the rate, once for all that were under way together;
//     requests that are taken raise it again, evenly, up to the limit. Without a limit
//     the rate is held only until twice what was measured goes well.
//  3. A wait that the target asks for is kept by all workers of the account.
//  4. A more urgent lane goes first; a lane that waits gets its floor of the requests all
//     the same, so that none starves. What it makes beyond its turn it waits for.
//  5. In any 24 hours no more requests are granted than the daily budget, less what is
//     kept for people. What is granted counts, also where the answer of Redis is lost.
//     What the target says of its own count goes before ours. What is made beyond a grant
//     counts too, and may overdraw it by as much as is under way.
//
// With no limit, no budget and no throttling nothing is asked for: once a second it is
// told how many requests were made. What is told twice, as the answer was lost, counts twice.
package rate
