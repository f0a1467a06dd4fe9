package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// DefaultMaxAnswer bounds the body of an answer where Options do not.
const DefaultMaxAnswer = 16 << 20

// ErrTooLong says that an answer is longer than Options.MaxAnswer.
var ErrTooLong = errors.New("it is too long")

// Options say how a client connects.
type Options struct {
	// MaxIdle is how many connections to one host are kept, 4 if zero: as many as there are
	// requests at once.
	MaxIdle int
	// Addresses are which addresses may be connected to; all if empty.
	Addresses sinks.Addresses
	// MaxAnswer bounds the body of an answer, in bytes; DefaultMaxAnswer if zero.
	MaxAnswer int64
	// Transport makes the round trips; one of the client's own if nil, which keeps to
	// Addresses. A given one is trusted to.
	Transport http.RoundTripper
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	http *http.Client
	max  int64
}

// New makes a client. It does not connect.
func New(o Options) *Client {
	if o.MaxIdle <= 0 {
		o.MaxIdle = 4
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = DefaultMaxAnswer
	}
	rt := o.Transport
	if rt == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = o.MaxIdle
		guard(o.Addresses, t)
		rt = t
	}
	return &Client{max: o.MaxAnswer, http: &http.Client{Transport: rt,
		// Whom it redirects to would get the credentials and the rows.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one request, as bytes: it may be sent any number of times.
type Request struct {
	Method string
	URL    string // it may hold a secret, so only its host is shown
	Header http.Header
	Body   []byte
}

// Answer is what was answered, whatever its status; the body has been read.
type Answer struct {
	Host   string
	Status int
	Header http.Header
	Body   []byte
	// Err tells that the body did not come as a whole: an error that ReadError made.
	Err error
}

// OK tells whether the status is one of 2xx.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Do sends a request and reads its answer. An error means that there is none: it is
// Retryable, with an unknown outcome unless the connection was never made, or Misconfigured.
// It counts what it has sent (sinks.CountRequest): nothing where no connection was made, and
// once more where net/http sends again what was lost with a connection that had been idle.
func (c *Client) Do(ctx context.Context, r Request) (*Answer, error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() {
		sent.Store(true)
		sinks.CountRequest(ctx)
	}})
	req, err := http.NewRequestWithContext(traced, r.Method, r.URL, body)
	if err != nil {
		return nil, &sinks.Misconfigured{Err: errors.New("make request: the url is not valid"), Hint: "correct the target's url"}
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "walbridge")
	}
	host := req.URL.Host
	// The context says so too, but a moment later where the process was stopped until now; and who
	// has taken over meanwhile relies on nothing being sent any more (I4).
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		return nil, &sinks.Retryable{Err: fmt.Errorf("send to %s: %w", host, context.DeadlineExceeded)}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, sendError(host, err)
	}
	if !sent.Load() { // Options.Transport tells of nothing, and there is an answer
		sinks.CountRequest(ctx)
	}
	a := &Answer{Host: host, Status: res.StatusCode, Header: res.Header}
	a.Body, err = io.ReadAll(io.LimitReader(res.Body, c.max+1))
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	switch {
	case err != nil:
		a.Err = ReadError(host, plain(err))
	case int64(len(a.Body)) > c.max:
		a.Err = ReadError(host, fmt.Errorf("%w: over %d bytes", ErrTooLong, c.max))
	}
	return a, nil
}

// ReadError is of an answer that cannot be made sense of: the request may have been carried
// out. The reason must not quote the answer.
func ReadError(host string, reason error) error {
	return &sinks.Retryable{Unknown: true, Err: fmt.Errorf("read answer of %s: %w", host, reason)}
}

// plain takes the URL out of an error of net/http, since it may hold a secret.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
