package sinks

import (
	"context"
	"encoding/json"
	"time"
)

// Abilities are what a target can do with the records of an object, beyond taking upserts
// by key. A target that does not tell is taken to have all of them.
type Abilities struct {
	// Delete and Archive are the operations that it has. A record with one that it does not
	// have is Rejected with CodeNoDelete.
	Delete, Archive bool
	// Partial tells that a field which is not in a record is left as it is at the target
	// (I5); otherwise a record takes the place of all that was there, and must have all
	// fields of its mapping.
	Partial bool
	// Clear tells that a null empties a field.
	Clear bool
	// Parents tells that a value may refer to another record by that one's key field.
	Parents bool
	// Ordered tells that it stores the Position of what it took, and takes nothing older:
	// order holds there absolutely (I4).
	Ordered bool
}

// CodeNoDelete is of a record that is to be deleted at a target that has no way to.
const CodeNoDelete = "no_delete"

// Able is the ability of a target to tell its abilities.
type Able interface {
	// Abilities tells them for an object.
	Abilities(object string) Abilities
}

// As looks for an ability of a target, such as Collation, also behind what is wrapped around
// it: each wrapper has a method Unwrap() Target. A wrapper that has the ability itself counts.
func As[T any](t Target) (T, bool) {
	for t != nil {
		if a, ok := t.(T); ok {
			return a, true
		}
		w, ok := t.(interface{ Unwrap() Target })
		if !ok {
			break
		}
		t = w.Unwrap()
	}
	var none T
	return none, false
}

// AbilitiesOf tells what a target can do with the records of an object.
func AbilitiesOf(t Target, object string) Abilities {
	if a, ok := As[Able](t); ok {
		return a.Abilities(object)
	}
	return Abilities{Delete: true, Archive: true, Partial: true, Clear: true, Parents: true}
}

// Bulk are the bounds of a target's bulk jobs: a way to hand over very many records at once,
// which takes minutes. Its zero value is that of a target without.
//
// A Deliver of a Batch with Bulk set runs one job to its end. Where it is cut off, by its
// context or a crash, the job may still be carried out: the target notes a job before it can
// be, and from then on, also after a restart, keeps back (as Retryable with KeptBack) every
// record of which the job may still write another state, until it knows how the job ended. So
// the engine need not wait for the time of a job after a crash, as it does for that of a
// request.
type Bulk struct {
	// From is the least number of records of the bulk lane that make a job; zero if there
	// are no jobs. With fewer they go as any others.
	From int
	// MaxBatch is the greatest number of records of a job.
	MaxBatch int
	// Timeout bounds one job.
	Timeout time.Duration
}

// Notes are what a target remembers across processes: ids of records, jobs under way. They
// are kept in Redis beside the target's state, and go with it. A space is a set of notes
// of one kind. The errors are *Retryable.
type Notes interface {
	// Get gives the notes of some keys; one that is not there is left out.
	Get(ctx context.Context, space string, keys []string) (map[string]string, error)
	// All gives all notes of a space, which should be few.
	All(ctx context.Context, space string) (map[string]string, error)
	// Set writes notes, all or none; an empty one is removed. After it has answered they
	// are as durable as the state of delivery.
	Set(ctx context.Context, space string, notes map[string]string) error
}

// NoteTaker is the ability of a target to keep notes.
type NoteTaker interface {
	// TakeNotes gives it somewhere to keep them. It is called once, before the first Deliver.
	TakeNotes(Notes)
}

// Held is a record as a target holds it.
type Held struct {
	// Key is the value of the key field, as the target gives it.
	Key json.RawMessage
	// RemoteID is the target's own id, if it has one.
	RemoteID string
	// Fields are those that were asked for and that it has, by name; null for what is empty.
	Fields map[string]json.RawMessage
}

// ReadBack is the ability of a target to tell what it holds.
type ReadBack interface {
	// ReadBack gives those of the records with some keys that there are, in any order. The
	// fields are names of the object's; key is the name of the key field. No more keys are
	// asked for than Limits.MaxBatch. The error is of one of the kinds of this package.
	ReadBack(ctx context.Context, object, key string, values []json.RawMessage, fields []string) ([]Held, error)
}

// Remaker is the ability of a target to tell of records that it holds under another id than
// before, such as one that somebody deleted there: what referred to it by its id does no more.
type Remaker interface {
	// TellRemade sets who is told of such records, before they count as delivered. After an error
	// they are delivered, and told of, once more. It is called once, before the first Deliver.
	TellRemade(func(ctx context.Context, records []Record) error)
}

// References is the ability of a target that keeps what records refer to apart from their
// fields to tell whether it has that.
type References interface {
	// Unreferred gives, for each of some records of an object, those of its fields whose value
	// refers to a record (as Parents say) and whose reference the target does not have. The ids
	// are those of the records at the target (Held.RemoteID). No more are asked for than
	// Limits.MaxBatch. The error is of one of the kinds of this package.
	Unreferred(ctx context.Context, object string, records []Record, ids []string) ([][]string, error)
}

// OneByOne is the ability of a target that can be read back to tell that it makes a request
// for each record, so that who pays for requests asks for one at a time.
type OneByOne interface {
	// ReadsOneByOne tells whether it does.
	ReadsOneByOne() bool
}

// Prober is the ability of a target to tell whether it can be reached.
type Prober interface {
	// Probe looks, and changes nothing. The error says what is wrong, without secrets.
	Probe(ctx context.Context) error
}
