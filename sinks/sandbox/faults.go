package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Kind is what a fault does to a request.
type Kind string

// The kinds of fault.
const (
	// Status answers with Fault.Status, and Retry-After where it is set.
	Status Kind = "status"
	// Delay waits for Fault.Delay and then goes on as usual.
	Delay Kind = "delay"
	// Hang gives no answer until the client has gone.
	Hang Kind = "hang"
	// Reset breaks the connection.
	Reset Kind = "reset"
	// Truncate applies the records and sends half of the answer.
	Truncate Kind = "truncate"
	// Garbage answers 200 with a body that is not JSON.
	Garbage Kind = "garbage"
	// Refuse refuses the records that Fault.Refusal describes; the others of
	// the batch are taken.
	Refuse Kind = "refuse"
)

// Forever is the Times of a fault that stays until ClearFaults.
const Forever = -1

// Fault is a scripted failure. Faults are looked at in the order they were
// injected, and at most one falls on a request; refusals are looked at for each
// record.
type Fault struct {
	Kind Kind
	// App and Object narrow the fault down; empty means any. Of a request to a simulation
	// Object is a part of the path, such as composite, and of a record that is to be
	// refused the kind of it.
	App, Object string
	// Times is how often the fault happens (for Refuse: to how many records);
	// zero means once, Forever until cleared.
	Times int
	// Rate, in (0, 1], makes it happen at random with this probability, drawn
	// from Options.Seed, in place of at every chance.
	Rate float64
	// After lets the fault happen once the records were applied: the answer is
	// lost, not the request.
	After bool
	// Status and RetryAfter are for the kind Status.
	Status     int
	RetryAfter time.Duration
	// Delay is waited before the fault, whatever its kind.
	Delay time.Duration
	// Refusal is for the kind Refuse; for a Status of a simulation its code and message are
	// those of the answer, if it is there.
	Refusal *Refusal
}

// Refusal says which records are refused and how.
type Refusal struct {
	// Field is a field of the key or else of the fields, Value its JSON. An
	// empty Field matches every record.
	Field string          `json:"field,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
	// Match, where set, decides in place of Field and Value. Only from Go.
	Match func(Record) bool `json:"-"`
	// Code, Message and Retryable are what the result says.
	Code      string `json:"code"`
	Message   string `json:"message,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
}

// Validate says what is wrong with the fault.
func (f Fault) Validate() error {
	if f.Rate < 0 || f.Rate > 1 {
		return fmt.Errorf("rate %v: want a probability between 0 and 1", f.Rate)
	}
	if f.Times < Forever {
		return fmt.Errorf("times %d: want a number, or -1 for ever", f.Times)
	}
	switch f.Kind {
	case Status:
		if f.Status < 200 || f.Status > 599 {
			return fmt.Errorf("status %d: want an HTTP status between 200 and 599", f.Status)
		}
	case Delay:
		if f.Delay <= 0 {
			return errors.New("delay: want a duration above zero, such as 250ms")
		}
	case Refuse:
		if f.Refusal == nil || f.Refusal.Code == "" {
			return errors.New("refuse: want a code, such as STRING_TOO_LONG")
		}
	case Hang, Reset, Truncate, Garbage:
	default:
		return fmt.Errorf("kind %q: want status, delay, hang, reset, truncate, garbage or refuse", f.Kind)
	}
	return nil
}

// Inject adds faults behind those already there; on an error none was added.
func (s *Server) Inject(faults ...Fault) error {
	for i, f := range faults {
		err := f.Validate()
		if err == nil {
			err = s.checkRefusal(f)
		}
		if err != nil {
			return fmt.Errorf("inject fault %d: %w", i+1, err)
		}
	}
	s.faults.add(faults)
	s.logger.Info("faults_injected", "count", len(faults))
	return nil
}

// ClearFaults removes all faults; requests that hang go on hanging until their
// clients leave.
func (s *Server) ClearFaults() { s.faults.clear(false) }

// Faults copies the faults that are still to happen.
func (s *Server) Faults() []Fault { return s.faults.list() }

// faults is the script.
type faults struct {
	seed uint64

	mu    sync.Mutex // covers what follows; no other lock is taken under it
	queue []Fault
	rand  *rand.Rand
}

func newFaults(seed uint64) *faults {
	return &faults{seed: seed, rand: newRand(seed)}
}

func (fs *faults) add(list []Fault) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range list {
		if f.Times == 0 {
			f.Times = 1
		}
		fs.queue = append(fs.queue, f)
	}
}

func (fs *faults) clear(reseed bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.queue = nil
	if reseed {
		fs.rand = newRand(fs.seed)
	}
}

func (fs *faults) list() []Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return slices.Clone(fs.queue)
}

// next gives the fault that falls on a request to an app.
func (fs *faults) next(app, object string) (Fault, bool) {
	return fs.nextWhere(func(f Fault) bool { return f.about(app, object) })
}

// nextWhere gives the fault that falls on a request which those are about that about says.
func (fs *faults) nextWhere(about func(Fault) bool) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i := range fs.queue {
		if f := fs.queue[i]; f.Kind != Refuse && about(f) && fs.happensLocked(f) {
			fs.spendLocked(i)
			return f, true
		}
	}
	return Fault{}, false
}

// refusal gives the refusal that falls on a record, or nil.
func (fs *faults) refusal(app, object string, rec Record) *Refusal {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i := range fs.queue {
		f := fs.queue[i]
		if f.Kind == Refuse && f.about(app, object) && f.Refusal.matches(rec) && fs.happensLocked(f) {
			fs.spendLocked(i)
			return f.Refusal
		}
	}
	return nil
}

func (fs *faults) happensLocked(f Fault) bool { return f.Rate == 0 || fs.rand.Float64() < f.Rate }

func (fs *faults) spendLocked(i int) {
	if fs.queue[i].Times == Forever {
		return
	}
	if fs.queue[i].Times--; fs.queue[i].Times == 0 {
		fs.queue = slices.Delete(fs.queue, i, i+1)
	}
}

func (f Fault) about(app, object string) bool {
	return (f.App == "" || f.App == app) && (f.Object == "" || f.Object == object)
}

func (r *Refusal) matches(rec Record) bool {
	if r.Match != nil {
		return r.Match(rec)
	}
	if r.Field == "" {
		return true
	}
	got, ok := rec.Key[r.Field]
	if !ok {
		got, ok = rec.Fields[r.Field]
	}
	return ok && bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(r.Value))
}

// show gives the faulty answer; answer is the proper one, nil if nothing was
// applied.
func (f Fault) show(w http.ResponseWriter, r *http.Request, answer []byte) {
	switch f.Kind {
	case Status:
		if f.RetryAfter > 0 {
			setRetryAfter(w, f.RetryAfter)
		}
		writeProblem(w, f.Status, "FAULT", fmt.Errorf("scripted answer %d", f.Status))
	case Hang:
		<-r.Context().Done()
	case Reset:
		breakConnection(w)
	case Truncate:
		// Fewer bytes than were promised make net/http close the connection.
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		writeBody(w, http.StatusOK, answer[:len(answer)/2])
	case Garbage:
		writeBody(w, http.StatusOK, []byte("<html>Service temporarily unavailable</html>"))
	}
}

// breakConnection ends the connection without an answer, with a TCP reset where
// it is one.
func breakConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		writeProblem(w, http.StatusInternalServerError, "INTERNAL", fmt.Errorf("reset connection: %w", err))
		return
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		// Without it the client sees an orderly end, which is still no answer.
		_ = tcp.SetLinger(0)
	}
	// The connection is being broken on purpose; how it ends is of no interest.
	_ = conn.Close()
}
