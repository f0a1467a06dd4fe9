package sinktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

// The wire of the API that the fake target of these tests speaks to.
type wireRecord struct {
	Op       string                     `json:"op"` // upsert, create, delete, archive
	Key      json.RawMessage            `json:"key"`
	Fields   map[string]json.RawMessage `json:"fields"`
	Position uint64                     `json:"position"`
	Guard    bool                       `json:"guard"`
}

type wireResult struct {
	Key  string `json:"key"`
	ID   string `json:"id"`
	OK   *bool  `json:"ok"`
	Code string `json:"code"`
}

type wireAnswer struct {
	Results []wireResult `json:"results"`
}

// api is that server. Its records are by key; what create made of a key that was there is below
// another one.
type api struct {
	folds bool

	mu      sync.Mutex // covers what follows
	records map[string]map[string]json.RawMessage
	newest  map[string]uint64
}

// tokens is what all tokens begin with.
const tokens = private + "-token-"

func (a *api) held(string) map[string]map[string]json.RawMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]map[string]json.RawMessage, len(a.records))
	for key, fields := range a.records {
		out[key] = maps.Clone(fields)
	}
	return out
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out any
	switch {
	case r.URL.Path == "/token":
		out = tokens + "1"
	case !strings.HasPrefix(r.Header.Get("Authorization"), tokens):
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.URL.Path == "/batch":
		var in []wireRecord
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in) > 50 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		ans := wireAnswer{}
		for i := range in {
			ans.Results = append(ans.Results, a.apply(&in[i]))
		}
		out = ans
	case r.URL.Path == "/read":
		out = a.records
	case r.URL.Path == "/describe/Deal":
		out = &sinks.Schema{Fields: []sinks.SchemaField{{Name: "Ext", Type: sinks.FieldText, Key: true}, {Name: "Name", Type: sinks.FieldText}, {Name: "Amount", Type: sinks.FieldNumber}}}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		panic(err)
	}
}

func (a *api) apply(r *wireRecord) wireResult {
	yes, no := true, false
	key := sinks.ExactKey(r.Key)
	at := key
	if a.folds {
		at = strings.ToLower(key)
	}
	res := wireResult{Key: key, ID: "id " + at, OK: &yes}
	if r.Guard && r.Position < a.newest[at] {
		return res
	}
	switch {
	case string(r.Fields["Amount"]) == `"bad"`:
		return wireResult{Key: key, OK: &no, Code: "BAD"}
	case string(r.Fields["Parent"]) == `"none"`:
		return wireResult{Key: key, OK: &no, Code: "NO_PARENT"}
	case r.Op == "delete" || r.Op == "archive":
		if a.records[at] == nil {
			return wireResult{Key: key, OK: &no, Code: "NOT_FOUND"}
		}
		delete(a.records, at)
	case r.Op == "create" && a.records[at] != nil:
		a.records[fmt.Sprint(at, "#", len(a.records))] = r.Fields
	default:
		if a.records[at] == nil {
			a.records[at] = make(map[string]json.RawMessage)
		}
		maps.Copy(a.records[at], r.Fields)
	}
	a.newest[at] = max(a.newest[at], r.Position)
	return res
}

// edit changes the results of an answer.
func edit(f func([]wireResult) []wireResult) func([]byte) []byte {
	return func(body []byte) []byte {
		var a wireAnswer
		if err := json.Unmarshal(body, &a); err != nil {
			return body
		}
		a.Results = f(a.Results)
		b, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		return b
	}
}

// subject is the fake target, with a flaw.
func subject(flaw string) *Subject {
	return &Subject{
		Serve: func(testing.TB) Server {
			a := &api{records: make(map[string]map[string]json.RawMessage), newest: make(map[string]uint64), folds: flaw == "server folds"}
			return Server{Handler: a, Held: a.held}
		},
		Make:   func(_ testing.TB, site Site) sinks.Target { return newFake(flaw, site) },
		Shown:  func(site Site) []any { return []any{shown(flaw, site)} },
		Object: "Deal", Key: "Ext", Text: "Name", Number: "Amount",
		Bad:     sinks.Field{Name: "Amount", Value: json.RawMessage(`"bad"`)},
		Orphan:  sinks.Field{Name: "Parent", Value: json.RawMessage(`"none"`)},
		Carries: func(r *http.Request) bool { return r.URL.Path == "/batch" },
		Renews:  true,
		Reorder: edit(func(rs []wireResult) []wireResult { slices.Reverse(rs); return rs }),
		Lose:    edit(func(rs []wireResult) []wireResult { return rs[:len(rs)-1] }),
		Quota:   http.Header{"X-Left": {"5"}},
	}
}
