package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// maxAnswer bounds the body of an answer.
const maxAnswer = 16 << 20

// Client is a target that takes JSON over HTTP. It is safe for concurrent use.
type Client struct {
	url    string
	host   string
	about  string // Options.Describe
	header http.Header
	limits sinks.Limits
	folds  bool // Options.IgnoreKeyCase
	http   *http.Client
	now    func() time.Time
	quota  func(sinks.Quota)
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
		url: o.URL, host: u.Host, about: o.Describe, header: http.Header{}, now: time.Now, folds: o.IgnoreKeyCase,
		limits: sinks.Limits{MaxBatch: o.MaxBatch, MaxInFlight: o.MaxInFlight, Timeout: o.Timeout},
	}
	c.header.Set("User-Agent", "walbridge")
	for name, value := range o.Headers {
		c.header.Set(name, value.Reveal())
	}
	c.header.Set("Content-Type", "application/json")
	c.header.Set("Accept", "application/json")
	h := &http.Client{}
	if o.Client != nil {
		*h = *o.Client
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = o.MaxInFlight
		h.Transport = t
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = h
	return c, nil
}

// Limits tells the engine how to cut batches.
func (c *Client) Limits() sinks.Limits { return c.limits }

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Deliver sends a batch in one request.
func (c *Client) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	body, err := Encode(b)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, &sinks.Misconfigured{Err: errors.New("make request: the url is not valid"), Hint: "correct the target's url"}
	}
	req.Header = c.header.Clone()
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.sendError(err)
	}
	c.tellQuota(res.Header)
	answer, readErr := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err := res.Body.Close(); err != nil && readErr == nil {
		readErr = err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, c.statusError(res, answer)
	}
	if readErr != nil {
		return nil, c.unknown("read answer of %s: %w", plain(readErr))
	}
	if len(answer) > maxAnswer {
		return nil, c.unknown("read answer of %s: %w", fmt.Errorf("it is longer than %d bytes", maxAnswer))
	}
	return c.results(answer, len(b.Records))
}

func (c *Client) unknown(format string, err error) error {
	return &sinks.Retryable{Unknown: true, Err: fmt.Errorf(format, c.host, err)}
}

// plain takes the URL out of an error of net/http, since it may hold a secret.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// sendError says what it means that a request has no answer. Only a request
// whose connection was never made is known not to have been carried out.
func (c *Client) sendError(err error) error {
	err = plain(err)
	var (
		cert *tls.CertificateVerificationError
		op   *net.OpError
		dns  *net.DNSError
	)
	switch {
	case errors.As(err, &cert):
		return &sinks.Misconfigured{Err: fmt.Errorf("send to %s: %w", c.host, err),
			Hint: "use a certificate that this machine trusts, or add its authority to the system's list"}
	case errors.As(err, &dns), errors.As(err, &op) && op.Op == "dial":
		return &sinks.Retryable{Err: fmt.Errorf("connect to %s: %w", c.host, err)}
	}
	return &sinks.Retryable{Unknown: true, Err: fmt.Errorf("send to %s: %w", c.host, err)}
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
		return nil, c.unknown("read answer of %s: %w", errors.New("it is not the JSON that was expected"))
	}
	if len(a.Results) > n {
		return nil, c.unknown("read answer of %s: %w", fmt.Errorf("it has %d results for %d records", len(a.Results), n))
	}
	out := make([]sinks.Result, n)
	for i := range out {
		if i >= len(a.Results) || a.Results[i].OK == nil {
			out[i].Err = c.unknown("read answer of %s: %w", fmt.Errorf("there is no result for record %d of %d", i+1, n))
			continue
		}
		out[i] = a.Results[i].read()
	}
	return out, nil
}
