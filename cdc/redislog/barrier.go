package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Durability is what the server does to keep what it was told.
type Durability string

// What a server can do, found when the barrier starts.
const (
	// DurableNone: nothing is kept over a restart. An entry counts as durable
	// when it was appended.
	DurableNone Durability = "none"
	// DurableAge: appendonly with appendfsync everysec. An entry counts as
	// durable once a sample at least two seconds later shows nothing unwritten.
	DurableAge Durability = "aof-everysec"
	// DurableAlways: appendonly with appendfsync always. An answer means that
	// the entry is on the disk.
	DurableAlways Durability = "aof-always"
)

const (
	barrierEvery = 200 * time.Millisecond
	// barrierAge is how old an append is at the least when a sample counts.
	barrierAge = 2 * time.Second
	// barrierAgain is how long after a settled sample another must show the same.
	// One alone may be taken between a write that Redis postponed because a sync
	// was running, and the sync of that write, which begins within a second
	// (tried with a slow disk: one sample was wrong 9 times of 9).
	barrierAgain = 1500 * time.Millisecond
	// barrierStall is after how long without progress it is said so.
	barrierStall = time.Minute
)

// Barrier finds out up to which source LSN the log is durable. Appends never
// wait for it; only the confirmation to the source does (I1).
//
// It writes the LSN into a key of its own, after the appends it vouches for
// were answered, on another connection than theirs. So the key tells, after a
// restart of the server, how much of the log must be there.
type Barrier struct {
	log     *Log
	writer  *Writer
	mode    Durability
	durable atomic.Uint64
	times   *timeIndex

	written  cdc.LSN   // last written to the key, or found there
	at       time.Time // when it was
	settled  time.Time // the first settled sample since
	progress time.Time // when Durable last moved, or there was nothing to move it
}

// MarkLostError says that the barrier's key does not hold what was written last:
// the server lost its newest writes, and so perhaps entries of the log.
type MarkLostError struct{ Want, Have string }

func (e *MarkLostError) Error() string {
	have := e.Have
	if have == "" {
		have = "nothing"
	}
	return fmt.Sprintf("the log's durable mark is %s, but %s was written: the Redis server has lost part of the log", have, e.Want)
}

// NewBarrier looks at what the server can do.
func (l *Log) NewBarrier(ctx context.Context, w *Writer) (*Barrier, error) {
	mode, err := l.durability(ctx)
	if err != nil {
		return nil, err
	}
	mark, _, err := l.DurableMark(ctx)
	if err != nil {
		return nil, err
	}
	times, err := l.newTimeIndex(ctx)
	if err != nil {
		return nil, err
	}
	l.durable.Store(mode)
	return &Barrier{log: l, writer: w, mode: mode, times: times, written: mark, progress: time.Now()}, nil
}

// Mode is what the server can do.
func (b *Barrier) Mode() Durability { return b.mode }

// Durable is the source LSN up to which the log is durable.
func (b *Barrier) Durable() cdc.LSN { return cdc.LSN(b.durable.Load()) }

func (l *Log) durability(ctx context.Context) (Durability, error) {
	p, err := l.infoSection(ctx, "persistence")
	if err != nil {
		return "", err
	}
	if p["aof_enabled"] != "1" {
		return DurableNone, nil
	}
	config := func(name string) (string, error) {
		m, err := l.client.ConfigGet(ctx, name).Result()
		var re redis.Error
		if errors.As(err, &re) {
			return "unknown", nil // the command may be forbidden or renamed
		}
		if err != nil {
			return "", fmt.Errorf("read setting %s of redis: %w", name, err)
		}
		return m[name], nil
	}
	lazy, err := config("no-appendfsync-on-rewrite")
	if err != nil {
		return "", err
	}
	if lazy != "no" {
		return DurableNone, nil
	}
	fsync, err := config("appendfsync")
	if err != nil {
		return "", err
	}
	switch fsync {
	case "always":
		return DurableAlways, nil
	case "everysec":
		return DurableAge, nil
	}
	return DurableNone, nil // "no", or what cannot be read is not promised
}

// DurableMark reads what the barrier wrote last; ok is false if it never did,
// or if the server lost it.
func (l *Log) DurableMark(ctx context.Context) (lsn cdc.LSN, ok bool, err error) {
	s, err := l.client.Get(ctx, l.keys.Durable()).Result()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read durable mark of the log: %w", err)
	}
	lsn, err = cdc.ParseLSN(s)
	return lsn, err == nil, err
}

// SetDurableMark writes the mark of a log that holds everything up to lsn.
func (l *Log) SetDurableMark(ctx context.Context, lsn cdc.LSN) error {
	if err := l.client.Set(ctx, l.keys.Durable(), lsn.String(), 0).Err(); err != nil {
		return fmt.Errorf("write durable mark of the log: %w", err)
	}
	return nil
}

