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

// openScript notes how the state lies, in a partition of which nothing is kept yet.
// It also notes that an owner is at work, which the end of it takes away if that is in order.
// KEYS: lease, state. ARGV: lease, layout. Output: the layout that it has, empty if it
// has none, or lost; whether the owner before did not end in order; and for how many
// microseconds a request of it may still be carried out.
var openScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost', '', '0'} end
redis.call('HDEL', KEYS[2], '\0none')
local have = redis.call('HGET', KEYS[2], '\0layout')
if not have then
	if redis.call('EXISTS', KEYS[2]) == 1 then return {'', '', '0'} end
	redis.call('HSET', KEYS[2], '\0layout', ARGV[2])
	have = ARGV[2]
end
if have ~= ARGV[2] then return {have, '', '0'} end
local open = redis.call('HGET', KEYS[2], '\0open') or ''
redis.call('HSET', KEYS[2], '\0open', ARGV[1])
if open == ARGV[1] then open = '' end
local left = tonumber(redis.call('HGET', KEYS[2], '\0hold') or '0')
if left > 0 then
	local time = redis.call('TIME')
	left = math.max(0, left - time[1] * 1000000 - time[2])
end
return {have, open, string.format('%.0f', left)}
`)

// reading gives the arguments one by one, and begins what the owner's scripts have in
// common: ARGV begins with the lease and with how many names the owner knows. hold_for notes
// for how long a request may be carried out, by the clock of the server: those of owner and
// next owner need not agree.
const reading = `
local arg = 0
local function take()
	arg = arg + 1
	return ARGV[arg]
end
local function number() return tonumber(take()) end
if redis.call('GET', KEYS[1]) ~= take() then return 'lost' end
redis.call('HDEL', KEYS[2], '\0none')
if tonumber(redis.call('HGET', KEYS[2], '\0names') or '0') < number() then return 'rolled back' end
local function hold_for(micros)
	if micros == 0 then return end
	local time = redis.call('TIME')
	local till = time[1] * 1000000 + time[2] + micros
	if till > tonumber(redis.call('HGET', KEYS[2], '\0hold') or '0') then redis.call('HSET', KEYS[2], '\0hold', string.format('%.0f', till)) end
end
`

// prepareScript notes, before a batch is sent, how far entries are handed to the
// target (never lower than before) and which records may come into being.
// KEYS: lease, state, then buckets.
// ARGV, after those of reading: for how long a request may be carried out in microseconds or 0,
// number of marks, then field and position of each, number of
// records, then of each the number of its bucket among KEYS, field, former text and text.
// Positions are compared as texts of digits,
// since a number in Lua does not hold 64 bits. A record whose text is not the
// former one was written meanwhile: this call is a late copy, or follows one.
var prepareScript = redis.NewScript(reading + `
local function above(a, b)
	if #a ~= #b then return #a > #b end
	return a > b
end
hold_for(number())
for _ = 1, number() do
	local mark, position = take(), take()
	local have = redis.call('HGET', KEYS[2], mark)
	local higher = true
	if have then
		local l1, o1 = string.match(position, '^(%d+)-(%d+)$')
		local l2, o2 = string.match(have, '^(%d+)-(%d+)$')
		higher = above(l1, l2) or (l1 == l2 and above(o1, o2))
	end
	if higher then redis.call('HSET', KEYS[2], mark, position) end
end
local writes = {}
for i = 1, number() do
	local w = {key = KEYS[number()], field = take(), was = take(), text = take()}
	if (redis.call('HGET', w.key, w.field) or '') ~= w.was then return 'moved' end
	writes[i] = w
end
for _, w in ipairs(writes) do redis.call('HSET', w.key, w.field, w.text) end
return 'ok'
`)

// commitScript writes state, parked records and checkpoints. A key that gets a state
// has no dead letter any more, unless that is what it gets (design, section 7).
// KEYS: lease, state, dead letters, their index, deferred entries, then buckets and the streams whose
// checkpoint moves.
// ARGV, after those of reading: number of the commit, the commit before it, for how long a
// request may still be carried out in microseconds or 0; how many parked records
// are kept, number of them, number of fields of each, and names and values of the fields;
// number of states, and of each the number of its bucket among KEYS, field, text, and
// field in the index of dead letters; number of deferred entries, field and text of each,
// where no text takes it away; group, number of checkpoints, and of each the number
// of its stream among KEYS and the position.
//
// The last commit is kept as lease and number. One of the same lease that is not
// above it was carried out before: a repeat, or a copy of an older one that comes
// late and would set everything back. What is neither that nor the commit before
// says that the server lost writes.
//
// An embedded server that cannot move a group makes it anew in its place.
var commitScript = redis.NewScript(deadletter.Functions + reading + `
local id, before, hold = number(), take(), number()
local have = redis.call('HGET', KEYS[2], '\0commit') or ''
local lease, n = string.match(have, '^(.*) (%d+)$')
if lease == ARGV[1] and tonumber(n) >= id then return 'ok' end
if have ~= before then return 'rolled back' end
hold_for(hold)
local most, dead, fields = number(), number(), number()
local parked, resolved = {}, 0
for _ = 1, dead do
	local entry = {}
	for j = 1, 2 * fields do entry[j] = take() end
	parked[dead_park(KEYS[3], KEYS[4], entry)] = true
end
local any = redis.call('XLEN', KEYS[3]) > 0
for _ = 1, number() do
	redis.call('HSET', KEYS[number()], take(), take())
	local letter = take()
	if any and not parked[letter] then resolved = resolved + dead_resolve(KEYS[3], KEYS[4], letter) end
end
dead_count(KEYS[4], 'resolved', resolved)
if dead > 0 then dead_shrink(KEYS[3], KEYS[4], 'full', '+', math.min(redis.call('XLEN', KEYS[3]) - most, dead)) end
for _ = 1, number() do
	local field, text = take(), take()
	if text == '' then redis.call('HDEL', KEYS[5], field) else redis.call('HSET', KEYS[5], field, text) end
end
local group = take()
for _ = 1, number() do
	local stream, position = KEYS[number()], take()
	local r = redis.pcall('XGROUP', 'SETID', stream, group, position)
	if type(r) == 'table' and r.err then
		if not string.find(r.err, 'not supported', 1, true) then return r end
		redis.call('XGROUP', 'DESTROY', stream, group)
		redis.call('XGROUP', 'CREATE', stream, group, position)
	end
end
redis.call('HSET', KEYS[2], '\0commit', ARGV[1] .. ' ' .. string.format('%.0f', id))
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
