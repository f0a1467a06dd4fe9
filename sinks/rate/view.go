package rate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks/queue"
)

// View is what an account allows, for people.
type View struct {
	Account string
	// Rate is how many requests a second go now, Limit the setting; zero for any number.
	Rate, Limit float64
	// Lowered counts how often throttling lowered the rate.
	Lowered int64
	// PausedUntil is the end of the wait that the target asked for; zero if it did not.
	PausedUntil time.Time
	// Budget tells that the requests of a day are known: Daily in all, Kept of them for
	// people, Left of the others.
	Budget            bool
	Daily, Kept, Left int64
	// SpentUntil is until when nothing more is sent for the day, BulkSpentUntil nothing of
	// the bulk lane; zero where something is left.
	SpentUntil, BulkSpentUntil time.Time
}

func (a *account) view(at time.Time, s Settings) View {
	now := at.UnixMicro()
	b := *a // a look changes nothing
	if a.Said != nil {
		f := *a.Said
		b.Said = &f
	}
	b.fill(now, s)
	v := View{Rate: b.Rate, Limit: s.PerSecond, Lowered: b.Generation}
	when := func(t int64) time.Time {
		if t <= now {
			return time.Time{}
		}
		return time.UnixMicro(t)
	}
	v.PausedUntil = when(b.Until)
	left, known := b.left(now, s)
	if !known {
		return v
	}
	v.Budget = true
	v.Daily, v.Kept, _ = b.limits(s)
	v.Left = max(0, left-v.Kept)
	for _, l := range []struct {
		lane  queue.Lane
		until *time.Time
	}{{queue.Urgent, &v.SpentUntil}, {queue.Bulk, &v.BulkSpentUntil}} {
		if n, until := b.room(now, s, l.lane); n <= 0 {
			*l.until = when(until)
		}
	}
	return v
}

// Look reads what an account allows, without being one of its workers.
func Look(ctx context.Context, c redis.UniversalClient, key string, s Settings) (View, error) {
	text, err := c.Get(ctx, key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return View{}, fmt.Errorf("read account: %w", err)
	}
	a, err := parse(text)
	if err != nil {
		return View{}, err
	}
	at, err := c.Time(ctx).Result()
	if err != nil {
		return View{}, fmt.Errorf("read the server's time: %w", err)
	}
	return a.view(at, s), nil
}

// parse reads the state of an account; the empty text is that of a new one.
func parse(text string) (*account, error) {
	a := &account{}
	if text == "" {
		return a, nil
	}
	if err := json.Unmarshal([]byte(text), a); err != nil {
		return nil, fmt.Errorf("read account: %w", err)
	}
	return a, nil
}

func (a *account) String() string {
	b, err := json.Marshal(a)
	if err != nil { // numbers only, and finite
		return ""
	}
	return string(b)
}

// Unused is what an account allows of which nothing was used yet, and the target has said
// nothing.
func Unused(at time.Time, s Settings) View { return (&account{}).view(at, s) }
