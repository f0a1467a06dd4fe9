package state

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks/targetkey"
)

// ownersScript is targetkey.Apply over entries of one partition, by the clock of the
// server, in order. It is fenced by no lease: the entries belong to rows of any
// partition, and the rules of targetkey bear what comes late.
//
// KEYS: the entries. ARGV: kind, id, owner, nonce, milliseconds for which the key is not to
// be taken, and the entry as it was, of each operation.
// Output: result and entry of each.
var ownersScript = redis.NewScript(`
local time = redis.call('TIME')
redis.call('HDEL', KEYS[1], '\0none')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local out = {}
for i = 1, #ARGV, 6 do
	local kind, id, owner, nonce, wait, was = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4]), ARGV[i + 5]
	local have = redis.call('HGET', KEYS[1], id) or ''
	local from, rest = string.match(have, '^(%d+) %S+ (.*)$')
	from = tonumber(from or '0')
	local mine = have ~= '' and rest == owner
	local takes = kind == 'take' or kind == 'keep'
	local result, text = 'owned', have
	if kind == 'release' then
		result = 'free'
		if have ~= '' and have == was then
			redis.call('HDEL', KEYS[1], id)
			result, text = 'mine', ''
		end
	else
		if have == '' then result = 'free'
		elseif mine then result = 'mine'
		elseif have == was or takes and from ~= 0 and from <= now then result = 'other' end
		if result ~= 'owned' and not (kind == 'keep' and mine and from == 0) and not (kind == 'quit' and have == '') then
			local at = 0
			if not takes then
				at = 1
				if wait > 0 then at = now + wait end
				if mine and from > at then at = from end
			end
			text = string.format('%.0f', at) .. ' ' .. nonce .. ' ' .. owner
			redis.call('HSET', KEYS[1], id, text)
		end
	end
	out[#out + 1] = result
	out[#out + 1] = text
end
return out
`)

// Own carries out operations on the owners of target keys and gives an answer for each, in
// their order. Those on one key are done in their order too. It may be repeated as a
// whole after an error.
func (c *Claim) Own(ctx context.Context, ops []targetkey.Op) ([]targetkey.Answer, error) {
	byPartition := map[int][]int{}
	for i := range ops {
		p := ops[i].ID.Partition(c.s.o.Partitions)
		byPartition[p] = append(byPartition[p], i)
	}
	pipe := c.s.rdb.Pipeline()
	answers := map[int]*redis.Cmd{}
	for p, members := range byPartition {
		args := make([]any, 0, 6*len(members))
		for _, i := range members {
			op := &ops[i]
			args = append(args, string(op.Kind), string(op.ID), op.Owner.String(), op.Nonce, op.For.Milliseconds(), op.Was)
		}
		answers[p] = ownersScript.Eval(ctx, pipe, []string{c.s.o.Keys.TargetKeys(c.s.o.Target, p)}, args...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("write owners of target keys: %w", err)
	}
	out := make([]targetkey.Answer, len(ops))
	for p, members := range byPartition {
		texts, err := answers[p].StringSlice()
		if err == nil && len(texts) != 2*len(members) {
			err = errors.New("the server answers something else")
		}
		if err != nil {
			return nil, fmt.Errorf("write owners of target keys: %w", err)
		}
		for j, i := range members {
			out[i] = targetkey.Answer{Result: targetkey.Result(texts[2*j]), Entry: strings.Clone(texts[2*j+1])}
		}
	}
	return out, nil
}
