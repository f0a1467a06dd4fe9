package redislog

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
// entries. A late copy of an earlier round does not set it back.
const roundText = `local have = redis.call('GET', KEYS[1]) or ''
local s, n = string.match(have, '^(%S+) (%d+)$')
if s ~= ARGV[1] or tonumber(n) < tonumber(ARGV[2]) then
  if have == '' then return 'nothing' end
  return have
end
if tonumber(n) < tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[3])
end
return ''`

// sessionText sets the number of a new session, also where memory is short.
//
// KEYS: the number. ARGV: session.
const sessionText = `redis.call('DEL', KEYS[1])
return redis.call('SET', KEYS[1], ARGV[1] .. ' 0')`

// round is one try to append the list of a stream: a MULTI…EXEC whose first command
// reads the stream's last id.
type round struct {
	stream int
	adds   []*redis.StatusCmd
	exec   *redis.SliceCmd
}

// number is the count of a round in a part of the log, in the pipeline of its lists.
type number struct {
	part   int
	answer *redis.StringCmd
}

// pack is what goes to one server in one pipeline.
type pack struct {
	pipe    redis.Pipeliner
	rounds  []round
	numbers []number
}

// send appends the lists of the streams and reports those that failed. Lists of
// streams that took theirs are emptied.
func (w *Writer) send(ctx context.Context, b *batch, streams []int) ([]failure, error) {
	total := 0
	for part := range w.left {
		w.left[part] = w.left[part][:0]
	}
	for _, s := range streams {
		total += len(w.lists[s])
		part := w.log.partOf[s]
		w.left[part] = append(w.left[part], s)
	}
	w.args.reset(total)
	// Also when ctx has ended, since a hole must not go unseen.
	ctx = guarded(context.WithoutCancel(ctx))
	places, err := w.log.places(ctx, w.rdb)
	if err != nil {
		return w.unsent(streams, err), nil
	}
	packs := make([]pack, 0, len(places))
	for i := range places {
		if p, some := w.pack(ctx, b, &places[i]); some {
			packs = append(packs, p)
		}
	}
	w.exec(ctx, packs)
	w.stats.batches.Add(uint64(len(packs)))
	var failed []failure
	var lost []error // one alone may be the smaller harm
	for i := range packs {
		f, err := w.outcome(ctx, &packs[i])
		failed = append(failed, f...)
		if err != nil {
			lost = append(lost, err)
		}
	}
	return failed, errors.Join(lost...)
}

// unsent is the failure of streams to which nothing was sent.
func (w *Writer) unsent(streams []int, err error) []failure {
	failed := []failure{{stream: noStream, err: err}}
	for _, s := range streams {
		failed = append(failed, failure{stream: s, err: err})
	}
	return failed
}

// pack puts together what goes to a server: the lists of its streams, and behind
// them the numbers of the parts that they belong to.
func (w *Writer) pack(ctx context.Context, b *batch, at *place) (p pack, some bool) {
	p.pipe = at.client.Pipeline()
	for _, part := range at.parts {
		if len(w.left[part]) == 0 && w.answered[part].Load() == w.rounds[part] {
			continue
		}
		some = true
		for _, s := range w.left[part] {
			key := &w.names[s]
			r := round{stream: s, adds: make([]*redis.StatusCmd, 0, len(w.lists[s]))}
			queue(ctx, p.pipe, redis.NewStatusCmd(ctx, "multi"))
			queue(ctx, p.pipe, redis.NewStatusCmd(ctx, "eval", tailText, "1", key))
			for _, entry := range w.lists[s] {
				add := redis.NewStatusCmd(ctx, w.args.xadd(key, b, entry)...)
				r.adds = append(r.adds, add)
				queue(ctx, p.pipe, add)
			}
			r.exec = redis.NewSliceCmd(ctx, "exec")
			queue(ctx, p.pipe, r.exec)
			p.rounds = append(p.rounds, r)
		}
		w.rounds[part]++
		n := redis.NewStringCmd(ctx, "eval", roundText, "1", w.log.parts[part].number, w.session, w.answered[part].Load(), w.rounds[part])
		queue(ctx, p.pipe, n)
		p.numbers = append(p.numbers, number{part: part, answer: n})
	}
	return p, some
}

// exec sends the pipelines, to several servers at once. The error of one is that of
// its first failed command, and each command is looked at by outcome.
func (w *Writer) exec(ctx context.Context, packs []pack) {
	var others sync.WaitGroup
	do := func(p *pack) {
		if _, err := p.pipe.Exec(ctx); err != nil {
			w.logger.Debug("append not answered in full", "error", err)
		}
	}
	for i := 1; i < len(packs); i++ {
		others.Go(func() { do(&packs[i]) })
	}
	if len(packs) > 0 {
		do(&packs[0])
	}
	others.Wait()
}

// outcome reads the answers to a pipeline. All of them, also where the log is found
// to have a hole: the next session would not see another one.
func (w *Writer) outcome(ctx context.Context, p *pack) (failed []failure, err error) {
	var lost []error
	for i := range p.rounds {
		err := w.settle(&p.rounds[i])
		var rolled *RolledBackError
		var foreign *ForeignWriterError
		var refused *RefusedEntryError
		switch {
		case err == nil:
			w.lists[p.rounds[i].stream] = w.lists[p.rounds[i].stream][:0]
		case errors.As(err, &rolled), errors.As(err, &refused):
			lost = append(lost, w.log.breakAt(ctx, err))
		case errors.As(err, &foreign):
			lost = append(lost, err) // such as the last batch of a process before us
		default:
			failed = append(failed, failure{stream: p.rounds[i].stream, err: err})
		}
	}
	for _, n := range p.numbers {
		have, err := n.answer.Result()
		switch {
		case err != nil:
			failed = append(failed, failure{stream: noStream, err: fmt.Errorf("number the append: %w", err)})
		case have != "":
			lost = append(lost, &SessionLostError{Want: fmt.Sprintf("%s %d", w.session, w.answered[n.part].Load()), Have: have})
		default:
			w.answered[n.part].Store(w.rounds[n.part])
		}
	}
	return failed, errors.Join(lost...)
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

// tailOf reads an answer to tailText.
func tailOf(answer any) (cdc.Position, error) {
	switch a := answer.(type) {
	case error: // within what EXEC answers
		return cdc.Position{}, a
	case string:
		if a == "" { // what an embedded server says of a stream that is empty
			return cdc.Position{}, nil
		}
		return cdc.ParsePosition(a)
	}
	return cdc.Position{}, fmt.Errorf("answer %T is no last-generated-id", answer)
}

func isNoSuchKey(err error) bool {
	var re redis.Error
	return errors.As(err, &re) && re.Error() == "ERR no such key"
}
