package plan

import (
	"errors"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/state"
)

// Kind is what comes of a row.
type Kind uint8

// The kinds; Mapping has the words for them.
const (
	AsIs Kind = iota
	Unsure
	NotMeant
	Create
	Update
	Move
	Remove
	Stay
	Refused
)

// String gives the word used in examples.
func (k Kind) String() string {
	return [...]string{"as_is", "unsure", "not_meant", "create", "update", "move", "remove", "stay", "refused"}[k]
}

// Finding is what is found of a row.
type Finding struct {
	Kind Kind
	// Differs tells that the target has all of what was delivered last, so that it is the mapping,
	// or a change on its way, that makes the difference.
	Differs bool
	// Untouched and Unsettled are as Mapping has them.
	Untouched, Unsettled bool
	// Orphan tells that the row is gone.
	Orphan bool
	// Code and Error say why it is refused.
	Code, Error string
	// Added and Changed are the fields that make it differ, as far as that is known; Looked
	// tells that it was looked for them.
	Added, Changed []string
	Looked         bool
	// Key stands for the target key of the record, Claims tells that another row may want it too.
	Key    string
	Claims bool
}

// Bad tells that the row and what was delivered do not agree.
func (f Finding) Bad() bool {
	return f.Kind > NotMeant && (f.Kind != Stay || f.Differs)
}

// Row is a row as it stands to what was delivered of it.
type Row struct {
	Standing deliver.Standing
	Record   *sinks.Record // nil if it makes none
	Known    state.Known
	Err      error // why no record can be made
	// SameKey tells that what was delivered has the target key of the record, as the target
	// sees it; Deletes that the mapping removes records of rows that go.
	SameKey, Deletes bool
}

// Judge says what comes of a row.
func Judge(r Row) (f Finding) {
	k := &r.Known
	sound := k.Live && !k.Doubt && !k.Lacking
	switch r.Standing {
	case deliver.Unmapped:
		f = Finding{Kind: Refused, Differs: sound, Code: sinks.Code(r.Err), Error: r.Err.Error()}
		var rej *sinks.Rejected
		if errors.As(r.Err, &rej) && rej.Err != nil {
			f.Error = rej.Err.Error() // the code is told beside it
		}
	case deliver.Missing:
		f = Finding{Kind: Create, Untouched: k.Seen.IsZero(), Unsettled: !k.Seen.IsZero() && k.Lacking}
		f.Differs = !f.Untouched && !f.Unsettled
	case deliver.Stale:
		f = Finding{Kind: Update, Differs: sound, Unsettled: !sound}
		if r.Record != nil && !r.SameKey {
			f.Kind = Move
		}
	case deliver.Orphan:
		f = Finding{Kind: Remove, Differs: sound}
	case deliver.Unsure:
		f = Finding{Kind: Unsure}
	case deliver.Right:
		switch {
		case r.Record != nil:
		case k.Live && !r.Deletes:
			f = Finding{Kind: Stay, Differs: sound}
		default: // or it was marked as gone
			f = Finding{Kind: NotMeant}
		}
	}
	return f
}
