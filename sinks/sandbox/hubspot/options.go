package hubspot

import (
	"log/slog"
	"time"
)

// Limits are those of the calls of an account; zero is no limit.
type Limits struct {
	TenSecondly int // in any ten seconds; TEN_SECONDLY_ROLLING
	Secondly    int // in any second
	Daily       int // from midnight to midnight in the account's time zone
	Search      int // of searches, in any second; they do not count for the others
}

// DefaultLimits are those of a private app of a Professional or Enterprise account.
func DefaultLimits() Limits { return Limits{TenSecondly: 190, Daily: 650_000, Search: 5} }

// LockRule makes heavy writes to one type answer with 423: once more than Records were
// written to it within a span, it is locked for two seconds. Its zero value never locks.
type LockRule struct {
	Records int
	Within  time.Duration
}

// App is a private app of the account: a token and what it may do.
type App struct {
	Token string
	// Scopes it was granted, such as crm.objects.contacts.write; nil is all.
	Scopes []string
}

// OAuth is a public app that an account has installed.
type OAuth struct {
	ClientID, ClientSecret, RefreshToken string
	// Lifetime of an access token; zero is half an hour.
	Lifetime time.Duration
	Scopes   []string // nil is all
}

// Owner is a user that records can belong to.
type Owner struct{ ID, Email, FirstName, LastName string }

// Options configure a Server. The zero value is an account without limits that takes any
// bearer token.
type Options struct {
	PortalID int64        // zero is 4242
	Types    []ObjectType // nil is DefaultTypes
	Labels   []Label      // of associations, beside HubSpot's own
	Owners   []Owner      // nil is two made up
	// Apps and OAuth say which tokens are taken. Without either any is, and so are any
	// credentials of a public app.
	Apps   []App
	OAuth  *OAuth
	Limits Limits
	Zone   *time.Location // of the account; nil is UTC
	Lock   LockRule
	// FreeArchived lets a unique value of an archived record be taken by another; otherwise
	// it is in the way until the record is restored.
	FreeArchived bool
	// Seed of the order of results, and of the ids of errors.
	Seed uint64
	Now  func() time.Time // nil is time.Now
	// Logger is told of switches; nil is silence.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.PortalID == 0 {
		o.PortalID = 4242
	}
	if o.Types == nil {
		o.Types = DefaultTypes()
	}
	if o.Owners == nil {
		o.Owners = []Owner{{"1001", "ada@example.com", "Ada", "Byron"}, {"1002", "grace@example.com", "Grace", "Hopper"}}
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OAuth != nil && o.OAuth.Lifetime == 0 {
		clone := *o.OAuth
		clone.Lifetime = lifetime
		o.OAuth = &clone
	}
	return o
}
