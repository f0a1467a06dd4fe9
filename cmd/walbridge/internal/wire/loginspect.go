package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
)

// HeldReport is what is in the log, why, and for how long.
type HeldReport struct {
	Lanes []HeldLane `json:"lanes"`
	// Readers are those that hold the log, with about how many bytes each has unread.
	Readers map[string]int64 `json:"unread_bytes"`
	// Detached are the targets that do not hold it any more.
	Detached map[string]redislog.Detached `json:"detached"`
	// Strangers hold it, and no mapping leads to them.
	Strangers []string        `json:"strangers"`
	Retention RetentionReport `json:"retention"`
	// Memory is that of the Redis server, MaxMemory its limit, 0 without one.
	Memory    int64 `json:"redis_memory_bytes"`
	MaxMemory int64 `json:"redis_max_memory_bytes"`
}

// HeldLane is of a lane.
type HeldLane struct {
	Lane    string    `json:"lane"`
	Entries int64     `json:"entries"`
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest,omitzero"` // when its first entry was committed
}

// RetentionReport is as configured.
type RetentionReport struct {
	Seconds  float64 `json:"age_seconds"`
	Bytes    int64   `json:"bytes"` // 0 without a bound
	HighMark int     `json:"high_mark_percent"`
	OnFull   string  `json:"on_full"`
}

// held looks at what the log holds, and for whom.
func (r *Report) held(ctx context.Context, cfg *config.Config, l *redislog.Log) error {
	s, err := l.Survey(ctx)
	if err != nil {
		return err
	}
	targets, err := mappedNames(cfg)
	if err != nil {
		r.problem(err.Error())
		targets = cfg.TargetNames()
	}
	h := &HeldReport{
		Readers: map[string]int64{}, Detached: s.Detached, Strangers: append([]string{}, s.Strangers(targets)...),
		Retention: RetentionReport{cfg.Redis.Retention.Age.Seconds(), cfg.Redis.Retention.Bytes, cfg.Redis.HighMark, cfg.Redis.OnFull},
		Memory:    s.Memory.Used, MaxMemory: s.Memory.Max,
	}
	for _, lane := range cdc.Lanes() {
		hl := HeldLane{Lane: lane}
		for i := range s.Streams {
			st := &s.Streams[i]
			if st.Stream.Lane != lane {
				continue
			}
			hl.Entries += st.Entries
			hl.Bytes += st.Bytes
			if st.Entries > 0 && (hl.Oldest.IsZero() || st.FirstAt.Before(hl.Oldest)) {
				hl.Oldest = st.FirstAt
			}
		}
		h.Lanes = append(h.Lanes, hl)
	}
	for _, name := range s.Readers(targets) {
		h.Readers[name] = s.Unread(name)
	}
	r.Log.Held = h
	r.heldProblems(h)
	return nil
}

func (r *Report) heldProblems(h *HeldReport) {
	for _, name := range slices.Sorted(maps.Keys(h.Detached)) {
		d := h.Detached[name]
		r.problem(fmt.Sprintf("target %s is detached since %s: %s; it comes back by a backfill of its tables once it can be reached, or walbridge target forget %s if it is gone for good",
			name, d.At.Format(time.RFC3339), d.Reason, name))
	}
	for _, name := range h.Strangers {
		r.problem(fmt.Sprintf("consumer group %s holds the log, %s of it unread, and no mapping leads to it; if the target is gone for good: walbridge target forget %s",
			name, Bytes(h.Readers[name]), name))
	}
	if mark := h.MaxMemory / 100 * int64(h.Retention.HighMark); h.MaxMemory > 0 && h.Memory > mark {
		r.problem(fmt.Sprintf("redis uses %s of its %s of memory, more than redis.high_mark", Bytes(h.Memory), Bytes(h.MaxMemory)))
	}
}

// mappedNames are the configured targets that mapping files lead to, as far as the
// files alone tell.
func mappedNames(cfg *config.Config) ([]string, error) {
	files, err := mapping.LoadGlob(cfg.Mappings, cfg.Dir)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, f := range files {
		names[f.Target] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// At tells what Position a time has in the log.
type At struct {
	At time.Time `json:"at"`
	// Known is false where the log does not reach back to it, or does not know it.
	Known bool `json:"known"`
	// Position is such that everything committed at or after the time lies above it,
	// LSN the same as an LSN of the source.
	Position string `json:"position"`
	LSN      string `json:"lsn"`
}

// PositionAt looks up a time in the log.
func PositionAt(ctx context.Context, cfg *config.Config, logger *slog.Logger, t time.Time) (at At, err error) {
	at.At = t
	err = withLog(ctx, cfg, logger, func(l *redislog.Log) error {
		pos, ok, err := l.PositionAt(ctx, t)
		if err != nil {
			return err
		}
		e, _, err := l.Epoch(ctx)
		if err != nil {
			return err
		}
		at.Known, at.Position, at.LSN = ok, pos.String(), (pos.LSN - min(pos.LSN, e.Base)).String()
		return nil
	})
	return at, err
}

// withLog opens the log of a configuration to look at it.
func withLog(ctx context.Context, cfg *config.Config, logger *slog.Logger, f func(*redislog.Log) error) (err error) {
	b, err := openOrNone(ctx, cfg, logger)
	if err == nil && b == nil {
		return &cdc.SetupError{What: fmt.Sprintf("there is no log of the bridge %s in Redis yet", cfg.Name), Hint: "start walbridge run, or walbridge capture"}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return f(b.log)
}
