package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Objects copies what an app holds of one kind of object, archived ones
// included, by key text: a string key as it is, any other as its JSON. An
// unknown app holds nothing.
func (s *Server) Objects(app, object string) map[string]Object {
	a := s.apps[app]
	if a == nil {
		return nil
	}
	return a.snapshot(object, func(*stored) bool { return true })
}

// Fields copies the fields of the objects that are not archived, by key text.
func (s *Server) Fields(app, object string) map[string]map[string]json.RawMessage {
	a := s.apps[app]
	if a == nil {
		return nil
	}
	live := a.snapshot(object, func(o *stored) bool { return !o.Archived })
	out := make(map[string]map[string]json.RawMessage, len(live))
	for key, o := range live {
		out[key] = o.Fields
	}
	return out
}

// History copies, by key text, what was applied to each key of one kind of
// object, in the order it was applied. It is empty unless Options.History is
// set, and incomplete once Stats.HistoryLost is above zero.
func (s *Server) History(app, object string) map[string][]Applied {
	a := s.apps[app]
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string][]Applied, len(a.history[object]))
	for key, h := range a.history[object] {
		out[key] = slices.Clone(h)
	}
	return out
}

// Backwards names every step in which a key received an older state after a
// newer one (I4), sorted; the same Position twice is a repeat and allowed. It
// judges what the history holds.
func (s *Server) Backwards() []string {
	var found []string
	for _, name := range s.Apps() {
		a := s.apps[name]
		a.mu.Lock()
		for object, keys := range a.history {
			for key, h := range keys {
				for i := 1; i < len(h); i++ {
					if h[i].Position.Before(h[i-1].Position) {
						found = append(found, fmt.Sprintf("%s/%s %s: %s at %s after %s at %s",
							name, object, key, h[i].Op, h[i].Position, h[i-1].Op, h[i-1].Position))
					}
				}
			}
		}
		a.mu.Unlock()
	}
	slices.Sort(found)
	return found
}

// Stats gives the counters by app.
func (s *Server) Stats() map[string]Stats {
	out := make(map[string]Stats, len(s.apps))
	for name, a := range s.apps {
		out[name] = a.snapshotStats()
	}
	return out
}
