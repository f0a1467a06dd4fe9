package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Peeker shows the queue of a target. Unlike a Source it may wait, for the queue itself and
// to look whether a pass is good.
type Peeker interface {
	// Peek gives the queue of a target. Its errors are ErrPass, a *NoTargetError, or texts
	// for who asks.
	Peek(ctx context.Context, pass string, q PeekQuestion) (*Queue, error)
}

// PeekQuestion says what of a queue is asked for.
type PeekQuestion struct {
	Target string
	// Mapping, Key and Lane choose, if not empty.
	Mapping, Key, Lane string
	// Limit is how many keys are told of at most, Values has their rows told too.
	Limit  int
	Values bool
}

// Query is the question as a query of /api/peek.
func (q PeekQuestion) Query() string {
	return url.Values{"target": {q.Target}, "mapping": {q.Mapping}, "key": {q.Key}, "lane": {q.Lane},
		"limit": {strconv.Itoa(q.Limit)}, "values": {strconv.FormatBool(q.Values)}}.Encode()
}

// ErrPass says that who asks may not look at a queue, which has the keys of rows.
var ErrPass = errors.New("a queue is only shown to who may use the log in Redis; ask by walbridge peek")

// NoTargetError says that this process delivers to no target of a name.
type NoTargetError struct{ Target string }

func (e *NoTargetError) Error() string {
	return fmt.Sprintf("this process does not deliver to target %s", e.Target)
}

// The states of a queue.
const (
	QueueOwned = "owned"     // it is in this process
	QueueYet   = "beginning" // the process has begun to deliver, and has no queue yet
	QueueElse  = "elsewhere" // another process delivers to the target, or none
)

// MaxPeekKeys is how many keys are told of at once.
const MaxPeekKeys = 1000

// peekTimeout bounds an answer.
const peekTimeout = 5 * time.Second

// Queue is what waits for a target in the memory of a process, at the moment Now.
type Queue struct {
	Target string    `json:"target"`
	Owner  string    `json:"owner"` // the process, as its leases name it
	State  string    `json:"state"`
	Now    time.Time `json:"now"`
	// PausedUntil and Why are of the target, if it is paused or probed, or of the limits of
	// its account.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	Why         string    `json:"why,omitempty"`
	// Partitions are those that the process delivers, Holds says of which of them nothing is
	// sent, and why.
	Partitions []int          `json:"partitions"`
	Holds      []string       `json:"holds,omitempty"`
	Mappings   []QueueMapping `json:"mappings"` // those that are paused
	Lanes      []QueueLane    `json:"lanes"`
	Aside      int            `json:"aside"`    // keys in the retry set
	Matching   int            `json:"matching"` // keys that are meant; Keys are the first of them
	Keys       []QueueKey     `json:"keys"`
}

// QueueMapping is a mapping that waits for somebody to mend something.
type QueueMapping struct {
	Mapping     string    `json:"mapping"`
	PausedUntil time.Time `json:"paused_until"`
	Why         string    `json:"why"`
}

// QueueLane is what a lane holds in memory: keys by the most urgent of their changes, and
// entries of the log that are not dealt with.
type QueueLane struct {
	Lane    string    `json:"lane"`
	Keys    int       `json:"keys"`
	Entries int       `json:"entries"`
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest,omitzero"` // when the first change of the keys was committed
}

// The stages of a key, in the order in which they are told.
const (
	StageInFlight  = "in_flight"
	StageReady     = "ready"
	StageHeld      = "held" // ready, but for its partition
	StageGathering = "gathering"
	StageQuiet     = "quiet"
	StageBackOff   = "back_off"
	StageAwaiting  = "awaiting"
	StageLeaving   = "leaving"
	StageReturning = "returning"
	StageAside     = "aside"
)

// QueueKey is a row that waits, as one mapping sees it.
type QueueKey struct {
	Mapping   string          `json:"mapping"`
	Key       json.RawMessage `json:"key"`
	Partition int             `json:"partition"`
	Lane      string          `json:"lane,omitempty"`
	Stage     string          `json:"stage"`
	// Until is when the stage ends by itself, Since since when the key is in flight or
	// aside.
	Until time.Time `json:"until,omitzero"`
	Since time.Time `json:"since,omitzero"`
	Job   bool      `json:"job,omitempty"` // it is in flight in a job of the target
	// Changes were folded, from Entries of the log, and More came since.
	Changes  int       `json:"changes"`
	Entries  int       `json:"entries"`
	More     int       `json:"more,omitempty"`
	Position string    `json:"position,omitempty"`
	Oldest   time.Time `json:"oldest,omitzero"` // when the first of the changes was committed
	Attempts int       `json:"attempts,omitempty"`
	// Error is what the last try came to, that was in vain.
	Error string `json:"error,omitempty"`
	// Parents are the records that it refers to and waits for, Rivals the rows that have its
	// target key.
	Parents []QueueRow `json:"parents,omitempty"`
	Rivals  []QueueRow `json:"rivals,omitempty"`
	Doubt   bool       `json:"in_doubt,omitempty"` // the target may have more than is known
	Replay  bool       `json:"replay,omitempty"`   // a replay asks for it
	// Op and Row are what the changes come to, where that was asked for.
	Op     string          `json:"op,omitempty"`
	Row    json.RawMessage `json:"row,omitempty"`
	Absent []string        `json:"absent,omitempty"`
}

// QueueRow names a row.
type QueueRow struct {
	Mapping string          `json:"mapping"`
	Key     json.RawMessage `json:"key"`
}

// peek answers for the queue of a target.
func (s *Server) peek(w http.ResponseWriter, r *http.Request) {
	if s.peeker == nil {
		s.refuse(w, http.StatusForbidden, ErrPass)
		return
	}
	v := r.URL.Query()
	q := PeekQuestion{Target: v.Get("target"), Mapping: v.Get("mapping"), Key: v.Get("key"), Lane: v.Get("lane"), Limit: 20, Values: v.Get("values") == "true"}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > MaxPeekKeys {
			s.refuse(w, http.StatusBadRequest, fmt.Errorf("limit: write a number from 0 to %d", MaxPeekKeys))
			return
		}
		q.Limit = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), peekTimeout)
	defer cancel()
	pass, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	queue, err := s.peeker.Peek(ctx, pass, q)
	var none *NoTargetError
	switch {
	case errors.Is(err, ErrPass):
		s.refuse(w, http.StatusForbidden, err)
	case errors.As(err, &none):
		s.refuse(w, http.StatusNotFound, err)
	case err != nil:
		s.refuse(w, http.StatusServiceUnavailable, err)
	default:
		s.answer(w, http.StatusOK, queue)
	}
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, status int, err error) {
	s.answer(w, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}

func (s *Server) answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.broken(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	s.write(w, append(body, '\n'))
}
