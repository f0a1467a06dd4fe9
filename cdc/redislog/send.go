package redislog

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// tailText reads a stream's last id: XINFO STREAM by itself would send the first and
// the last entry along, however large.
//
// KEYS: the stream.
const tailText = `local r = redis.pcall('XINFO', 'STREAM', KEYS[1])
if r.err then
  if string.find(r.err, 'no such key', 1, true) then return '0-0' end
  return r
end
for i = 1, #r, 2 do
  if r[i] == 'last-generated-id' then return r[i + 1] end
end
return redis.error_reply('ERR no last-generated-id')`

// roundText counts the round at the end of its pipeline, if the server has the one
// that was last answered: what it lost since, it lost with that number.
//
// KEYS: the number. ARGV: session, the last round that was answered, this round.
// Output: an empty text, or what the number is instead. The first write is one that
// is never refused, so that the number goes in where memory ran out behind the
// entries.
const roundText = `local have = redis.call('GET', KEYS[1]) or ''
local s, n = string.match(have, '^(%S+) (%d+)$')
if s ~= ARGV[1] or tonumber(n) < tonumber(ARGV[2]) then
  if have == '' then return 'nothing' end
  return have
end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[3])
return ''`

// sessionText sets the number of a new session, also where memory is short.
//
// KEYS: the number. ARGV: session.
const sessionText = `redis.call('DEL', KEYS[1])
return redis.call('SET', KEYS[1], ARGV[1] .. ' 0')`

// round is one try to append the lists of some streams: one pipeline with a
// MULTI…EXEC for each stream, whose first command reads the stream's last id.
type round struct {
	stream int
	adds   []*redis.StatusCmd
	exec   *redis.SliceCmd
}

// send appends the lists of the streams and reports those that failed. Lists of
// streams that took theirs are emptied.
func (w *Writer) send(ctx context.Context, b *batch, streams []int) ([]failure, error) {
	total := 0
	for _, s := range streams {
		total += len(w.lists[s])
	}
	w.args.reset(total)
	pipe := w.rdb.Pipeline()
	rounds := make([]round, 0, len(streams))
	for _, s := range streams {
		key := &w.names[s]
		r := round{stream: s, adds: make([]*redis.StatusCmd, 0, len(w.lists[s]))}
		queue(ctx, pipe, redis.NewStatusCmd(ctx, "multi"))
		queue(ctx, pipe, redis.NewStatusCmd(ctx, "eval", tailText, "1", key))
		for _, p := range w.lists[s] {
			add := redis.NewStatusCmd(ctx, w.args.xadd(key, b, p)...)
			r.adds = append(r.adds, add)
			queue(ctx, pipe, add)
		}
		r.exec = redis.NewSliceCmd(ctx, "exec")
		queue(ctx, pipe, r.exec)
		rounds = append(rounds, r)
	}
	w.round++
	number := redis.NewStringCmd(ctx, "eval", roundText, "1", w.log.keys.Appended(), w.session, w.answered.Load(), w.round)
	queue(ctx, pipe, number)
	// The error of a pipeline is that of its first failed command, and each command
	// is looked at below; also when ctx has ended, since a hole must not go unseen.
	if _, err := pipe.Exec(context.WithoutCancel(ctx)); err != nil {
		w.logger.Debug("append not answered in full", "error", err)
	}
	w.stats.batches.Add(1)
	var failed []failure
	for i := range rounds {
		err := w.settle(&rounds[i])
		var rolled *RolledBackError
		var foreign *ForeignWriterError
		var refused *RefusedEntryError
		switch {
		case err == nil:
			w.lists[rounds[i].stream] = w.lists[rounds[i].stream][:0]
		case errors.As(err, &rolled), errors.As(err, &refused):
			return nil, w.log.breakAt(ctx, err)
		case errors.As(err, &foreign):
			return nil, err // such as the last batch of a process before us
		default:
			failed = append(failed, failure{stream: rounds[i].stream, err: err})
		}
	}
	have, err := number.Result()
	switch {
	case err != nil:
		failed = append(failed, failure{stream: noStream, err: fmt.Errorf("number the append: %w", err)})
	case have != "":
		return nil, &SessionLostError{Want: fmt.Sprintf("%s %d", w.session, w.answered.Load()), Have: have}
	default:
		w.answered.Store(w.round)
	}
	return failed, nil
}

// queue puts a command into a pipeline, which only fails on a nil command.
func queue(ctx context.Context, pipe redis.Pipeliner, cmd redis.Cmder) {
	if err := pipe.Process(ctx, cmd); err != nil {
		cmd.SetErr(err)
	}
}

// settle reads the answer to one stream's MULTI…EXEC. An error that is not a
// changed tail means that the whole of it is to be looked up and sent again.
func (w *Writer) settle(r *round) error {
	for _, add := range r.adds {
		if err := add.Err(); err != nil {
			return err // refused when queued, so EXEC applied nothing; or no answer
		}
	}
	answers, err := r.exec.Result()
	if err != nil {
		return fmt.Errorf("append to %v: %w", w.log.streams[r.stream], err)
	}
	if len(answers) != 1+len(r.adds) {
		return fmt.Errorf("append to %v: %w", w.log.streams[r.stream], errNoAnswer)
	}
	tail, err := tailOf(answers[0])
	if err != nil {
		return fmt.Errorf("read tail of %v: %w", w.log.streams[r.stream], err)
	}
	known := w.tails[r.stream]
	if tail.Before(known) {
		return &RolledBackError{Stream: w.log.streams[r.stream], Want: known, Have: tail, Appended: true}
	}
	list := w.lists[r.stream]
	if tail != known {
		// A batch whose answer was lost may be carried out after the tail was read
		// again: the server was stopped with the request in its socket, woke, and
		// read the new connection first. Then the tail is an entry of ours.
		for _, p := range list {
			if p.pos == tail {
				return fmt.Errorf("append to %v: an earlier try was carried out late", w.log.streams[r.stream])
			}
		}
		return &ForeignWriterError{Stream: w.log.streams[r.stream], Want: known, Have: tail}
	}
	for i, a := range answers[1:] {
		if err, ok := a.(error); ok {
			return &RefusedEntryError{Stream: w.log.streams[r.stream], Position: list[i].pos, Err: err}
		}
	}
	w.tails[r.stream] = list[len(list)-1].pos
	w.stats.entries.Add(uint64(len(list)))
	return nil
}

// tailOf reads an answer to tailText, or to XINFO STREAM, where a stream that does
// not exist is an error and has the zero position.
func tailOf(answer any) (cdc.Position, error) {
	switch a := answer.(type) {
	case error:
		if isNoSuchKey(a) {
			return cdc.Position{}, nil
		}
		return cdc.Position{}, a
	case string:
		if a == "" { // what an embedded server says of a stream that is empty
			return cdc.Position{}, nil
		}
		return cdc.ParsePosition(a)
	case []any:
		for i := 0; i+1 < len(a); i += 2 {
			if name, ok := a[i].(string); ok && name == "last-generated-id" {
				id, ok := a[i+1].(string)
				if !ok {
					return cdc.Position{}, fmt.Errorf("last-generated-id is a %T", a[i+1])
				}
				if id == "" { // what an embedded server says of a stream that is empty
					return cdc.Position{}, nil
				}
				return cdc.ParsePosition(id)
			}
		}
	}
	return cdc.Position{}, fmt.Errorf("answer %T has no last-generated-id", answer)
}

func isNoSuchKey(err error) bool {
	var re redis.Error
	return errors.As(err, &re) && re.Error() == "ERR no such key"
}