// Run keeps Durable up to date until ctx ends. A server that does not answer
// leaves it where it is; one that lost the mark ends it with a MarkLostError.
func (b *Barrier) Run(ctx context.Context) error {
	tick := time.NewTicker(barrierEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			err := b.step(ctx, now)
			var lost *MarkLostError
			var session *SessionLostError
			if errors.As(err, &lost) || errors.As(err, &session) {
				return err
			}
			b.watch(now, err)
		}
	}
}

// watch says once a minute that nothing becomes durable: WAL piles up meanwhile.
func (b *Barrier) watch(now time.Time, err error) {
	if now.Sub(b.progress) > barrierStall {
		b.progress = now
		b.log.logger.Warn("the log's entries do not become durable, so the slot is not confirmed", "mode", string(b.mode), "error", err)
	}
}

func (b *Barrier) step(ctx context.Context, now time.Time) error {
	if b.mode == DurableAge && b.written > b.Durable() {
		if settled, err := b.sample(ctx); err != nil || !settled {
			return err
		}
		b.advance(now)
	}
	at := b.writer.AppendedAt() // first: it may only be too early for end
	end := b.writer.Appended()
	round := b.writer.answered.Load() // last: of end, or later
	if end <= b.written {
		if b.written <= b.Durable() {
			b.progress = now
		}
		return nil
	}
	if err := b.write(ctx, end, at, round); err != nil {
		return err
	}
	b.written, b.at, b.settled = end, time.Now(), time.Time{}
	if b.mode != DurableAge {
		b.advance(now)
	}
	return b.times.note(ctx, end, time.UnixMicro(b.writer.latest.Load()))
}

func (b *Barrier) advance(now time.Time) {
	b.durable.Store(uint64(b.written))
	b.progress = now
}

// sample tells whether the mark, and so all before it, is on the disk.
func (b *Barrier) sample(ctx context.Context) (bool, error) {
	asked := time.Now()
	if asked.Sub(b.at) < barrierAge {
		return false, nil
	}
	p, err := b.log.infoSection(ctx, "persistence")
	if err != nil || !aofSettled(p) {
		return false, err
	}
	if b.settled.IsZero() {
		b.settled = time.Now() // from the answer on: it may have taken long
	}
	if asked.Sub(b.settled) < barrierAgain {
		return false, nil
	}
	// Somebody may have set the server to sync less since.
	mode, err := b.log.durability(ctx)
	if err != nil || mode != b.mode {
		b.mode = mode
		b.log.durable.Store(mode)
		return false, err
	}
	// A server that was killed and came back without the mark looks settled too.
	mark, ok, err := b.log.DurableMark(ctx)
	if err != nil {
		return false, err
	}
	if !ok || mark != b.written {
		return false, &MarkLostError{Want: b.written.String(), Have: mark.String()}
	}
	return true, nil
}

// markScript moves the mark on, unless it is not where it was left, or the server
// does not have the last append that it vouches for: the two are the proof that the
// server lost something, and are not overwritten.
//
// KEYS: the mark, the description of the log, the number of the last append. ARGV:
// what was written last, what to write now, up to when the log is complete then;
// the session of the appends and the number of the last.
// Output: an empty text, or what the mark is instead.
var markScript = redis.NewScript(`
local have = redis.call('GET', KEYS[3]) or ''
local s, n = string.match(have, '^(%S+) (%d+)$')
if s ~= ARGV[4] or tonumber(n) < tonumber(ARGV[5]) then return 'append ' .. have end
local old = redis.call('GET', KEYS[1])
if old == ARGV[1] or old == ARGV[2] then
  redis.call('HDEL', KEYS[2], '\0none') -- never refused, and so nothing after it
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('HSET', KEYS[2], 'complete_until', ARGV[3])
  return ''
end
return old or 'nothing'`)

// write moves the mark on. Its connection is one that never repeats a command by
// itself: a late copy must not set the mark back.
func (b *Barrier) write(ctx context.Context, end cdc.LSN, at time.Time, round uint64) error {
	was := b.written.String()
	have, err := markScript.Run(ctx, b.log.appendClient, []string{b.log.keys.Durable(), b.log.keys.Meta(), b.log.keys.Appended()},
		was, end.String(), at.UnixMicro(), b.writer.session, round).Text()
	if err != nil {
		return fmt.Errorf("write durable mark of the log: %w", err)
	}
	if last, ok := strings.CutPrefix(have, "append "); ok {
		return &SessionLostError{Want: fmt.Sprintf("%s %d", b.writer.session, round), Have: last}
	}
	if have != "" {
		return &MarkLostError{Want: was, Have: have}
	}
	return nil
}

// aofSettled tells from INFO persistence that nothing waits to be written or
// synced. Redis syncs in the background each second, and says in these fields
// when a sync is late.
func aofSettled(p map[string]string) bool {
	return p["aof_pending_bio_fsync"] == "0" && p["aof_buffer_length"] == "0" &&
		strings.EqualFold(p["aof_last_write_status"], "ok") && p["aof_enabled"] == "1"
}
