package deliver

import (
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks/targetkey"
)

const (
	// handOver is how long a record is left in place, so that a row which waits for its key
	// can take it: what the target keeps with a record, such as its history, would go with it.
	handOver = 2 * time.Second
	// mostWanted is from how many keys on those are forgotten that nobody came for.
	mostWanted = 10_000
)

// wanted are the target keys that rows of this process wait for. It is no more than a hint:
// one that is missing costs a delete and a create in place of an update.
type wanted struct {
	mu   sync.Mutex // covers keys
	keys map[targetkey.ID]want
}

// want is when the row tries again, and until when it is remembered.
type want struct{ next, until time.Time }

// add notes that a row waits for a key. next is zero if it is woken.
func (w *wanted) add(now time.Time, id targetkey.ID, next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys == nil {
		w.keys = map[targetkey.ID]want{}
	}
	if len(w.keys) >= mostWanted {
		for k, v := range w.keys {
			if v.until.Before(now) {
				delete(w.keys, k)
			}
		}
	}
	if len(w.keys) < mostWanted {
		w.keys[id] = want{next, now.Add(2 * rivalRetry)}
	}
}

// claim tells how long to leave a record in place for a row that waits for its key; zero for
// not at all. It tells so once, so that a row that does not come holds up nothing.
func (w *wanted) claim(now time.Time, id targetkey.ID) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.keys[id]
	delete(w.keys, id)
	if !ok || v.until.Before(now) {
		return 0
	}
	return handOver + max(0, v.next.Sub(now))
}

// met notes that a row got its key.
func (w *wanted) met(id targetkey.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.keys, id)
}
