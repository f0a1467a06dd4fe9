package salesforce

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Client is a Salesforce org as a target. It is safe for concurrent use.
type Client struct {
	login      string // Options.URL, without a slash at its end
	version    string
	exact      bool
	duplicates bool     // Options.AllowDuplicates
	headers    []header // of what writes records
	limits     sinks.Limits
	most       int // Bulk.MaxBytes
	http       *transport.Client
	large      *transport.Client // for the results of jobs
	tokens     *transport.Tokens
	now        func() time.Time
	quota      func(sinks.Quota)
	notes      sinks.Notes // nil if there are none
	rows       lots
	jobs       jobs
	pace       pace

	mu        sync.Mutex              // covers described
	described map[string]*description // by object, as far as was asked
}

var (
	_ sinks.Target         = (*Client)(nil)
	_ sinks.Able           = (*Client)(nil)
	_ sinks.Collation      = (*Client)(nil)
	_ sinks.Describer      = (*Client)(nil)
	_ sinks.QuotaTeller    = (*Client)(nil)
	_ sinks.NoteTaker      = (*Client)(nil)
	_ sinks.ReadBack       = (*Client)(nil)
	_ sinks.Prober         = (*Client)(nil)
	_ sinks.RequestCounter = (*Client)(nil)
)

// New makes a client. It does not connect. The error names the option that is wrong.
func New(o Options) (*Client, error) {
	o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	grant, err := o.grant()
	if err != nil {
		return nil, err
	}
	t := transport.Options{MaxIdle: o.MaxInFlight, Addresses: o.Addresses, Transport: o.Transport}
	c := &Client{
		login: strings.TrimSuffix(o.URL, "/"), version: o.Version, exact: o.ExactKeys, duplicates: o.AllowDuplicates, limits: o.limits(), most: o.Bulk.MaxBytes,
		now: o.Now, http: transport.New(t), described: make(map[string]*description),
	}
	// What a job answers holds what was sent to it, and an id and a text for each record.
	t.MaxAnswer = 2*int64(o.Bulk.MaxBytes) + transport.DefaultMaxAnswer
	c.large = transport.New(t)
	c.tokens = transport.NewTokens(c.http, grant, o.Now)
	if o.AllowDuplicates {
		c.headers = append(c.headers, header{"Sforce-Duplicate-Rule-Header", "allowSave=true; includeRecordDetails=false; runAsCurrentUser=true"})
	}
	if !o.AssignmentRules {
		c.headers = append(c.headers, header{"Sforce-Auto-Assign", "FALSE"})
	}
	return c, nil
}

// Limits tells the engine how to cut batches.
func (c *Client) Limits() sinks.Limits { return c.limits }

// Abilities tells what Salesforce does with the records of any object. An archive is a delete:
// what is deleted lies in the recycle bin for 15 days, from where people can take it back.
func (c *Client) Abilities(string) sinks.Abilities {
	return sinks.Abilities{Delete: true, Archive: true, Partial: true, Clear: true, Parents: true}
}

// Folds tells that there are key values that differ and are the same: by their blanks at least.
func (c *Client) Folds() bool { return true }

// FoldKey gives what key values have in common that are the same to Salesforce: it takes the
// blanks off the ends of texts, and an external id field compares without case, unless it was
// made case-sensitive.
func (c *Client) FoldKey(_ string, key sinks.Field) string {
	if c.exact {
		return strings.TrimSpace(sinks.ExactKey(key.Value))
	}
	return strings.TrimSpace(sinks.InsensitiveKey(key.Value))
}

// TellQuota sets who is told what answers say of the requests of a day (Sforce-Limit-Info).
func (c *Client) TellQuota(f func(sinks.Quota)) { c.quota = f }

// CountsRequests tells that it counts what it sends: package transport does.
func (c *Client) CountsRequests() bool { return true }

// TakeNotes gives it somewhere to note its jobs. Without notes there are no jobs: a batch
// that is meant as one goes by Composite.
func (c *Client) TakeNotes(n sinks.Notes) { c.notes = n }

// String names the login host. It keeps fmt from what changes while others use the client.
func (c *Client) String() string { return "salesforce at " + c.login }

// GoString is the same.
func (c *Client) GoString() string { return c.String() }

// Close gives idle connections back.
func (c *Client) Close() {
	c.http.Close()
	c.large.Close()
}

// fileTimeout bounds the upload of a job, or the download of its results: Salesforce ends a
// request after ten minutes.
const fileTimeout = 10 * time.Minute

// call is a request below /services/data/VERSION.
type call struct {
	method, path string
	kind         string // of the body; JSON if empty
	body         []byte
	large        bool // its answer is
}

// send makes a call, with a token that holds: if it is refused once, another one is got. The
// answer has any status but 401. An error means that there is no answer.
func (c *Client) send(ctx context.Context, r call) (*transport.Answer, error) {
	for again := false; ; again = true {
		token, err := c.tokens.Get(ctx)
		if err != nil {
			return nil, err
		}
		a, err := c.try(ctx, r, token)
		if err != nil {
			return nil, err
		}
		if a.Status != http.StatusUnauthorized {
			return a, a.Err
		}
		c.tokens.Spent(token)
		if again {
			return nil, statusError(a, c.now())
		}
	}
}

func (c *Client) try(ctx context.Context, r call, token transport.Token) (*transport.Answer, error) {
	base, err := c.base(token)
	if err != nil {
		return nil, err
	}
	timeout := c.limits.Timeout
	if r.large || r.kind != "" {
		timeout = max(timeout, fileTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	h := http.Header{"Authorization": {"Bearer " + token.Value.Reveal()}, "Accept": {"application/json"}}
	if r.body != nil {
		h.Set("Content-Type", "application/json")
	}
	if r.kind != "" {
		h.Set("Content-Type", r.kind)
	}
	client := c.http
	if r.large {
		h.Set("Accept", "text/csv")
		client = c.large
	}
	a, err := client.Do(ctx, transport.Request{Method: r.method, URL: base + c.path(r.path), Header: h, Body: r.body})
	if err != nil {
		return nil, err
	}
	if q := transport.QuotaOf(a.Header, c.now()); c.quota != nil && q.Daily.Known {
		c.quota(q)
	}
	return a, nil
}

// path is that of a resource, as sub-requests have it too.
func (c *Client) path(rest string) string { return "/services/data/" + c.version + rest }

// base is where the org is: as the token tells, or else where it was got. Rows go nowhere
// without TLS if the login went by it.
func (c *Client) base(t transport.Token) (string, error) {
	if t.Instance == "" {
		return c.login, nil
	}
	u, err := url.Parse(t.Instance)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || strings.HasPrefix(c.login, "https://")) {
		return "", &sinks.Misconfigured{Err: fmt.Errorf("get a token: %s gave no valid instance_url", c.login), Hint: "check the target's url"}
	}
	return strings.TrimSuffix(t.Instance, "/"), nil
}

// ask makes a call whose answer has to be one of 2xx.
func (c *Client) ask(ctx context.Context, r call) (*transport.Answer, error) {
	a, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if !a.OK() {
		return nil, statusError(a, c.now())
	}
	return a, nil
}

// Probe gets a token and asks for the limits of the org, which changes nothing. It is one API
// call, and needs the permission API Enabled.
func (c *Client) Probe(ctx context.Context) error {
	_, err := c.ask(ctx, call{method: http.MethodGet, path: "/limits"})
	return err
}
