package sinks

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Retryable says that the same record may be accepted later. It is made where
// the fact is known, in the target's own package.
type Retryable struct {
	Err error
	// After is how long the target asked to wait; zero if it did not say.
	After time.Duration
	// Unknown says that the request may have been carried out, as after a
	// timeout: the record is in doubt until it is delivered once more (I11).
	Unknown bool
	// KeptBack says that nothing was sent of the record, as something may still be carried
	// out that it has to come after: a job (see Bulk), or a create whose outcome is not known.
	// That is never held against the record, nor the target.
	KeptBack bool
}

func (e *Retryable) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Retryable) Unwrap() error { return e.Err }

// Throttled says that the target takes no more requests for now. It is never
// held against a record.
type Throttled struct {
	Err   error
	After time.Duration // zero if the target did not say
}

func (e *Throttled) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Throttled) Unwrap() error { return e.Err }

// Rejected says that the target will not take this record as it is; a newer
// value of the key may be taken.
type Rejected struct {
	Err  error
	Code string // the target's own word, such as STRING_TOO_LONG
}

func (e *Rejected) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Rejected) Unwrap() error { return e.Err }

// Codes of rejections that are not the target's own.
const (
	// CodeNullKey is of a row that makes no target key, since it is null.
	CodeNullKey = "null_key"
	// CodeDuplicateKey is of a row whose target key is that of another row.
	CodeDuplicateKey = "duplicate_target_key"
)

// Misconfigured says that no record of the mapping can be accepted until a
// person changes something, as Hint says.
type Misconfigured struct {
	Err  error
	Hint string
}

func (e *Misconfigured) Error() string {
	if e.Hint == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; %s", e.Err, e.Hint)
}

// Unwrap gives the cause.
func (e *Misconfigured) Unwrap() error { return e.Err }

// Unauthorized says that the target does not know us, or no longer.
type Unauthorized struct {
	Err error
	// Forbidden says that it may also be what the request holds that the target,
	// or a filter before it, does not like (403).
	Forbidden bool
}

func (e *Unauthorized) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Unauthorized) Unwrap() error { return e.Err }

// WaitForParent says that a record refers to one that the target does not have yet:
// it is taken once the other is there. Nothing of it was carried out.
type WaitForParent struct {
	Err   error
	Code  string        // the target's own word, if it has one
	After time.Duration // zero if nobody said
}

func (e *WaitForParent) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *WaitForParent) Unwrap() error { return e.Err }

// Paused says that the target takes nothing for now, for a reason that a person should
// look at. It is never held against a record.
type Paused struct {
	Err   error
	After time.Duration // zero if nobody said
}

func (e *Paused) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Paused) Unwrap() error { return e.Err }

// Answer is what a target said, as far as a Rule can be about it. It is made where the
// answer is read, and wrapped by one of the other errors of this package.
type Answer struct {
	// Status is that of the answer, such as 429; for one record, where the target gives
	// each a status of its own. Zero if there is none.
	Status int
	// Code is the target's own word, such as STRING_TOO_LONG; empty if there is none.
	Code string
	// Message is the target's own text. It may quote the record, and so is not in Error.
	Message string
	// Unknown says that the request may have been carried out all the same.
	Unknown bool
	Err     error
}

func (a *Answer) Error() string { return a.Err.Error() }

// Unwrap gives the cause.
func (a *Answer) Unwrap() error { return a.Err }

// Detail is the target's own text, for the dead letter.
func (a *Answer) Detail() string { return a.Message }

// Unknown tells whether a request that failed so may have been carried out.
func Unknown(err error) bool {
	var (
		ans *Answer
		ret *Retryable
		thr *Throttled
		pau *Paused
		rej *Rejected
		wai *WaitForParent
		mis *Misconfigured
		una *Unauthorized
	)
	if errors.As(err, &ans) && ans.Unknown {
		return true
	}
	if errors.As(err, &ret) {
		return ret.Unknown
	}
	return !errors.As(err, &thr) && !errors.As(err, &pau) && !errors.As(err, &rej) && !errors.As(err, &wai) && !errors.As(err, &mis) && !errors.As(err, &una)
}

// Unresolved says that a record cannot be made because columns that it needs
// were not sent (unchanged TOAST): they are to be read from the source (I5).
type Unresolved struct{ Columns []string }

func (e *Unresolved) Error() string {
	return fmt.Sprintf("columns not sent with the change: %s", strings.Join(e.Columns, ", "))
}

// Code gives a short word for an error, for metrics and dead letters.
func Code(err error) string {
	var (
		rej *Rejected
		thr *Throttled
		mis *Misconfigured
		una *Unauthorized
		ret *Retryable
		unr *Unresolved
		wai *WaitForParent
		pau *Paused
	)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &rej):
		if rej.Code != "" {
			return rej.Code
		}
		return "rejected"
	case errors.As(err, &wai):
		if wai.Code != "" {
			return wai.Code
		}
		return "waiting_for_parent"
	case errors.As(err, &thr):
		return "throttled"
	case errors.As(err, &pau):
		return "paused"
	case errors.As(err, &mis):
		return "misconfigured"
	case errors.As(err, &una):
		return "unauthorized"
	case errors.As(err, &ret):
		if ret.Unknown {
			return "unknown_outcome"
		}
		return "retryable"
	case errors.As(err, &unr):
		return "unresolved"
	}
	return "unknown"
}
