package sim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Simulation is an API of somebody else, with what it was given. It is safe for concurrent
// use, owns no goroutine and needs no Close.
type Simulation interface {
	http.Handler // sees paths without the prefix; see BaseURL

	// Objects lists the kinds of records that it holds or can hold, sorted.
	Objects() []string
	// Count tells how many records of a kind there are.
	Count(object string) int
	// Records gives the records of a kind, newest first; no more than max, all if max is
	// zero. The maps and texts are the caller's.
	Records(object string, max int) []Row
	// Calls gives the number of requests by kind, such as composite, as the API counts
	// them.
	Calls() map[string]int64
	// Reset forgets all records and counts.
	Reset()
}

// Row is a record for people to look at.
type Row struct {
	ID      string                     `json:"id"` // the API's own id
	Fields  map[string]json.RawMessage `json:"fields"`
	Changed time.Time                  `json:"changed"`
}

// Refusal is how a fault wants a record to be refused.
type Refusal struct {
	Code, Message string
	Retryable     bool
}

// Refuser is a Simulation on whose records the sandbox's faults of the kind refuse can fall.
type Refuser interface {
	// SetRefusals is called once, before the first request. The function is to be asked
	// about each record that is written; nil means that it is taken.
	SetRefusals(func(object string, fields map[string]json.RawMessage) *Refusal)
}

// Faulty is a Simulation with a form of its own for errors, in which it tells of the sandbox's
// faults of the kind status.
type Faulty interface {
	// Fault answers with a status. Code and message may be empty: then they are those that
	// the API has for it.
	Fault(w http.ResponseWriter, status int, code, message string)
}

type prefixKey struct{}

// Mount serves h below /name/.
func Mount(name string, h http.Handler) http.Handler {
	prefix := "/" + name
	stripped := http.StripPrefix(prefix, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == prefix {
			r = r.Clone(r.Context())
			r.URL = &url.URL{Path: prefix + "/", RawQuery: r.URL.RawQuery}
		}
		stripped.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), prefixKey{}, prefix)))
	})
}

// BaseURL gives the address under which the client that sent r reaches the root of the
// handler that sees it, such as http://127.0.0.1:8650/salesforce: without a slash at its
// end, and with the prefix that Mount took away.
func BaseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	prefix, _ := r.Context().Value(prefixKey{}).(string)
	return strings.TrimSuffix(scheme+"://"+r.Host+prefix, "/")
}
