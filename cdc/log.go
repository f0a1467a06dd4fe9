package cdc

import (
	"context"
	"time"
)

// Epoch names the source that a log's positions count: the system identifier,
// the timeline and the slot, and the base that is added to the source's LSNs to
// give those of the log. After a restore or failover a new epoch's base lies
// above every position of the log.
type Epoch struct {
	SystemID string
	Timeline int32
	Slot     string
	Base     LSN
}

// Log is the durable log of changes, as a capture uses it.
type Log interface {
	// Partitions is how many partitions the log has, fixed when it was made.
	Partitions() int
	// Epoch tells which source the log belongs to; ok is false if no capture has
	// used it yet.
	Epoch(ctx context.Context) (e Epoch, ok bool, err error)
	SetEpoch(ctx context.Context, e Epoch) error
	// DurableMark is the source LSN up to which the log was known to hold
	// everything durably; ok is false if there is no mark. A log that lost
	// entries has lost its newer marks too.
	DurableMark(ctx context.Context) (lsn LSN, ok bool, err error)
	SetDurableMark(ctx context.Context, lsn LSN) error
	// Tail is the highest Position that any stream ever had; zero if none had one.
	Tail(ctx context.Context) (Position, error)
	// Routings are those by which the rows were routed that may be sent again, in
	// the order of Above, the newest last.
	Routings(ctx context.Context) ([]Routing, error)
	SetRoutings(ctx context.Context, list []Routing) error
	// Stopped tells which tables are not captured any more because of a loss, and
	// why. SetStopped without a reason takes a table from it.
	Stopped(ctx context.Context) (map[Table]string, error)
	SetStopped(ctx context.Context, table Table, reason string) error
	// SetBroken says that something is missing from the log: a loss that is being healed
	// is found again if that is not brought to its end. Renew takes it back.
	SetBroken(ctx context.Context, why string) error
	// Broken tells why the log was found to have a hole; empty if it was not.
	Broken(ctx context.Context) (string, error)
	// Renew begins a new epoch with its durable mark, at once. A log with a hole may
	// be used again from there: the caller has said that what is missing is lost.
	Renew(ctx context.Context, e Epoch, mark LSN) error
	// Backfills lists the backfills that are remembered, the oldest first.
	Backfills(ctx context.Context) ([]BackfillStatus, error)
	// BackfillsVersion changes when somebody asks for a backfill or wishes something.
	BackfillsVersion(ctx context.Context) (string, error)
	AddBackfills(ctx context.Context, list []Backfill) error
	SetBackfillProgress(ctx context.Context, id string, p BackfillProgress) error
	// Started tells which mappings, each as target/mapping, were started.
	// StartMappings notes some as started and asks for their backfills, at once; it
	// does nothing if one was started already.
	Started(ctx context.Context) (map[string]bool, error)
	StartMappings(ctx context.Context, mappings []string, list []Backfill) error
	// WithoutRows tells which mappings, each as target/mapping, begin without the rows that
	// are there, as their target does.
	WithoutRows(ctx context.Context) (map[string]bool, error)
	// ForgetStarted takes mappings from the started ones, and from those without rows.
	ForgetStarted(ctx context.Context, mappings []string) error
	// Readers tells which mappings the delivery to each target knows, of the targets
	// that something was delivered to.
	Readers(ctx context.Context) (map[string][]string, error)
	// Refill notes mappings as started and asks for the backfills that fill the log
	// again, at once, whatever was there before.
	Refill(ctx context.Context, mappings []string, list []Backfill) error
	// Note and SetNote keep a text of the capture under a name; empty if there is none.
	Note(ctx context.Context, name string) (string, error)
	SetNote(ctx context.Context, name, text string) error
	// NewAppender gives an appender that goes on where the streams end.
	NewAppender(ctx context.Context) (Appender, error)
}

// Appender appends entries in the order they are passed, and skips those that
// the log holds already (I2). Append, AppendAll, Mark and Full are for one
// goroutine and do not block.
type Appender interface {
	// Append takes an entry for one stream; e is not kept.
	Append(s Stream, e *Entry)
	// AppendAll takes an entry without a key for every stream.
	AppendAll(e *Entry)
	// Mark says that everything up to the source LSN end was passed, which was
	// committed up to a time by the source's clock.
	Mark(end LSN, at time.Time)
	// Full tells that nothing more should be passed until Space fires.
	Full() bool
	Space() <-chan struct{}
	// Appended and Durable are the source LSNs up to which the log holds
	// everything, and holds it durably.
	Appended() LSN
	Durable() LSN
	// AppendedAt is up to which time, by the source's clock, the log holds all that
	// was committed; zero before the first Mark.
	AppendedAt() time.Time
	// Run does the work until ctx ends, or until the log is found to have lost
	// entries, which is an error.
	Run(ctx context.Context) error
}
