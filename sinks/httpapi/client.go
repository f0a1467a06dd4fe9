package httpapi

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/transport"
)

// maxAnswer bounds the body of an answer.
const maxAnswer = 16 << 20

// Client is a target that is spoken to as a form says. It is safe for concurrent use.
type Client struct {
	plan    *form.Plan
	auth    *authority
	url     string // what the paths of the form are added to
	host    string
	about   string // Options.Describe
	header  http.Header
	notes   sinks.Notes // nil where nothing is remembered
	limits  sinks.Limits
	folds   bool // Options.IgnoreKeyCase
	http    *transport.Client
	now     func() time.Time
	quota   func(sinks.Quota)
	allowed sinks.Addresses
}

var (
	_ sinks.Target         = (*Client)(nil)
	_ sinks.Collation      = (*Client)(nil)
	_ sinks.Describer      = (*Client)(nil)
	_ sinks.QuotaTeller    = (*Client)(nil)
	_ sinks.Able           = (*Client)(nil)
	_ sinks.NoteTaker      = (*Client)(nil)
	_ sinks.Prober         = (*Client)(nil)
	_ sinks.RequestCounter = (*Client)(nil)
)

// New makes a client. It does not connect. The error is of type form.Problems where it is about
// the form.
func New(o Options) (*Client, error) {
	o.defaults()
	plan, err := form.Compile(o.Form)
	if err != nil {
		return nil, err
	}
	u, err := o.check()
	if err != nil {
		return nil, err
	}
	c := &Client{
		plan: plan, url: o.Form.URL, host: u.Host, about: o.Describe, header: http.Header{}, now: o.Now, folds: o.IgnoreKeyCase, allowed: o.Addresses,
		limits: sinks.Limits{MaxBatch: plan.MaxBatch(), MaxInFlight: o.MaxInFlight, Timeout: o.Timeout},
	}
	if o.MaxBatch > 0 && (o.MaxBatch < c.limits.MaxBatch || c.limits.MaxBatch > 1 && o.Form.MaxBatch == 0) {
		c.limits.MaxBatch = o.MaxBatch
	}
	c.header.Set("User-Agent", "walbridge")
	for name, value := range o.Headers {
		c.header.Set(name, value.Reveal())
	}
	c.http = transport.New(transport.Options{MaxIdle: o.MaxInFlight, Addresses: o.Addresses, MaxAnswer: maxAnswer, Transport: o.Transport})
	if c.auth, err = newAuthority(o, c.http); err != nil {
		c.http.Close()
		return nil, err
	}
	return c, nil
}

// String names the target without what it holds, which may be secret (I14).
func (c *Client) String() string { return "http target at " + c.host }

// GoString is the same, for %#v.
func (c *Client) GoString() string { return c.String() }

// LogValue is the same, for a log.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Limits tells the engine how to cut batches.
func (c *Client) Limits() sinks.Limits { return c.limits }

// Named lists the objects that the form has names for, sorted; none if it has none.
func (c *Client) Named() []string { return c.plan.Named() }

// Close gives idle connections back.
func (c *Client) Close() { c.http.Close() }

// Abilities tells what the API can do, as the form says.
func (c *Client) Abilities(string) sinks.Abilities { return c.plan.Abilities() }

// CountsRequests tells that it counts what it sends: package transport does.
func (c *Client) CountsRequests() bool { return true }

// TakeNotes gives it somewhere to keep the ids of records.
func (c *Client) TakeNotes(n sinks.Notes) { c.notes = n }
