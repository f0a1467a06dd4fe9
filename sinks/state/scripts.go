package state

import (
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks/deadletter"
)

// A script whose first write is one that Redis never refuses may write on when
// the memory is full. Each begins with such a write, one that changes nothing:
// else a full server could not be emptied, since no checkpoint would move.

// The value of a lease is its fencing token, a space, and its owner. An owner
// that asks again, because an answer was lost, gets a new token.
var acquireScript = redis.NewScript(`
redis.call('PERSIST', KEYS[2])
local have = redis.call('GET', KEYS[1])
if have and string.match(have, ' (.*)$') ~= ARGV[1] then return have end
local lease = string.format('%.0f', redis.call('INCR', KEYS[2])) .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], lease, 'PX', ARGV[2])
return lease
`)

var renewScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

// ARGV: lease, then the marks that are forgotten.
var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
redis.call('DEL', KEYS[1])
return 1
`)

// prepareScript notes, before a batch is sent, how far entries are handed to the
// target (never lower than before) and which records may come into being.
// ARGV: lease, number of marks, then field and position of each mark, then field,
// former text and text of each record. Positions are compared as texts of digits,
// since a number in Lua does not hold 64 bits. A record whose text is not the
// former one was written meanwhile: this call is a late copy, or follows one.
var prepareScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('HDEL', KEYS[2], '\0none')
local function above(a, b)
	if #a ~= #b then return #a > #b end
	return a > b
end
local last = 2 + 2 * tonumber(ARGV[2])
for i = 3, last, 2 do
	local have = redis.call('HGET', KEYS[2], ARGV[i])
	local higher = true
	if have then
		local l1, o1 = string.match(ARGV[i + 1], '^(%d+)-(%d+)$')
		local l2, o2 = string.match(have, '^(%d+)-(%d+)$')
		higher = above(l1, l2) or (l1 == l2 and above(o1, o2))
	end
	if higher then redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
for i = last + 1, #ARGV, 3 do
	if (redis.call('HGET', KEYS[2], ARGV[i]) or '') ~= ARGV[i + 1] then return 'moved' end
end
for i = last + 1, #ARGV, 3 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2]) end
return 'ok'
`)

// commitScript writes state, parked records and checkpoints. A key that gets a state
// has no dead letter any more, unless that is what it gets (design, section 7).
// KEYS: lease, state, dead letters, their index, then the streams whose checkpoint moves,
// and the deferred entries.
// ARGV: lease, group, number of the commit, the commit before it, number of
// states, number of parked records, number of fields of each, until when a request
// may still be carried out in microseconds or 0, how many parked records are kept;
// then the positions for the streams,
// field and text of each state, names and values of the fields of each parked
// record, and field and text of each deferred entry; no text takes it away.
//
// The last commit is kept as lease and number. One of the same lease that is not
// above it was carried out before: a repeat, or a copy of an older one that comes
// late and would set everything back. What is neither that nor the commit before
// says that the server lost writes.
//
// An embedded server that cannot move a group makes it anew in its place.
var commitScript = redis.NewScript(deadletter.Functions + `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('HDEL', KEYS[2], '\0none')
local have = redis.call('HGET', KEYS[2], '\0commit') or ''
local lease, n = string.match(have, '^(.*) (%d+)$')
if lease == ARGV[1] and tonumber(n) >= tonumber(ARGV[3]) then return 'ok' end
if have ~= ARGV[4] then return 'rolled back' end
if ARGV[8] ~= '0' then redis.call('HSET', KEYS[2], '\0hold', ARGV[8]) end
local first = 10 + #KEYS - 5
local at = first + 2 * tonumber(ARGV[5])
local parked, resolved = {}, 0
for i = 1, tonumber(ARGV[6]) do
	local entry = {}
	for j = 1, 2 * tonumber(ARGV[7]) do
		entry[j] = ARGV[at]
		at = at + 1
	end
	parked[dead_park(KEYS[3], KEYS[4], entry)] = true
end
local any = redis.call('XLEN', KEYS[3]) > 0
for i = first, first + 2 * tonumber(ARGV[5]) - 2, 2 do
	redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
	if any and not parked[ARGV[i]] then resolved = resolved + dead_resolve(KEYS[3], KEYS[4], ARGV[i]) end
end
dead_count(KEYS[4], 'resolved', resolved)
if tonumber(ARGV[6]) > 0 then
	dead_shrink(KEYS[3], KEYS[4], 'full', '+', math.min(redis.call('XLEN', KEYS[3]) - tonumber(ARGV[9]), tonumber(ARGV[6])))
end
for i = at, #ARGV, 2 do
	if ARGV[i + 1] == '' then
		redis.call('HDEL', KEYS[#KEYS], ARGV[i])
	else
		redis.call('HSET', KEYS[#KEYS], ARGV[i], ARGV[i + 1])
	end
end
for i = 5, #KEYS - 1 do
	local id = ARGV[10 + i - 5]
	local r = redis.pcall('XGROUP', 'SETID', KEYS[i], ARGV[2], id)
	if type(r) == 'table' and r.err then
		if not string.find(r.err, 'not supported', 1, true) then return r end
		redis.call('XGROUP', 'DESTROY', KEYS[i], ARGV[2])
		redis.call('XGROUP', 'CREATE', KEYS[i], ARGV[2], id)
	end
end
redis.call('HSET', KEYS[2], '\0commit', ARGV[1] .. ' ' .. ARGV[3])
return 'ok'
`)

// tendScript keeps the bounds of the parked records. It drops at most so many for each
// of them, as each holds a row.
// KEYS: lease, state, dead letters, their index. ARGV: lease, how many are kept, the id
// up to which they are too old, how many are dropped at once, how many dropped for either
// bound were logged. Output: ok, or more if
// there are more to be dropped.
var tendScript = redis.NewScript(deadletter.Functions + `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('HDEL', KEYS[2], '\0none')
local page = tonumber(ARGV[4])
local old = dead_shrink(KEYS[3], KEYS[4], 'old', ARGV[3], page)
local over = redis.call('XLEN', KEYS[3]) - tonumber(ARGV[2])
dead_shrink(KEYS[3], KEYS[4], 'full', '+', math.min(over, page))
if ARGV[5] ~= '0' then redis.call('HSET', KEYS[4], '\0told_full', ARGV[5]) end
if ARGV[6] ~= '0' then redis.call('HSET', KEYS[4], '\0told_old', ARGV[6]) end
if old == page or over > page then return 'more' end
return 'ok'
`)
