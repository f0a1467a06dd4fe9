package sinktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// Subject is a target under test.
type Subject struct {
	// Serve makes a server that holds no records. It may register its end with Cleanup.
	Serve func(tb testing.TB) Server
	// Make makes a target of that server. The suite closes it, where it has a Close, and
	// gives it notes, where it takes some. It may be called several times for one server, as
	// for a second process.
	Make func(tb testing.TB, site Site) sinks.Target
	// Shown makes further values, such as options, that must not show Site.Secret however they
	// are printed. May be nil.
	Shown func(site Site) []any

	// Object, Key, Text and Number are names at the target: of an object, of its key field
	// (which holds texts), of a field for any text up to 100 characters, and of one for exact
	// decimal numbers, empty if it has none.
	Object, Key, Text, Number string
	// Exact is a number with more digits than a float64 holds; 12345678901234567.890 if empty.
	Exact string
	// Also are fields that every upsert has.
	Also []sinks.Field
	// Bad is a field with a value that the server refuses, in a record that is otherwise fine.
	Bad sinks.Field
	// Orphan is a field that refers to a record that the server does not have. Optional: without
	// it nothing is checked of parents.
	Orphan sinks.Field

	// Keys are key values of which the target's form allows less than any text: they take the
	// place of the suite's odd ones.
	Keys []string
	// KeyMax is the greatest length of a key; 255 if zero.
	KeyMax int

	// Carries tells whether a request carries records: those are what faults fall on. If it is
	// nil all do.
	Carries func(r *http.Request) bool
	// Renews tells that the target gets itself a new token when one is refused.
	Renews bool
	// Reorder gives an answer to several records with its results in another order, where the
	// API does not promise theirs. Nil if it does.
	Reorder func(body []byte) []byte
	// Lose gives an answer to several records without the result of the last one. Nil if there
	// is no such answer.
	Lose func(body []byte) []byte
	// Quota are headers of an answer that tell of a quota, where the target tells of it.
	Quota http.Header

	// Skip are checks that do not apply, each with the reason.
	Skip map[string]string
}

// Server is what a target speaks to: a Handler, or something else at an Address.
type Server struct {
	// Handler is an API over HTTP. It asks for Site.Secret, as far as it asks for anything.
	Handler http.Handler
	// Address is a host:port of TCP, where there is no Handler.
	Address string
	// Held gives the records of an object that there are, by key and field; archived ones are
	// not there. A number may be a text of it; empty is a null, an empty text or no field.
	Held func(object string) map[string]map[string]json.RawMessage
}

// Site is where a target finds its server, through the wire of the suite.
type Site struct {
	// URL is http://host:port, for a Handler; Address is the same without http://.
	URL, Address string
	// Secret is what it is to log in with.
	Secret string
	// Timeout is to be that of its Limits.
	Timeout time.Duration
}

// check is one thing that must hold.
type check struct {
	name string
	// on tells whether it is about a subject; nil is about all.
	on  func(s *Subject, http bool) bool
	run func(st *stage)
}

func onHTTP(_ *Subject, http bool) bool { return http }

// Checks lists the names of all checks, as Subject.Skip takes them.
func Checks() (names []string) {
	for _, c := range allChecks() {
		names = append(names, c.name)
	}
	return names
}

func allChecks() []check {
	return slices.Concat(recordChecks, abilityChecks, contractChecks, answerChecks, statusChecks, timeChecks)
}

// Run holds a target against the contract, one subtest for each check.
func Run(t *testing.T, s Subject) {
	t.Helper()
	if problem := badSkip(s.Skip); problem != "" {
		t.Error(problem)
	}
	for _, c := range allChecks() {
		t.Run(c.name, func(t *testing.T) {
			if why := s.Skip[c.name]; why != "" {
				t.Skip(why)
			}
			examine(t, &s, c)
		})
	}
}

// badSkip says what is wrong with Subject.Skip.
func badSkip(skip map[string]string) string {
	for name, why := range skip {
		if !slices.Contains(Checks(), name) || why == "" {
			return fmt.Sprintf("skip %q (%q): want the name of a check, with a reason", name, why)
		}
	}
	return ""
}

// examine runs one check, on a server and a target of its own.
func examine(tb testing.TB, s *Subject, c check) {
	tb.Helper()
	server := s.Serve(tb)
	if c.on != nil && !c.on(s, server.Handler != nil) {
		tb.Skip("not about this target")
	}
	c.run(setUp(tb, s, server))
}
