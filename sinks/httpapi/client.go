package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// maxAnswer bounds the body of an answer.
const maxAnswer = 16 << 20

// Client is a target that takes JSON over HTTP. It is safe for concurrent use.
type Client struct {
	url     string
	host    string
	about   string // Options.Describe
	header  http.Header
	limits  sinks.Limits
	folds   bool // Options.IgnoreKeyCase
	http    *transport.Client
	now     func() time.Time
	quota   func(sinks.Quota)
	allowed sinks.Addresses
}

var (
	_ sinks.Target      = (*Client)(nil)
	_ sinks.Collation   = (*Client)(nil)
	_ sinks.Describer   = (*Client)(nil)
	_ sinks.QuotaTeller = (*Client)(nil)
)

// New makes a client. It does not connect.
func New(o Options) (*Client, error) {
	o.defaults()
	u, err := o.check()
	if err != nil {
		return nil, err
	}
	c := &Client{
		url: o.URL, host: u.Host, about: o.Describe, header: http.Header{}, now: time.Now, folds: o.IgnoreKeyCase, allowed: o.Addresses,
		limits: sinks.Limits{MaxBatch: o.MaxBatch, MaxInFlight: o.MaxInFlight, Timeout: o.Timeout},
	}
	c.header.Set("User-Agent", "walbridge")
	for name, value := range o.Headers {
		c.header.Set(name, value.Reveal())
	}
	c.header.Set("Content-Type", "application/json")
	c.header.Set("Accept", "application/json")
	c.http = transport.New(transport.Options{MaxIdle: o.MaxInFlight, Addresses: o.Addresses, MaxAnswer: maxAnswer, Transport: o.Transport})
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

// Close gives idle connections back.
func (c *Client) Close() { c.http.Close() }

// Deliver sends a batch in one request.
func (c *Client) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	body, err := Encode(b)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	a, err := c.http.Do(ctx, transport.Request{Method: http.MethodPost, URL: c.url, Header: c.header, Body: body})
	if err != nil {
		return nil, err
	}
	c.tellQuota(a.Header)
	if !a.OK() {
		return nil, transport.StatusError(a, saying(a.Body), c.now())
	}
	if a.Err != nil {
		return nil, a.Err
	}
	return c.results(a.Body, len(b.Records))
}

type answer struct {
	Results []result `json:"results"`
}

// results reads the answer to n records. Records that it says nothing of, or
// nothing clear, are to be sent again.
func (c *Client) results(body []byte, n int) ([]sinks.Result, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		// The decoder's own text may quote the answer.
		return nil, transport.ReadError(c.host, errors.New("it is not the JSON that was expected"))
	}
	if len(a.Results) > n {
		return nil, transport.ReadError(c.host, fmt.Errorf("it has %d results for %d records", len(a.Results), n))
	}
	out := make([]sinks.Result, n)
	for i := range out {
		if i >= len(a.Results) || a.Results[i].OK == nil {
			out[i].Err = transport.ReadError(c.host, fmt.Errorf("there is no result for record %d of %d", i+1, n))
			continue
		}
		out[i] = a.Results[i].read()
	}
	return out, nil
}
