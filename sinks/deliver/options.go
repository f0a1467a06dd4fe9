package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
)

// Mapper makes records of the rows of a table. It is safe for concurrent use.
type Mapper interface {
	Name() string
	Table() cdc.Table
	Object() string
	// Selective tells that some fields are not written always, but when they change or
	// when a record comes into being.
	Selective() bool
	// KeyIsSource tells that a row's target key is its own key, so that no two rows make the
	// same and none changes.
	KeyIsSource() bool
	// Lane is how urgent the mapping's changes are; empty takes the lane of the
	// stream. What comes in the bulk lane is bulk for every mapping.
	Lane() string
	Coalesce() sinks.Coalesce
	// SLO is how soon after its commit a change is to be accepted by the target; zero
	// if nobody said.
	SLO() time.Duration
	// Map makes the record of a merged row. send is false where the target need
	// not hear of it: with an upsert, because the target holds all of it; otherwise
	// because the row is not meant. *sinks.Unresolved names columns that must be read from the
	// source first; any other error parks the row.
	Map(ch *cdc.Change, prior sinks.Prior) (rec sinks.Record, send bool, err error)
}

// Reader reads the log. It may be called for several partitions at once.
type Reader interface {
	// Read gives the entries of a partition after the given positions by lane, at
	// most max of each, in order within a lane. Lanes not in from are left out. It
	// waits a short time for an entry, and then gives none.
	Read(ctx context.Context, partition int, from map[string]cdc.Position, max int) ([]cdc.Message, error)
}

// Completer reads rows as they are at the source.
type Completer interface {
	// Complete gives the row as a JSON object for each of the keys that exists. It
	// answers only from a snapshot in which the transactions xids are visible
	// (I16).
	Complete(ctx context.Context, table cdc.Table, keys []string, xids []uint64) (map[string]string, error)
}

// Options say what is delivered where.
type Options struct {
	// Name is the target's name: its consumer group, and its label in metrics.
	Name   string
	Target sinks.Target
	// Mappers are those of the target; their names are unique.
	Mappers    []Mapper
	Reader     Reader
	State      *state.Store
	Partitions int
	// Renamed gives the tables that the log knows by another name than the mappings.
	Renamed map[cdc.Table]cdc.Table
	// Oldest gives a Position below which no entry of a partition can be read any more, by
	// delivery or by a replay. Without it, states of rows that are gone are kept for ever.
	Oldest func(ctx context.Context, partition int) (cdc.Position, error)
	// Begin is called whenever partitions of the target were taken, before anything of them is
	// read, and when the workers agree on other mappings; nil for nothing to do. It may take
	// its time, and ends with its context. A session whose Begin fails starts over.
	Begin func(ctx context.Context, b Beginning) error
	// Address gives where the console of this process listens, for people who look for it; it
	// may be nil.
	Address func() string
	// Replays may be nil: then there are none.
	Replays Replays
	// Completer may be nil: rows that need it are then parked as unresolved.
	Completer Completer
	Logger    *slog.Logger
	// Registerer gets the metrics; it may be nil.
	Registerer prometheus.Registerer

	// Limits bound each lane of the queue; 20,000 entries, 32 MiB and a floor of one
	// batch in ten if zero. No floor is below zero.
	Limits queue.Limits
	// MaxAttempts is how often a record is tried before it is parked; 20 if zero.
	MaxAttempts int
	// Retry bounds the waits between the tries of a record; 500 ms and 1 min if zero.
	Retry Waits
	// Rate keeps the limits of the target's account; nil if there are none.
	Rate Keeper
	// Told is told how the target is, at the start of a session and whenever that changes.
	// It must not wait; it may be nil.
	Told func(Condition)
	// Trace is told what became of records, for a history of them; it may be nil.
	Trace Tracer
	// Hold is how long a key in back-off may hold the checkpoint before its entry is put
	// aside; 2 min if zero. Deferred is how many entries may be aside at a time, shared
	// evenly by the partitions; 10,000 if zero.
	Hold     time.Duration
	Deferred int
	// ParentWait is how long a record waits for one that it refers to; 30 s if zero.
	ParentWait time.Duration
	// DrainTimeout bounds the wait for requests under way at a stop; 10 s if zero.
	DrainTimeout time.Duration
	// CheckpointEvery is how long a checkpoint waits when there is no state to
	// write along with it; 500 ms if zero.
	CheckpointEvery time.Duration
}

