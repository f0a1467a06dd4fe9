package sinks

import (
	"context"
	"encoding/json"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Op is what a target is to do with a record.
type Op uint8

// The operations. All are keyed by the record's target key, and so may be
// repeated (I9).
const (
	Upsert Op = iota + 1
	Delete
	Archive // a delete that the target can take back, where it has one
)

// String gives the word used in requests, logs and metrics.
func (o Op) String() string {
	switch o {
	case Upsert:
		return "upsert"
	case Delete:
		return "delete"
	case Archive:
		return "archive"
	}
	return "unknown"
}

// Field is a field of a target's object with its value as JSON.
type Field struct {
	Name  string
	Value json.RawMessage
}

// Record is what a mapping makes of the merged source row of a key.
type Record struct {
	// Mapping names the mapping that made it, Source the JSON key of the row it
	// was made from. Together they are the identity that order is kept for.
	Mapping string
	Source  string
	// Object is the target's own name of the kind of thing, such as Opportunity.
	Object string
	Op     Op
	// Key is the field that identifies the record at the target.
	Key Field
	// Fields are in the order of the mapping file; a JSON null clears a field,
	// a field that is not here is left as it is (I5). Empty for a delete.
	Fields []Field
	// Left says that the row is no longer meant, and that the fields only mark the
	// record as such: the others are not what the row holds.
	Left bool
	// Parents are the records that values refer to.
	Parents []Parent
	// Sent says what the target holds of the fields that are only written when they
	// change, once it has accepted the record: a token for each of them, in printable
	// ASCII without spaces, separated by commas. A token stands for the object, the field
	// and the value. A field that is left out because it did not change keeps its token, as
	// does one whose columns are absent; one that was never sent has none.
	Sent string
	// Position is that of the newest change folded in.
	Position cdc.Position
	// Mends tells that the record is sent to mend what may differ at the target, since a backfill
	// read its row: what the target has noted of it may not be so any more.
	Mends bool
}

// Parent is a record that another one refers to.
type Parent struct {
	// Field is the field of the referring record that holds the parent's key.
	Field string
	// Mapping and Source tell which record it is, as those of Record do.
	Mapping, Source string
	// Key is the field that identifies the parent at the target.
	Key Field
}

// Batch is a set of records of one mapping, no two with the same Source.
type Batch struct {
	Object  string
	Records []Record
	// Bulk tells that it is to be carried out as one job, as Limits.Bulk allows.
	Bulk bool
}

// Result is what the target said of one record. A nil Err means that the target
// accepted it.
type Result struct {
	RemoteID string
	Err      error
}

// Target delivers records to one external system.
type Target interface {
	// Deliver sends a batch and gives one result per record, in the order of the
	// records. An error means that nothing is known of any single record: it is
	// of one of the kinds of this package, or else is taken as Retryable with an
	// unknown outcome. Deliver may be called from several goroutines, must be
	// safe to repeat (I9) and must end soon after ctx does.
	Deliver(ctx context.Context, b Batch) ([]Result, error)
	// Limits tells the engine how to cut batches.
	Limits() Limits
}

// Limits are the bounds of a target.
type Limits struct {
	// MaxBatch is the greatest number of records in a batch.
	MaxBatch int
	// MaxInFlight is the greatest number of batches under way at once.
	MaxInFlight int
	// Timeout bounds one Deliver, but for a job.
	Timeout time.Duration
	// Bulk bounds jobs, where the target has them.
	Bulk Bulk
}

// Coalesce says how long a key is held back so that changes fold into one
// record, and how many records make a batch.
type Coalesce struct {
	// Quiet is how long a key must see no change before it is sent.
	Quiet time.Duration
	// MaxDelay bounds the wait of a key that never becomes quiet, counted from
	// its oldest change not yet sent.
	MaxDelay time.Duration
	// MaxBatch makes keys ready at once when so many are pending, and bounds a
	// batch together with the target's own limit.
	MaxBatch int
}

// Prior is what was last delivered of a source key through a mapping.
type Prior struct {
	// Live tells that the target holds a record made from this key, or may hold one.
	Live bool
	// Doubt tells that it may as well hold none: a first write, or a delete, has no
	// certain answer. What is written when a record comes into being is written again.
	Doubt bool
	// Key is the target key of that record.
	Key Field
	// Sent has those tokens of Record.Sent that certainly hold for the record with
	// this Key; a record with another key is another one. A field without its token
	// is sent.
	Sent string
}
