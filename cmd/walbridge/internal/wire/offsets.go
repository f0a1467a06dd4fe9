package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/sinks/state"
)

// ReaderOffsets are where a reader of the log is: a target, or a replay.
type ReaderOffsets struct {
	Reader string `json:"reader"`
	// State is one of those of a target, or replay.
	State   string         `json:"state"`
	Owner   string         `json:"owner"` // empty if no process delivers to it
	Streams []StreamOffset `json:"streams"`
}

// ReaderReplay is the state of a reader that is a replay.
const ReaderReplay = "replay"

// StreamOffset is where a reader is in one stream.
type StreamOffset struct {
	Lane      string `json:"lane"`
	Partition int    `json:"partition"`
	// Began is false where the reader has no place of its own: it begins with the first entry.
	Began bool `json:"began"`
	// Position is the last one that it has dealt with, LSN the same of the source, Time when
	// it was committed, zero where its entry is in the log no more.
	Position string    `json:"position"`
	LSN      string    `json:"lsn"`
	Time     time.Time `json:"time,omitzero"`
	// Entries counts what lies above, More tells that there is more than was counted; the
	// first of them was committed at Next, and is Bytes of WAL behind the end of the stream.
	Entries int64     `json:"entries"`
	More    bool      `json:"more"`
	Next    time.Time `json:"next,omitzero"`
	Bytes   int64     `json:"wal_bytes"`
}