// Beginning says how delivery begins.
type Beginning struct {
	// Failing tells that the last requests to the target failed.
	Failing bool
	// Mappings are those that all workers know; nil if that is not known.
	Mappings []string
}

// Waits bound an exponential back-off.
type Waits struct{ Initial, Max time.Duration }

func (o *Options) defaults() {
	set := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.DrainTimeout, 10*time.Second)
	set(&o.CheckpointEvery, 500*time.Millisecond)
	if o.Limits.Entries <= 0 {
		o.Limits.Entries = 20_000
	}
	if o.Limits.Bytes <= 0 {
		o.Limits.Bytes = 32 << 20
	}
	set(&o.Hold, 2*time.Minute)
	set(&o.ParentWait, 30*time.Second)
	if o.Deferred <= 0 {
		o.Deferred = 20_000
	}
	if o.Limits.Floor == 0 {
		o.Limits.Floor = 10
	}
	set(&o.Retry.Initial, recordWaits.initial)
	set(&o.Retry.Max, recordWaits.max)
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 20
	}
}

func (o *Options) check() error {
	switch {
	case o.Name == "":
		return fmt.Errorf("make delivery: the target has no name")
	case o.Target == nil, o.Reader == nil, o.Logger == nil:
		return fmt.Errorf("make delivery to %s: a target, a reader and a logger are needed", o.Name)
	case o.Partitions < 1:
		return fmt.Errorf("make delivery to %s: partitions is %d, want at least 1", o.Name, o.Partitions)
	}
	l := o.Target.Limits()
	if l.MaxBatch < 1 || l.MaxInFlight < 1 || l.Timeout <= 0 {
		return fmt.Errorf("make delivery to %s: the target's limits %+v must all be above zero", o.Name, l)
	}
	if b := l.Bulk; b.From < 0 || b.From > 0 && (b.MaxBatch < b.From || b.Timeout <= 0) {
		return fmt.Errorf("make delivery to %s: of the target's limits of jobs %+v all must be above zero, and the most no less than the least", o.Name, b)
	}
	names := map[string]bool{}
	for _, m := range o.Mappers {
		if m.Name() == "" || names[m.Name()] {
			return fmt.Errorf("make delivery to %s: mapping %q is there twice or has no name", o.Name, m.Name())
		}
		names[m.Name()] = true
	}
	return nil
}

// claim is the ownership of partitions of the target; *state.Claim.
type claim interface {
	Meet(ctx context.Context, me state.Worker) (state.Meeting, error)
	Leave(ctx context.Context) error
	Take(ctx context.Context, partitions []int) (got []int, err error)
	Renew(ctx context.Context) error
	Release(ctx context.Context, clean bool, partitions ...int) error
	Open(ctx context.Context, partition int) (state.Start, error)
	Load(ctx context.Context, places []state.Place) ([]state.Loaded, error)
	Scan(ctx context.Context, partition int, cursor uint64, count int64) ([]state.Found, uint64, error)
	EachDeferred(ctx context.Context, partition int, f func(state.Deferred)) error
	LoadDeferred(ctx context.Context, partition int, keys []state.Key) ([]state.Deferred, error)
	Prepare(ctx context.Context, partition int, in state.Intent) error
	Commit(ctx context.Context, partition int, w state.Commit) error
	SetReplay(ctx context.Context, partition int, id string, at map[string]cdc.Position, p cdc.ReplayProgress) error
	Own(ctx context.Context, ops []targetkey.Op) ([]targetkey.Answer, error)
	Collect(ctx context.Context, partition int, cursor uint64, count int64, below cdc.Position) (state.Collected, error)
	Tend(ctx context.Context, partition int, now time.Time, told deadletter.Totals) (t deadletter.Totals, more bool, err error)
}

// leases is where claims come from.
type leases struct {
	ttl   time.Duration
	name  string // of this process
	claim func() claim
}

func leasesOf(s *state.Store) leases {
	return leases{ttl: s.TTL(), name: s.Owner(), claim: func() claim { return s.NewClaim() }}
}
