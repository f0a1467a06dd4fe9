package pgsource

import (
	"encoding/base64"
	"encoding/json"
	"sync"

	"github.com/walbridge/walbridge/cdc"
)

// chunk is some rows of a table as one statement saw them, on its way into the stream:
// read between two marks that the source's WAL has, a low and a high one. What changed
// between the marks is left out, the rest stands in the log at the high one.
type chunk struct {
	id    string
	table uint32
	part  *part
	// most is how many keys may change between the marks.
	most    int
	meant   []byte // the entries' for
	verdict chan<- verdict

	// What was read; the stream looks at it after the high mark.
	snap snapshot
	rows rows
}

// verdict is what became of a chunk.
type verdict struct {
	chunk *chunk // or
	sweep *sweep
	// again says why its rows have to be read once more; empty if they are in the log.
	again string
	// gone says that the table is not captured any more.
	gone bool
	// low is the Position of its low mark.
	low  cdc.Position
	end  cdc.LSN
	rows int
	// keys are those that changed meanwhile in a way that leaves columns absent: the
	// log must have these (I3).
	keys []string
}

// rows are encoded rows: their texts stand in one piece of memory.
type rows struct {
	arena []byte
	list  []encoded
}

type encoded struct {
	op                         cdc.Op
	key, after, absent, unread int // where each text ends
}

func (r *rows) add(e *cdc.Entry) {
	end := func(text []byte) int {
		r.arena = append(r.arena, text...)
		return len(r.arena)
	}
	r.list = append(r.list, encoded{op: e.Op, key: end(e.Key), after: end(e.After), absent: end(e.Absent), unread: end(e.Unread)})
}

// entry gives the texts of a row.
func (r *rows) entry(i int) (e cdc.Entry) {
	at := 0
	if i > 0 {
		at = r.list[i-1].unread
	}
	x := r.list[i]
	return cdc.Entry{Op: x.op, Key: r.arena[at:x.key], After: r.arena[x.key:x.after], Absent: r.arena[x.after:x.absent], Unread: r.arena[x.absent:x.unread]}
}

// exchange is where chunks wait for their marks to come down the stream.
type exchange struct {
	// id begins each mark: other bridges of the database, and a capture that has lost
	// the slot, write marks of their own.
	id     string
	mu     sync.Mutex        // covers all below
	chunks map[string]*chunk // by id, from before the low mark is written
	sweeps map[string]*sweep
	latest *snapshot // of the server, not looked at yet
}

// sweep is the end of a generation. Its mark says all of it: it goes to every stream,
// and where a session ends in between, the next one, which reads the mark again, puts
// the same entry into those that lack it.
type sweep struct {
	ID string `json:"id"`
	// Slot and Base are those of the log that it is for: other bridges of the database
	// read the mark too.
	Slot  string          `json:"slot"`
	Base  cdc.LSN         `json:"base"`
	Table uint32          `json:"table"`
	Since cdc.Position    `json:"since"`
	Meant json.RawMessage `json:"for,omitempty"`

	verdict chan<- verdict // nil where nobody waits
}

// text gives a sweep as the one word of its mark.
func (s *sweep) text() (string, error) {
	text, err := json.Marshal(s)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// parseSweep reads what text gave; nil if it is something else.
func parseSweep(text string) *sweep {
	var s sweep
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, &s) != nil {
		return nil // not ours: anybody may write a message
	}
	return &s
}

func newExchange() *exchange {
	return &exchange{id: cdc.NewBackfillID() + cdc.NewBackfillID(), chunks: map[string]*chunk{}, sweeps: map[string]*sweep{}}
}

func (x *exchange) put(c *chunk) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.chunks[c.id] = c
}

// observe hands on a snapshot of the server.
func (x *exchange) observe(s *snapshot) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.latest = s
}

func (x *exchange) takeSnapshot() *snapshot {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.latest
	x.latest = nil
	return s
}

func (x *exchange) putSweep(s *sweep) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sweeps[s.ID] = s
}

func (x *exchange) chunk(id string) *chunk {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.chunks[id]
}

// take gives a chunk and forgets it.
func (x *exchange) take(id string) *chunk {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.chunks[id]
	delete(x.chunks, id)
	return c
}

func (x *exchange) takeSweep(id string) *sweep {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.sweeps[id]
	delete(x.sweeps, id)
	return s
}
