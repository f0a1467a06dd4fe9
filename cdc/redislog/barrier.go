package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cdc"
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
	// barrierFind is how often it is looked again what the servers can do.
	barrierFind = 10 * time.Second
	// barrierWait is how long WAIT and WAITAOF wait: longer than a slow sync, since a
	// further call waits for what was written since.
	barrierWait = 5 * time.Second
)

// Barrier finds out up to which source LSN the log is durable. Appends never
// wait for it; only the confirmation to the source does (I1).
//
// It writes the LSN into a key of its own in each part of the log, after the
// appends it vouches for were answered, on another connection than theirs, and
// asks for replicas and for the disk behind it on the same connection: WAIT on one
// that wrote nothing says yes falsely. The key also tells, after a restart of the
// server, how much of the log must be there.
type Barrier struct {
	log    *Log
	writer *Writer
	// client has one connection to each server. It is closed to end a wait.
	client  redis.UniversalClient
	close   func() error
	mode    Durability
	why     string
	durable atomic.Uint64
	times   *timeIndex

	marks    []string  // of each part, what was written last, or found there
	written  cdc.LSN   // written to all of them, or found there
	next     mark      // that is being written; zero if none
	at       time.Time // when written was
	found    time.Time // when the mode was
	settled  time.Time // the first settled sample since
	progress time.Time // when Durable last moved, or there was nothing to move it
}

// mark is a source LSN up to which the log holds all, and up to when that is.
type mark struct {
	end cdc.LSN
	at  time.Time
}

// NewBarrier looks at what the servers can do.
func (l *Log) NewBarrier(ctx context.Context, w *Writer) (*Barrier, error) {
	mode, why, err := l.FindDurability(ctx)
	if err != nil {
		return nil, err
	}
	marks, err := l.readMarks(ctx)
	if err != nil {
		return nil, err
	}
	written, _, err := l.DurableMark(ctx)
	if err != nil {
		return nil, err
	}
	times, err := l.newTimeIndex(ctx)
	if err != nil {
		return nil, err
	}
	l.durable.Store(mode)
	client := Sibling(l.client, Tuning{Timeout: barrierWait + answerTimeout, alone: true})
	return &Barrier{log: l, writer: w, client: client, close: sync.OnceValue(client.Close), mode: mode, why: why,
		marks: marks, times: times, written: written, found: time.Now(), progress: time.Now()}, nil
}

// Close ends the barrier's connections. Run does it by itself.
func (b *Barrier) Close() error { return b.close() }

// Mode is what the server can do.
func (b *Barrier) Mode() Durability { return b.mode }

// Durable is the source LSN up to which the log is durable.
func (b *Barrier) Durable() cdc.LSN { return cdc.LSN(b.durable.Load()) }

