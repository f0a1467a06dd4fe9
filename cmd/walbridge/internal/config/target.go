package config

import (
	"time"

	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

// Target is an external system.
type Target struct {
	Name string
	Type string // one of TargetTypes
	URL  Secret
	// Addresses are which addresses it may be connected to; all if empty.
	Addresses sinks.Addresses
	// Timeout bounds one request.
	Timeout time.Duration
	// MaxBatch is the greatest number of records in a request; zero for what the type says.
	MaxBatch int
	// MaxInFlight is the greatest number of requests under way at once.
	MaxInFlight int
	// From says where a target starts that has never taken anything: one of the From
	// constants; empty if the file does not say, which is FromBackfill.
	From string
	// KeyCase says whether the target takes key values that differ in case only for the
	// same: KeyCaseExact if it does not.
	KeyCase string
	// Rate is how many requests it gets, Retry how often and when a record is tried again,
	// Errors what its answers mean: the first that fits counts.
	Rate   Rate
	Retry  Retry
	Errors []sinks.Rule

	// Section is where the file says all this; empty where no file does.
	Section Section

	// What belongs to one type only:
	HTTP       HTTP
	HubSpot    HubSpot
	Salesforce Salesforce
	Postgres   PostgresTarget
}

// Where a target starts: its tables are read, beside what the log holds; or it takes what
// the log holds and what comes, or only what comes.
const (
	FromBackfill  = "backfill"
	FromBeginning = "beginning"
	FromNow       = "now"
)

// How a target compares the values of a key field.
const (
	KeyCaseExact       = "exact"
	KeyCaseInsensitive = "insensitive"
)

// kind is a type of targets: what its settings are, beside those that all have.
type kind struct {
	name string
	// keys are those of its settings.
	keys []string
	// set changes the defaults that all have.
	set func(*Target)
	// load reads the settings, validate finds what they lack or cannot mean; at is the
	// path of the target.
	load     func(*loader, *yamldoc.Section, *Target)
	validate func(*Target, *validator, string)
}

// kinds are the types of targets, in the order in which they are told.
var kinds = []kind{httpKind, hubSpotKind, salesforceKind, postgresKind}

// kindOf gives a type by its name; nil if there is none.
func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// TargetTypes are the types that a target can have.
func TargetTypes() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// DefaultTarget gives the limits of a target of a type that says nothing of its own.
func DefaultTarget(name string) Target {
	t := Target{Type: name, Timeout: 15 * time.Second, MaxBatch: 200, MaxInFlight: 4, KeyCase: KeyCaseExact, Rate: defaultRate(),
		Retry: Retry{Attempts: 20, Initial: 500 * time.Millisecond, Max: time.Minute}}
	if k := kindOf(name); k != nil && k.set != nil {
		k.set(&t)
	}
	return t
}

var keysOfTarget = []string{"type", "url", "addresses", "timeout", "max_batch", "max_in_flight", "from", "key_case", "rate", "retry", "errors"}

func (l *loader) targets(n *yamldoc.Node, c *Config) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.Map {
		l.doc.Fail(n, "want a section of named targets, not "+n.Kind.String(), "", "write crm: {type: http, url: …} below it")
		return
	}
	for i, k := range n.Keys {
		c.Targets = append(c.Targets, l.target(k.Text, n.Values[i]))
	}
}

func (l *loader) target(name string, n *yamldoc.Node) Target {
	var of string
	if n.Kind == yamldoc.Map {
		if v := n.Get("type"); v != nil && v.Kind == yamldoc.String {
			of = v.Text
		}
	}
	t := DefaultTarget(of)
	t.Name = name
	k := kindOf(of)
	keys := append([]string{}, keysOfTarget...)
	switch {
	case k != nil:
		keys = append(keys, k.keys...)
	default: // so that only the type is told of
		for i := range kinds {
			keys = append(keys, kinds[i].keys...)
		}
	}
	s := l.doc.Section(n, keys...)
	t.Section = Section{l.doc.Fresh(), n}
	s.Text("type", &t.Type)
	l.secret(s.Node("url"), &t.URL)
	s.Texts("addresses", (*[]string)(&t.Addresses))
	s.Duration("timeout", &t.Timeout)
	s.Int("max_batch", &t.MaxBatch)
	if n := s.Node("max_batch"); n != nil && t.MaxBatch == 0 && !l.doc.Failed(n.Path) {
		l.doc.Fail(n, "out of range", n.Shown(), "write a number from 1 to 10000")
	}
	s.Int("max_in_flight", &t.MaxInFlight)
	s.Text("from", &t.From)
	s.Text("key_case", &t.KeyCase)
	l.rate(s.Node("rate"), &t.Rate)
	l.retry(s.Node("retry"), &t.Retry)
	l.rules(s.Node("errors"), &t)
	if k != nil {
		k.load(l, s, &t)
	}
	return t
}

func (t *Target) check(v *validator) {
	at := "targets." + t.Name
	v.form(at, t.Name, targetForm, "name the target with lower-case letters, digits, - and _")
	v.choice(at+".type", t.Type, TargetTypes())
	if k := kindOf(t.Type); k != nil {
		k.validate(t, v, at)
	}
	if err := t.Addresses.Validate(); err != nil {
		v.fail(at+".addresses", err.Error(), "", "write networks such as 10.0.0.0/8, or public, or private")
	}
	v.span(at+".timeout", t.Timeout, 10*time.Millisecond, 10*time.Minute)
	if t.MaxBatch != 0 { // the loader tells of one that is written
		v.number(at+".max_batch", int64(t.MaxBatch), 1, 10_000)
	}
	v.number(at+".max_in_flight", int64(t.MaxInFlight), 1, 1000)
	if t.From != "" {
		v.choice(at+".from", t.From, []string{FromBeginning, FromNow, FromBackfill})
	}
	v.choice(at+".key_case", t.KeyCase, []string{KeyCaseExact, KeyCaseInsensitive})
	t.validateLimits(v, at)
}

// needURL checks an address that a target must have.
func (t *Target) needURL(v *validator, at string, schemes []string, example string) {
	if t.URL == "" {
		v.fail(at+".url", "no address of the target", "", example)
	} else {
		v.address(at+".url", t.URL, schemes, example)
	}
}
