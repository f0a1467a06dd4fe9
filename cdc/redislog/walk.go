package redislog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Span is a part of the log that is walked through.
type Span struct {
	From, To Bound
	// Follow goes on at the end of the log, until To is reached or, where To is open, all
	// that was committed by its time has come; without To for ever.
	Follow bool
	// Streams are those to look at; all if empty.
	Streams []cdc.Stream
}

const (
	// walkPage is how many entries of a stream are read at once.
	walkPage = 200
	// walkEvery is how often it is looked for new entries at the end of the log.
	walkEvery = 200 * time.Millisecond
)

// cursor is a walk's place in a stream.
type cursor struct {
	stream cdc.Stream
	at     cdc.Position
	ahead  []cdc.Message // read, and not given
	full   bool          // the last read gave as many as were asked for
	over   bool          // the end was seen
}

// Walk calls f for the entries of a part of the log in the order of their Positions, over
// all its streams. At the end of a log that is being written, where each stream is appended
// to on its own, an entry may come a little after one above it. It belongs to no consumer
// group and holds nothing. Its memory is a page of each stream.
func (l *Log) Walk(ctx context.Context, s Span, f func(*cdc.Message) error) error {
	streams := s.Streams
	if len(streams) == 0 {
		streams = l.streams
	}
	cursors := make([]*cursor, len(streams))
	for i, st := range streams {
		cursors[i] = &cursor{stream: st, at: s.From.Position}
	}
	if !s.Follow {
		s.To.Open = false
	}
	for {
		// Before the streams are read: what it says of is in them then.
		ended, err := l.walkEnds(ctx, &s)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(cursors, func(c *cursor) bool { return !c.over }) {
			return nil
		}
		more, err := l.refill(ctx, cursors, &s)
		if err != nil {
			return err
		}
		if err := give(cursors, &s, f); err != nil {
			return err
		}
		switch {
		case more:
		case ended:
			return nil
		default:
			if err := cdc.Sleep(ctx, walkEvery); err != nil {
				return err
			}
		}
	}
}

// walkEnds tells whether a walk is over once it finds nothing more.
func (l *Log) walkEnds(ctx context.Context, s *Span) (bool, error) {
	to := s.To.Position
	switch {
	case !s.Follow:
		return true, nil
	case s.To.Open:
		until, err := l.CompleteUntil(ctx)
		if err != nil || !until.After(s.To.Time) {
			return false, err
		}
		s.To.Position, err = l.Tail(ctx)
		s.To.Open = err != nil
		return true, err
	case to.IsZero():
		return false, nil
	}
	e, _, err := l.Epoch(ctx)
	if err != nil {
		return false, err
	}
	mark, _, err := l.DurableMark(ctx)
	if err != nil {
		return false, err
	}
	if to.Before(cdc.Position{LSN: e.Base + mark}) {
		return true, nil
	}
	tail, err := l.Tail(ctx)
	return !tail.Before(to), err
}

// past tells whether an entry lies behind the end of a span.
func (s *Span) past(m *cdc.Message) bool {
	return !s.To.Open && !s.To.Position.IsZero() && s.To.Position.Before(m.Change.Position)
}

// means tells whether an entry was committed within the times of a span.
func (s *Span) means(m *cdc.Message) bool {
	t := m.Change.Time
	return !(!s.From.Time.IsZero() && t.Before(s.From.Time)) && !(!s.To.Time.IsZero() && t.After(s.To.Time))
}

// refill reads the next page of each stream of which nothing is ahead. more tells that
// there was something.
func (l *Log) refill(ctx context.Context, cursors []*cursor, s *Span) (more bool, err error) {
	pipe := l.client.Pipeline()
	answers := map[*cursor]*redis.Cmd{}
	for _, c := range cursors {
		if len(c.ahead) == 0 && !c.over {
			answers[c] = pipe.Do(ctx, "xrange", l.keys.Stream(c.stream), c.at.Next().String(), "+", "count", walkPage)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return false, fmt.Errorf("read the log: %w", err)
	}
	for c, a := range answers {
		entries, err := a.Slice()
		if err != nil {
			return false, fmt.Errorf("read stream %v: %w", c.stream, err)
		}
		c.full = len(entries) == walkPage
		for _, e := range entries {
			m, err := parseEntry(c.stream, e)
			if err != nil {
				return false, err
			}
			if s.past(&m) {
				c.over = true
				break
			}
			c.at = m.Change.Position
			c.ahead = append(c.ahead, m)
			more = true
		}
	}
	return more, nil
}

// give calls f in order, as far as it is known what comes next.
func give(cursors []*cursor, s *Span, f func(*cdc.Message) error) error {
	for {
		var next *cursor
		for _, c := range cursors {
			if len(c.ahead) > 0 && (next == nil || c.ahead[0].Change.Position.Before(next.ahead[0].Change.Position)) {
				next = c
			}
		}
		if next == nil {
			return nil
		}
		m := next.ahead[0]
		next.ahead[0] = cdc.Message{}
		next.ahead = next.ahead[1:]
		if s.means(&m) {
			if err := f(&m); err != nil {
				return err
			}
		}
		if len(next.ahead) == 0 && next.full && !next.over {
			return nil
		}
	}
}
