package deliver

import (
	"errors"
	"fmt"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// outage is from how many records on a batch of which all are to be tried later
// says that it is the target, not they.
const outage = 5

// allLater gives the error of a batch whose records are all to be tried later, but for those
// that a job keeps back: a target that answers so is in trouble, and none of them is to blame.
func allLater(results []sinks.Result, n int) error {
	later, count := &sinks.Retryable{Err: errMissing}, 0
	for i := range n {
		var ret *sinks.Retryable
		switch {
		case !errors.As(resultOf(results, i).Err, &ret):
			return nil
		case ret.KeptBack:
			continue
		case count == 0:
			later.Err = fmt.Errorf("every record of a batch is to be tried later: %w", ret.Err)
		}
		count++
		later.After, later.Unknown = max(later.After, ret.After), later.Unknown || ret.Unknown
	}
	if count < outage {
		return nil
	}
	return later
}

// resultOf is the result of a record, also if the target gave none.
func resultOf(results []sinks.Result, i int) sinks.Result {
	if i < len(results) {
		return results[i]
	}
	return sinks.Result{Err: errMissing}
}

// keptBack tells whether a job keeps a record back, so that nothing was sent of it.
func keptBack(err error) (after time.Duration, ok bool) {
	var ret *sinks.Retryable
	if errors.As(err, &ret) && ret.KeptBack {
		return ret.After, true
	}
	return 0, false
}

// allKeptBack tells whether nothing of a batch was sent for that.
func allKeptBack(results []sinks.Result, n int) bool {
	for i := range n {
		if _, ok := keptBack(resultOf(results, i).Err); !ok {
			return false
		}
	}
	return true
}