// Offsets tells where the readers of the log are: the targets of the configuration and
// whoever else has a place, or one of them.
func Offsets(ctx context.Context, cfg *config.Config, logger *slog.Logger, target string) (out []ReaderOffsets, err error) {
	err = withLog(ctx, cfg, logger, func(l *redislog.Log) error {
		names, states, err := readersOf(ctx, cfg, l)
		if err != nil {
			return err
		}
		if target != "" {
			if !slices.Contains(names, target) {
				return noReader(target, names)
			}
			names = []string{target}
		}
		epoch, _, err := l.Epoch(ctx)
		if err != nil {
			return err
		}
		for _, n := range names {
			r := ReaderOffsets{Reader: n, State: states[n]}
			if r.Owner, err = ownerOf(ctx, l, n); err != nil {
				return err
			}
			list, err := l.Offsets(ctx, n)
			if err != nil {
				return err
			}
			for i := range list {
				r.Streams = append(r.Streams, streamOffset(&list[i], epoch.Base))
			}
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

func noReader(name string, names []string) error {
	return &cdc.SetupError{What: "there is no target " + name, Hint: nearest.Hint(name, names, "there are "+nearest.List(names))}
}

// readersOf are the targets of the configuration, and who else reads the log.
func readersOf(ctx context.Context, cfg *config.Config, l *redislog.Log) (names []string, states map[string]string, err error) {
	mapped, err := mappedNames(cfg)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.Survey(ctx)
	if err != nil {
		return nil, nil, err
	}
	states = map[string]string{}
	for _, n := range s.Readers(nil) {
		states[n] = TargetUnknown
		if strings.HasPrefix(n, redislog.ReplayPrefix) {
			states[n] = ReaderReplay
		}
	}
	for _, n := range cfg.TargetNames() {
		states[n] = TargetUnmapped
	}
	for _, n := range mapped {
		states[n] = TargetAttached
	}
	for n := range s.Detached {
		states[n] = TargetDetached
	}
	return slices.Sorted(maps.Keys(states)), states, nil
}

func ownerOf(ctx context.Context, l *redislog.Log, target string) (owner string, err error) {
	for p := range l.Partitions() {
		one, err := l.Owner(ctx, target, p)
		if err != nil {
			return "", err
		}
		owner = cmp.Or(owner, one)
	}
	return owner, nil
}

func streamOffset(o *redislog.Offset, base cdc.LSN) StreamOffset {
	out := StreamOffset{Lane: o.Stream.Lane, Partition: o.Stream.Partition, Began: o.Began, Position: o.At.String(), LSN: redislog.SourceLSN(o.At, base),
		Time: o.Time, Entries: o.Behind, More: o.More, Next: o.NextTime}
	if o.Behind > 0 {
		out.Bytes = int64(o.Tail.LSN - o.Next.LSN)
	}
	return out
}

// OffsetMove is what setting the offsets of a target means.
type OffsetMove struct {
	Target string `json:"target"`
	// To is the place that was asked for, Position what it is in the log.
	To       string `json:"to"`
	Position string `json:"position"`
	LSN      string `json:"lsn"`
	// Again counts entries that are read again, Skipped those that are not delivered; Mores
	// tell that there are more than were counted.
	Again       int64 `json:"read_again"`
	AgainMore   bool  `json:"read_again_more"`
	Skipped     int64 `json:"skipped"`
	SkippedMore bool  `json:"skipped_more"`
	// Gone tells that the log does not reach back to the place.
	Gone bool `json:"before_the_log"`
	// Done tells that it was carried out.
	Done bool `json:"done"`
}

// OffsetRequest says which target is to go on where.
type OffsetRequest struct {
	Target, To string
	// Force also skips entries.
	Force bool
}

// SetOffsets moves the place of a target in the log. The target must not be delivered to:
// its leases are taken for the moment, so that an owner which only seems to be dead can
// write nothing any more. Without Force nothing is done that skips entries.
func SetOffsets(ctx context.Context, cfg *config.Config, logger *slog.Logger, r OffsetRequest) (m OffsetMove, err error) {
	place, err := redislog.ParsePlace(r.To, time.Now())
	if err != nil {
		return m, err
	}
	m = OffsetMove{Target: r.Target, To: r.To}
	err = withLog(ctx, cfg, logger, func(l *redislog.Log) error {
		names, states, err := readersOf(ctx, cfg, l)
		if err != nil {
			return err
		}
		switch states[r.Target] {
		case "":
			return noReader(r.Target, names)
		case ReaderReplay:
			return &cdc.SetupError{What: r.Target + " is a replay, whose offsets are its progress", Hint: "walbridge replay list shows it"}
		case TargetDetached:
			return &cdc.SetupError{What: fmt.Sprintf("target %s is detached and has no place in the log", r.Target), Hint: "it comes back by a backfill of its tables, once it can be reached and is delivered to"}
		}
		return m.move(ctx, cfg, l, place, r.Force)
	})
	return m, err
}

// move takes the leases and sets the offsets of all partitions.
func (m *OffsetMove) move(ctx context.Context, cfg *config.Config, l *redislog.Log, place redislog.Place, force bool) (err error) {
	store := state.New(state.Options{Client: l.Client(), Keys: l.Keys(), Target: m.Target, Partitions: l.Partitions(), Owner: "walbridge offsets set, " + owner(), TTL: cfg.Delivery.Lease})
	defer func() { err = errors.Join(err, store.Close()) }()
	claim, err := store.Claim(ctx)
	var held *state.HeldError
	if errors.As(err, &held) {
		return &cdc.SetupError{What: fmt.Sprintf("target %s is delivered to by %s", m.Target, held.Owner),
			Hint: fmt.Sprintf("stop all processes that deliver to it first; after one was killed its leases last for %s", cfg.Delivery.Lease)}
	}
	if err != nil {
		return err
	}
	defer func() { // also when the command is interrupted
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		err = errors.Join(err, claim.Release(ctx, false))
	}()
	moves, err := m.weigh(ctx, l, place)
	if err != nil {
		return err
	}
	if m.Skipped > 0 && !force {
		return nil
	}
	for p, to := range moves {
		if err := claim.SetOffsets(ctx, p, to); err != nil {
			return err
		}
	}
	m.Done = true
	return nil
}

// weigh finds out where each stream is to be set, and what that means.
func (m *OffsetMove) weigh(ctx context.Context, l *redislog.Log, place redislog.Place) (map[int]map[string]cdc.Position, error) {
	bound, err := l.From(ctx, place)
	if err != nil {
		return nil, err
	}
	epoch, _, err := l.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	m.Position, m.LSN = bound.Position.String(), redislog.SourceLSN(bound.Position, epoch.Base)
	list, err := l.Offsets(ctx, m.Target)
	if err != nil {
		return nil, err
	}
	moves := map[int]map[string]cdc.Position{}
	for i := range list {
		o := &list[i]
		to := bound.Position
		if o.Tail.Before(to) { // what comes there later lies above
			to = o.Tail
		}
		if o.Began && to == o.At {
			continue
		}
		n, more, gone, err := l.Between(ctx, o.Stream, o.At, to)
		if err != nil {
			return nil, err
		}
		if to.Before(o.At) {
			m.Again, m.AgainMore, m.Gone = m.Again+n, m.AgainMore || more, m.Gone || gone
		} else {
			m.Skipped, m.SkippedMore = m.Skipped+n, m.SkippedMore || more
		}
		if moves[o.Stream.Partition] == nil {
			moves[o.Stream.Partition] = map[string]cdc.Position{}
		}
		moves[o.Stream.Partition][o.Stream.Lane] = to
	}
	return moves, nil
}
