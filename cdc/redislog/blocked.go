package redislog

import (
	"log/slog"
	"sync"
	"time"
)

// blocked tells since when the log takes nothing.
type blocked struct {
	mu    sync.Mutex // covers all below
	since time.Time  // zero while it takes what it is given
	total time.Duration
	said  bool
	why   string
}

// blockedSay is after how long without a success it is said that the log takes
// nothing. A lost connection that is made again at once is not worth a line.
const blockedSay = time.Second

// refused notes that an append was refused, or had no answer. It gives the level at
// which that is worth a line of its own: the first time of many.
func (l *Log) refused(why error) slog.Level {
	b := &l.blocked
	b.mu.Lock()
	defer b.mu.Unlock()
	level := slog.LevelDebug
	if b.since.IsZero() {
		b.since = time.Now()
		level = slog.LevelWarn
	}
	b.why = why.Error()
	if b.said || time.Since(b.since) < blockedSay {
		return level
	}
	b.said = true
	hint := "see that Redis runs and takes writes"
	if isFull(why) {
		hint = "give Redis more memory (maxmemory), or free some: walbridge status says who has not read what"
	}
	l.logger.Warn("the log takes nothing: the capture waits, and the server keeps its WAL", "error", why, "hint", hint)
	return level
}

// took notes that an append went through.
func (l *Log) took() {
	b := &l.blocked
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		return
	}
	d := time.Since(b.since)
	if b.said {
		l.logger.Info("the log takes changes again", "after", d.Round(time.Millisecond))
	}
	b.total += d
	b.since, b.said, b.why = time.Time{}, false, ""
}

// Blocked tells for how long the log has taken nothing by now, zero while it takes
// what it is given, and why; and for how long it did so in all.
func (l *Log) Blocked() (now time.Duration, why string, total time.Duration) {
	b := &l.blocked
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.since.IsZero() {
		now = time.Since(b.since)
	}
	return now, b.why, b.total + now
}