// Run keeps Durable up to date until ctx ends. A server that does not answer
// leaves it where it is; one that lost the mark ends it with a MarkLostError.
func (b *Barrier) Run(ctx context.Context) (err error) {
	// A wait for replicas does not end with its context, but with its connection.
	stop := context.AfterFunc(ctx, func() {
		_ = b.close() // told below
	})
	defer func() {
		stop()
		err = errors.Join(err, b.close())
	}()
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
			if err != nil {
				lookAgain(ctx, b.client)
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
	if time.Since(b.found) > barrierFind {
		if err := b.find(ctx); err != nil {
			return err
		}
	}
	if b.mode == DurableAge && b.written > b.Durable() {
		if settled, err := b.sample(ctx); err != nil || !settled {
			return err
		}
		b.advance(now)
	}
	if b.next.end == 0 {
		b.next.at = b.writer.AppendedAt() // first: it may only be too early for end
		b.next.end = b.writer.Appended()
	}
	// One that was written while the servers did otherwise is written once more.
	again := b.mode != DurableAge && b.written > b.Durable() && !b.at.IsZero()
	if b.next.end <= b.written && !again {
		b.next = mark{}
		if b.mode != DurableAge || b.written <= b.Durable() {
			b.progress = now
		}
		return nil
	}
	if err := b.write(ctx, b.next); err != nil {
		return err // one that was written in part is written again
	}
	end := b.next.end
	b.written, b.at, b.settled, b.next = end, time.Now(), time.Time{}, mark{}
	if b.mode != DurableAge {
		b.advance(now)
	}
	return b.times.note(ctx, b.written, time.UnixMicro(b.writer.latest.Load()))
}

func (b *Barrier) advance(now time.Time) {
	b.durable.Store(uint64(b.written))
	b.progress = now
}

// find looks again what the servers can do: somebody may have changed a setting, or
// another server has taken over.
func (b *Barrier) find(ctx context.Context) error {
	mode, why, err := b.log.FindDurability(ctx)
	if err != nil {
		return err
	}
	b.found = time.Now()
	if mode == b.mode {
		return nil
	}
	b.mode, b.why = mode, why
	b.log.durable.Store(mode)
	b.say()
	return nil
}

// say tells people what the servers can do.
func (b *Barrier) say() {
	if b.mode == DurableNone {
		b.log.logger.Warn("redis keeps nothing over a restart: changes are confirmed to postgres when they are appended", "hint", b.why)
		return
	}
	b.log.logger.Info("durability of the log", "mode", string(b.mode))
}

// sample tells whether the mark, and so all before it, is on the disk.
func (b *Barrier) sample(ctx context.Context) (bool, error) {
	asked := time.Now()
	if asked.Sub(b.at) < barrierAge {
		return false, nil
	}
	places, err := b.log.places(ctx, b.client)
	if err != nil {
		return false, err
	}
	for _, p := range places {
		info, err := infoOf(ctx, p.client, "persistence")
		if err != nil || !aofSettled(info) {
			return false, err
		}
	}
	if b.settled.IsZero() {
		b.settled = time.Now() // from the answer on: it may have taken long
	}
	if asked.Sub(b.settled) < barrierAgain {
		return false, nil
	}
	// Somebody may have set the server to sync less since.
	was := b.mode
	if err := b.find(ctx); err != nil || b.mode != was {
		return false, err
	}
	// A server that was killed and came back without the mark looks settled too.
	marks, err := b.log.readMarks(ctx)
	if err != nil {
		return false, err
	}
	for i, have := range marks {
		if have != b.marks[i] {
			return false, &MarkLostError{Want: b.marks[i], Have: have}
		}
	}
	return true, nil
}

// write moves the marks on, and waits for disk and replicas where that is what makes
// them durable. It does not repeat a command by itself: a late copy must not set a
// mark back.
func (b *Barrier) write(ctx context.Context, m mark) error {
	places, err := b.log.places(ctx, b.client)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := range places {
		g.Go(func() error { return b.writeTo(ctx, &places[i], m) })
	}
	return g.Wait()
}

// writeTo is write for one server.
func (b *Barrier) writeTo(ctx context.Context, at *place, m mark) error {
	pipe := at.client.Pipeline()
	answers := make([]*redis.Cmd, len(at.parts))
	numbers := make([]uint64, len(at.parts))
	for i, p := range at.parts {
		part := &b.log.parts[p]
		keys := []string{part.mark, part.number}
		if part.meta {
			keys = append(keys, b.log.keys.Meta())
		}
		numbers[i] = b.writer.answered[p].Load() // of the mark's end, or later
		answers[i] = pipe.Eval(ctx, markText, keys, b.marks[p], m.end.String(), m.at.UnixMicro(), b.writer.session, numbers[i])
	}
	var synced *redis.Cmd
	var replicas *redis.Cmd
	if b.mode.synced() {
		synced = pipe.Do(ctx, "waitaof", 1, 0, barrierWait.Milliseconds())
	}
	if b.mode.replicated() {
		replicas = pipe.Do(ctx, "wait", b.log.replicas, barrierWait.Milliseconds())
	}
	// Each answer is looked at below.
	_, _ = pipe.Exec(ctx)
	for i, p := range at.parts {
		have, err := answers[i].Text()
		if err != nil {
			return fmt.Errorf("write durable mark of the log: %w", err)
		}
		if last, ok := strings.CutPrefix(have, "append "); ok {
			return &SessionLostError{Want: fmt.Sprintf("%s %d", b.writer.session, numbers[i]), Have: last}
		}
		if have != "" {
			return &MarkLostError{Want: b.marks[p], Have: have}
		}
		b.marks[p] = m.end.String()
	}
	if synced != nil {
		if n, err := synced.Int64Slice(); err != nil || len(n) != 2 {
			return errors.Join(fmt.Errorf("wait for the disk of redis: answer %v", n), err)
		} else if n[0] < 1 {
			return errors.New("redis has not synced its append-only file yet")
		}
	}
	if replicas != nil {
		if n, err := replicas.Int64(); err != nil {
			return fmt.Errorf("wait for the replicas of redis: %w", err)
		} else if n < int64(b.log.replicas) {
			return fmt.Errorf("%d of the %d replicas that redis.replicas asks for have the newest entries", n, b.log.replicas)
		}
	}
	return nil
}
