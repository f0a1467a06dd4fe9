package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// Object is what an app holds under one key.
type Object struct {
	// ID is the app's own id of the object, made at the first upsert.
	ID string `json:"id"`
	// Key is the key as it was sent; Fields what was sent in upserts, merged
	// field by field, a null kept as null. Their texts are never written to.
	Key    map[string]json.RawMessage `json:"key"`
	Fields map[string]json.RawMessage `json:"fields"`
	// Version counts the records applied since the object was made.
	Version int `json:"version"`
	// Position is that of the last record applied; zero if it had none.
	Position cdc.Position `json:"-"`
	Archived bool         `json:"archived,omitempty"`
}

// Applied is one line of the history of a key.
type Applied struct {
	Op       string
	Position cdc.Position
}

// Stats are the counters of an app.
type Stats struct {
	Requests     int64 `json:"requests"`
	Records      int64 `json:"records"` // in requests that were taken in
	Upserts      int64 `json:"upserts"` // applied
	Deletes      int64 `json:"deletes"`
	Archives     int64 `json:"archives"`
	Refused      int64 `json:"refused"` // records
	Throttled    int64 `json:"throttled"`
	Unauthorized int64 `json:"unauthorized"`
	BadRequests  int64 `json:"bad_requests"`
	Faults       int64 `json:"faults"` // requests that a fault fell on
	Bytes        int64 `json:"bytes"`  // of request bodies
	Objects      int64 `json:"objects"`
	// HistoryLost counts the applied records that the history had no room for:
	// above zero, a checker must not conclude from it.
	HistoryLost int64 `json:"history_lost"`
}

// stored is an Object with the order of its last change.
type stored struct {
	Object
	seq int64
}

// app is one simulated system.
type app struct {
	name       string
	conf       App
	maxHistory int
	schemas    map[string]*sinks.Schema // by object, never changed after New

	// mu covers what follows. It is never held during I/O nor together with
	// another lock.
	mu      sync.Mutex
	bucket  bucket
	objects map[string]map[string]*stored   // by object, key
	history map[string]map[string][]Applied // by object, key
	kept    int                             // entries in history
	seq     int64
	stats   Stats
}

func newApp(name string, conf App, history int) *app {
	if conf.MaxRecords <= 0 {
		conf.MaxRecords = defaultMaxRecords
	}
	a := &app{name: name, conf: conf, maxHistory: history}
	a.reset()
	return a
}

func (a *app) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket = newBucket(a.conf.RequestsPerSecond, a.conf.Burst)
	a.objects = make(map[string]map[string]*stored)
	a.history = make(map[string]map[string][]Applied)
	a.kept, a.seq, a.stats = 0, 0, Stats{}
}

// count changes the counters.
func (a *app) count(f func(*Stats)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.stats)
}

// apply takes checked records in order and gives one result for each; a record
// with a refusal is counted and changes nothing.
func (a *app) apply(object string, records []checked) []result {
	results := make([]result, len(records))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Records += int64(len(records))
	for i := range records {
		r := records[i].refusal
		if r == nil {
			r = a.violationLocked(object, &records[i])
		}
		if r != nil {
			a.stats.Refused++
			results[i] = result{Code: r.Code, Message: r.Message, Retryable: r.Retryable}
			continue
		}
		results[i] = result{OK: true, ID: a.applyLocked(object, &records[i])}
	}
	return results
}

// violationLocked looks at a record as what came before it in the same batch has left
// the object, since that decides whether it makes one.
func (a *app) violationLocked(object string, c *checked) *Refusal {
	schema := a.schemas[object]
	if schema == nil {
		return nil
	}
	var held map[string]json.RawMessage
	if o := a.objects[object][c.key]; o != nil {
		held = o.Fields
	}
	return violation(schema, &c.Record, held)
}

func (a *app) applyLocked(object string, c *checked) string {
	a.rememberLocked(object, c)
	o := a.objects[object][c.key]
	switch c.Op {
	case opDelete:
		a.stats.Deletes++
		if o == nil {
			return ""
		}
		delete(a.objects[object], c.key)
		return o.ID
	case opArchive:
		a.stats.Archives++
		if o == nil {
			return ""
		}
		o.Archived = true
	default:
		a.stats.Upserts++
		if o == nil {
			o = a.createLocked(object, c)
		}
		maps.Copy(o.Fields, c.Fields)
		o.Archived = false
	}
	o.Version++
	o.Position = c.position
	a.seq++
	o.seq = a.seq
	return o.ID
}

func (a *app) createLocked(object string, c *checked) *stored {
	if a.objects[object] == nil {
		a.objects[object] = make(map[string]*stored)
	}
	o := &stored{Object: Object{
		ID:     fmt.Sprintf("%s-%06d", a.name, a.seq+1),
		Key:    c.Key,
		Fields: make(map[string]json.RawMessage, len(c.Fields)),
	}}
	a.objects[object][c.key] = o
	return o
}

func (a *app) rememberLocked(object string, c *checked) {
	if a.maxHistory <= 0 {
		return
	}
	if a.kept >= a.maxHistory {
		a.stats.HistoryLost++
		return
	}
	a.kept++
	if a.history[object] == nil {
		a.history[object] = make(map[string][]Applied)
	}
	a.history[object][c.key] = append(a.history[object][c.key], Applied{Op: c.Op, Position: c.position})
}

// snapshot copies the objects of one kind that keep says yes to.
func (a *app) snapshot(object string, keep func(*stored) bool) map[string]Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]Object, len(a.objects[object]))
	for key, o := range a.objects[object] {
		if keep(o) {
			c := o.Object
			c.Fields = maps.Clone(o.Fields)
			out[key] = c
		}
	}
	return out
}

func (a *app) snapshotStats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.stats
	for _, objects := range a.objects {
		st.Objects += int64(len(objects))
	}
	return st
}
