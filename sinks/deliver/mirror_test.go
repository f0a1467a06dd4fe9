package deliver

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
)

// mirror sees what the target has whenever it is written that it has the same already.
type mirror struct {
	mu      sync.Mutex        // of nobody who takes another lock
	rows    map[string]string // by target key
	applied map[string]bool   // "source position"
	then    map[state.Key]string
	wrong   []string
}

// mirrors puts a mirror between target and store.
func (w *world) mirrors() *mirror {
	m := &mirror{rows: map[string]string{}, applied: map[string]bool{}, then: map[state.Key]string{}}
	w.target.mirror, w.store.mirror = m, m
	return m
}

func (m *mirror) apply(r *sinks.Record, fields map[string]string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied[r.Source+" "+r.Position.String()] = true
	text, err := json.Marshal(fields) // sorted
	if err != nil {
		panic(err)
	}
	m.rows[string(r.Key.Value)] = string(text)
}

// written is told of what a commit writes of a key.
func (m *mirror) written(key state.Key, was, k state.Known) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	has := m.rows[string(k.Key.Value)]
	if what := key.Source + " " + k.Seen.String(); was.Holds(k.Payload) && was.Seen != k.Seen && !m.applied[what] && m.then[key] != has {
		m.wrong = append(m.wrong, fmt.Sprintf("%s: the target has %s and not %s, which at %v was not sent for being there already", key.Source, has, m.then[key], k.Seen))
	}
	m.then[key] = has
}
