package hubspot

import (
	"context"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Client is a target of one HubSpot account. It is safe for concurrent use.
type Client struct {
	paths        paths
	token        func() Secret     // of a private app; a Secret here would be shown by fmt
	tokens       *transport.Tokens // of a public one; nil without
	limits       sinks.Limits
	associations []Association
	folds        bool // Options.IgnoreKeyCase
	http         *transport.Client
	allowed      sinks.Addresses
	now          func() time.Time
	notes        sinks.Notes // nil if nobody gave any
	quota        func(sinks.Quota)
	remade       func(context.Context, []sinks.Record) error // nil if nobody is told
}

var (
	_ sinks.Target         = (*Client)(nil)
	_ sinks.Able           = (*Client)(nil)
	_ sinks.Collation      = (*Client)(nil)
	_ sinks.Describer      = (*Client)(nil)
	_ sinks.NoteTaker      = (*Client)(nil)
	_ sinks.Prober         = (*Client)(nil)
	_ sinks.QuotaTeller    = (*Client)(nil)
	_ sinks.ReadBack       = (*Client)(nil)
	_ sinks.References     = (*Client)(nil)
	_ sinks.Remaker        = (*Client)(nil)
	_ sinks.RequestCounter = (*Client)(nil)
)

// New makes a client. It does not connect. The error begins with the name of the setting
// that is wrong.
func New(o Options) (*Client, error) {
	o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Client{
		paths: paths{o.URL, o.Version}, token: func() Secret { return o.Token }, associations: o.Associations, folds: o.IgnoreKeyCase, allowed: o.Addresses, now: o.Now,
		limits: sinks.Limits{MaxBatch: o.MaxBatch, MaxInFlight: o.MaxInFlight, Timeout: o.Timeout},
		http:   transport.New(transport.Options{MaxIdle: o.MaxInFlight, Addresses: o.Addresses, Transport: o.Transport}),
	}
	if l := o.Login; l != (Login{}) {
		// "Rate Limited? Yes" (legacydocs.hubspot.com, refresh-access-token).
		c.tokens = transport.NewTokens(c.http, transport.Grant{
			URL: c.paths.token(), Form: transport.RefreshToken(l.ClientID, l.ClientSecret, l.RefreshToken), Dead: deadGrant, Vault: o.Vault, Counts: true}, o.Now)
	}
	return c, nil
}

// String names the target by its address. All else stays hidden (I14): notes have keys of rows.
func (c *Client) String() string { return "HubSpot at " + c.paths.root }

// GoString names it too.
func (c *Client) GoString() string { return c.String() }

// Limits tells the engine how to cut batches.
func (c *Client) Limits() sinks.Limits { return c.limits }

// Close gives idle connections back.
func (c *Client) Close() { c.http.Close() }

// Abilities are the same for all objects. A delete is an archive: HubSpot keeps what was
// deleted for 90 days.
func (c *Client) Abilities(string) sinks.Abilities {
	return sinks.Abilities{Delete: true, Archive: true, Partial: true, Clear: true, Parents: true}
}

// CountsRequests tells that it counts what it sends: package transport does.
func (c *Client) CountsRequests() bool { return true }

// TakeNotes gives it somewhere to keep the ids of records, and what they are associated with.
func (c *Client) TakeNotes(n sinks.Notes) { c.notes = n }

// TellQuota sets who is told what answers say of quotas.
func (c *Client) TellQuota(f func(sinks.Quota)) { c.quota = f }

// TellRemade sets who is told of records that are there under another id.
func (c *Client) TellRemade(f func(context.Context, []sinks.Record) error) { c.remade = f }

// Probe tells whether something listens at the target's address. It sends nothing.
func (c *Client) Probe(ctx context.Context) error {
	return transport.Probe(ctx, c.paths.root, c.allowed)
}

// Folds tells that there are keys that HubSpot takes for the same.
func (c *Client) Folds() bool { return true }

// FoldKey gives what key values have in common that are the same to HubSpot: it keeps the
// email addresses of contacts in lower case.
func (c *Client) FoldKey(object string, key sinks.Field) string {
	if c.folds || canonical(object) == "contacts" && key.Name == "email" {
		return sinks.InsensitiveKey(key.Value)
	}
	return sinks.ExactKey(key.Value)
}
