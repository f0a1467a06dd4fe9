package deadletter

import "github.com/redis/go-redis/v9"

// The counts that an index holds, as fields that no key has: a mapping has a name.
const (
	countResolved  = "\x00resolved"
	countReplaced  = "\x00replaced"
	countDiscarded = "\x00discarded"
	countFull      = "\x00full"
	countOld       = "\x00old"
	countToldFull  = "\x00told_full"
	countToldOld   = "\x00told_old"
)

// counts are in the order of Totals.
var counts = []string{countResolved, countReplaced, countDiscarded, countFull, countOld, countToldFull, countToldOld}

// Functions are the Lua functions for the scripts that the owner of a partition runs.
// Whoever uses them has checked the lease, and has written something.
//
// dead_count adds to a count. dead_park appends an entry, whose first values are the
// mapping and the key, in place of one that the key has. dead_resolve takes away the
// entry of a key, if it has one, and tells how many that were. dead_shrink drops the
// oldest entries up to an id, at most so many, and tells how many that were.
const Functions = `
local function dead_count(index, name, n)
	if n > 0 then redis.call('HINCRBY', index, '\0' .. name, n) end
end
local function dead_resolve(stream, index, field)
	local id = redis.call('HGET', index, field)
	if not id then return 0 end
	redis.call('HDEL', index, field)
	return redis.call('XDEL', stream, id)
end
local function dead_park(stream, index, entry)
	local field = entry[2] .. '\0' .. entry[4]
	dead_count(index, 'replaced', dead_resolve(stream, index, field))
	redis.call('HSET', index, field, redis.call('XADD', stream, '*', unpack(entry)))
	return field
end
local function dead_shrink(stream, index, reason, to, most)
	if most <= 0 then return 0 end
	local gone = 0
	for _, e in ipairs(redis.call('XRANGE', stream, '-', to, 'COUNT', most)) do
		local field = (e[2][2] or '') .. '\0' .. (e[2][4] or '')
		if redis.call('HGET', index, field) == e[1] then redis.call('HDEL', index, field) end
		gone = gone + redis.call('XDEL', stream, e[1])
	end
	dead_count(index, reason, gone)
	return gone
end
`

// discardScript takes entries away.
//
// KEYS: stream, index. ARGV: id and field of the index for each entry. Output: how many
// were there. It counts only after it took something away, which a full Redis does not
// refuse, and then lets it write on.
var discardScript = redis.NewScript(Functions + `
local gone = 0
for i = 1, #ARGV, 2 do
	if redis.call('HGET', KEYS[2], ARGV[i + 1]) == ARGV[i] then redis.call('HDEL', KEYS[2], ARGV[i + 1]) end
	gone = gone + redis.call('XDEL', KEYS[1], ARGV[i])
end
dead_count(KEYS[2], 'discarded', gone)
return gone
`)
