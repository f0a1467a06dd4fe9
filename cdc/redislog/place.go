package redislog

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Place is where in the log somebody means, as people write it: "beginning", "now", an
// LSN of the source (16/B374D848), the id of an entry (26843545-4), a time of RFC 3339, or a
// duration (5m), which is that long ago.
type Place struct {
	text string
	kind placeKind
	lsn  cdc.LSN
	at   cdc.Position
	time time.Time
}

type placeKind uint8

const (
	placeBeginning placeKind = iota
	placeNow
	placeLSN
	placeEntry
	placeTime
)

// ParsePlace reads a place; a duration counts from now. Its errors say what may stand there.
func ParsePlace(text string, now time.Time) (p Place, err error) {
	p.text = text
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		p.kind, p.time = placeTime, now.Add(-ago)
		return p, nil
	}
	switch {
	case text == "beginning":
		p.kind = placeBeginning
	case text == "now":
		p.kind = placeNow
	case strings.Contains(text, "/"):
		p.kind = placeLSN
		p.lsn, err = cdc.ParseLSN(text)
	case strings.Contains(text, ":"):
		p.kind = placeTime
		p.time, err = time.Parse(time.RFC3339Nano, text)
	default:
		p.kind = placeEntry
		p.at, err = cdc.ParsePosition(text)
	}
	if err != nil {
		return p, fmt.Errorf("%s: no place in the log; write an LSN such as 16/B374D848, a time such as 2026-11-25T09:30:00Z, how long ago such as 5m, the id of an entry such as 26843545-4, beginning, or now", text)
	}
	return p, nil
}

// String gives the place as it was written.
func (p Place) String() string { return p.text }

// Bound is one end of a part of the log. By a time it is wider than what was meant, since
// the index of times is sparse: Time then tells where it really ends.
type Bound struct {
	// Position is, of a beginning, the one after which to read, and of an end the last one
	// that belongs to it.
	Position cdc.Position
	// Open tells that the log does not reach as far yet, so that Position is not known.
	Open bool
	// Time is the time that was written; zero for another kind of place.
	Time time.Time
}

// From gives the place as a beginning: all that is meant lies above its Position.
func (l *Log) From(ctx context.Context, p Place) (b Bound, err error) {
	switch p.kind {
	case placeNow:
		b.Position, err = l.Tail(ctx)
	case placeLSN:
		var e cdc.Epoch
		e, _, err = l.Epoch(ctx)
		b.Position = cdc.Position{LSN: e.Base + p.lsn}.Prev()
	case placeEntry:
		b.Position = p.at.Prev()
	case placeTime:
		b.Time = p.time
		if p.time.After(time.Now().Add(endSlack)) { // nothing was committed from then on
			b.Position, err = l.Tail(ctx)
			break
		}
		b.Position, _, err = l.PositionAt(ctx, p.time) // zero where it is not known
	}
	return b, err
}

// UpTo gives the place as an end, which belongs to what is meant.
func (l *Log) UpTo(ctx context.Context, p Place) (b Bound, err error) {
	switch p.kind {
	case placeBeginning:
		return b, fmt.Errorf("%s: nothing ends there", p)
	case placeNow:
		b.Position, err = l.Tail(ctx)
	case placeLSN:
		var e cdc.Epoch
		e, _, err = l.Epoch(ctx)
		b.Position = cdc.Position{LSN: e.Base + p.lsn, Ordinal: math.MaxUint64}
	case placeEntry:
		b.Position = p.at
	case placeTime:
		b.Time = p.time
		b.Position, b.Open, err = l.endOf(ctx, p.time)
	}
	return b, err
}

// endSlack is how far the commit times of transactions may be from the order of their
// commits: the clocks of backends are one, and read just before the commit is written.
const endSlack = time.Minute

// endOf gives a Position above which nothing was committed by a time, but for what a clock
// that was set back says. Where the index has no point behind the time that is the end of
// the log; open tells that what comes may have been committed by then.
func (l *Log) endOf(ctx context.Context, t time.Time) (at cdc.Position, open bool, err error) {
	complete, err := l.CompleteUntil(ctx)
	if err != nil {
		return at, false, err
	}
	points, err := l.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: l.keys.Times(), ByScore: true,
		Start: fmt.Sprint(t.Add(endSlack).UnixMicro()), Stop: "+inf", Count: 1}).Result()
	if err != nil {
		return at, false, fmt.Errorf("read time index of the log: %w", err)
	}
	if len(points) > 0 {
		at, err = cdc.ParsePosition(points[0])
		return at, false, err
	}
	at, err = l.Tail(ctx)
	return at, !complete.After(t), err
}

// SourceLSN gives the LSN of the source for people, of a Position; empty for one of a
// former epoch, which counted another server.
func SourceLSN(p cdc.Position, base cdc.LSN) string {
	if p.LSN < base {
		return ""
	}
	return (p.LSN - base).String()
}
