package transport

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/walbridge/walbridge/sinks"
)

// Grant says how a token is got (RFC 6749, section 4): with a form that is posted to URL.
type Grant struct {
	URL string
	// Form makes the form; it is called for each try, as an assertion has a time in it. The
	// error is Misconfigured.
	Form func(now time.Time) (url.Values, error)
	// Header is sent along, such as Authorization for a client that identifies itself so.
	Header http.Header
	// Dead tells from the target's own word and text that the grant will never be given
	// again; nil for what RFC 6749 says: invalid_grant, invalid_client, unauthorized_client.
	Dead func(Saying) bool
	// Vault keeps the refresh tokens that come in place of the form's; if nil they are known
	// to this process alone.
	Vault Vault
	// Counts tells that requests for a token count against the limits of the API, as others do.
	Counts bool
}

// Token is what a request proves itself with.
type Token struct {
	Value Secret
	// Instance is the address that the token is for (instance_url of Salesforce), if told.
	Instance string
	// Expires is when it stops to hold, zero if that was not told.
	Expires time.Time
}

// holds tells whether a token is good, as far as was told.
func (t Token) holds(now time.Time) bool {
	return t.Value != "" && (t.Expires.IsZero() || now.Before(t.Expires))
}

// tokenTimeout bounds the request for a token; expireEarly is how much sooner than told it is
// not used any more, as clocks differ and requests take time.
const (
	tokenTimeout = 30 * time.Second
	expireEarly  = time.Minute
)

// Tokens holds a token and gets another one when it is spent: one request for all who wait
// (a herd of them trips limits: PostHog PR 72609). It is safe for concurrent use.
type Tokens struct {
	client *Client
	grant  Grant
	now    func() time.Time
	flight singleflight.Group

	who string // this one, where it takes its turn

	mu      sync.Mutex // covers what follows
	token   Token      // its Value is empty where there is none
	refused Secret     // the value of the last one that was Spent
	kept    kept       // a newer refresh token than the grant's, if one came
	unkept  bool       // it is not in the vault
}

// NewTokens makes one. It asks for nothing yet. now is time.Now if nil.
func NewTokens(client *Client, grant Grant, now func() time.Time) *Tokens {
	if now == nil {
		now = time.Now
	}
	return &Tokens{client: client, grant: grant, now: now, who: rand.Text()}
}

// Get gives a token that holds, as far as is known. Its errors are Unauthorized (the grant is
// dead), Throttled, Retryable with a known outcome, as what needs the token was not sent,
// or Misconfigured.
func (t *Tokens) Get(ctx context.Context) (Token, error) {
	if tok, ok := t.held(); ok {
		return tok, nil
	}
	ch := t.flight.DoChan("", func() (any, error) {
		if tok, ok := t.held(); ok { // got since we looked
			return tok, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*turn)
		defer cancel()
		if !t.grant.Counts {
			ctx = sinks.NoRequests(ctx)
		}
		return t.fetch(ctx)
	})
	select {
	case <-ctx.Done():
		return Token{}, &sinks.Retryable{Err: fmt.Errorf("get a token: %w", ctx.Err())}
	case r := <-ch:
		if r.Err != nil {
			return Token{}, r.Err
		}
		return r.Val.(Token), nil
	}
}

func (t *Tokens) held() (Token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token, t.token.holds(t.now())
}

// hold has a token used from now on.
func (t *Tokens) hold(tok Token) Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = tok
	return tok
}

// Spent says that a token was refused: the next Get asks for another one. It does nothing if
// another one was got meanwhile.
func (t *Tokens) Spent(tok Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token.Value == tok.Value {
		t.token, t.refused = Token{}, tok.Value
	}
}

// tokenAnswer is that of RFC 6749, with what Salesforce and HubSpot add.
type tokenAnswer struct {
	AccessToken  string  `json:"access_token"`
	InstanceURL  string  `json:"instance_url"`
	RefreshToken string  `json:"refresh_token"`
	ExpiresIn    seconds `json:"expires_in"`
	Error        string  `json:"error"`
	Description  string  `json:"error_description"`
	Status       string  `json:"status"` // HubSpot's, such as BAD_HUB
	Message      string  `json:"message"`
}

// seconds are a number, or a text of one, as some servers write it.
type seconds float64

func (s *seconds) UnmarshalJSON(b []byte) error {
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	f, err := n.Float64()
	*s = seconds(f)
	return err
}

func (t *Tokens) fetch(ctx context.Context) (Token, error) {
	form, err := t.grant.Form(t.now())
	if err != nil {
		return Token{}, err
	}
	switch {
	case !form.Has("refresh_token"):
		tok, _, err := t.ask(ctx, form)
		if err != nil {
			return Token{}, err
		}
		return t.hold(tok), nil
	case t.grant.Vault != nil:
		return t.share(ctx, form)
	}
	t.mu.Lock()
	last := t.kept
	t.mu.Unlock()
	next, err := t.refresh(ctx, last, form)
	if err != nil {
		return Token{}, err
	}
	return t.hold(next.token), nil
}

// ask posts a form. It gives the token, and the refresh token that came along, if one did.
func (t *Tokens) ask(ctx context.Context, form url.Values) (tok Token, newer Secret, err error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	h := t.grant.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("Accept", "application/json")
	a, err := t.client.Do(ctx, Request{Method: http.MethodPost, URL: t.grant.URL, Header: h, Body: []byte(form.Encode())})
	if err == nil && a.Err != nil {
		err = a.Err
	}
	if err != nil {
		return Token{}, "", notSent(fmt.Errorf("get a token: %w", err))
	}
	var said tokenAnswer
	parseErr := json.Unmarshal(a.Body, &said)
	if a.OK() && parseErr == nil && said.AccessToken != "" {
		tok := Token{Value: Secret(said.AccessToken), Instance: said.InstanceURL}
		if said.ExpiresIn > 0 {
			life := time.Duration(float64(said.ExpiresIn) * float64(time.Second))
			tok.Expires = t.now().Add(life - min(expireEarly, life/10))
		}
		return tok, Secret(said.RefreshToken), nil
	}
	return Token{}, "", t.refusal(a, said)
}

// refusal says what an answer without a token means.
func (t *Tokens) refusal(a *Answer, said tokenAnswer) error {
	s := Saying{Code: said.Error, Message: said.Description}
	if s.Code == "" {
		s.Code, s.Message = said.Status, said.Message
	}
	dead := t.grant.Dead
	if dead == nil {
		dead = deadGrant
	}
	if passes(s) {
		return &sinks.Retryable{Err: fmt.Errorf("get a token: %s answered %d %s: %s", a.Host, a.Status, http.StatusText(a.Status), Word(s.Code)), After: RetryAfter(a.Header, t.now())}
	}
	if dead(s) || a.Status == http.StatusBadRequest && s.Code != "" || a.Status == http.StatusUnauthorized {
		return &sinks.Unauthorized{Err: &sinks.Answer{Status: a.Status, Code: s.Code, Message: Shorten(s.Message),
			Err: fmt.Errorf("get a token: %s answered %d %s: %s", a.Host, a.Status, http.StatusText(a.Status), Word(s.Code))}}
	}
	if a.OK() {
		return &sinks.Retryable{Err: fmt.Errorf("get a token: %s answered without one", a.Host)}
	}
	return notSent(fmt.Errorf("get a token: %w", StatusError(a, s, t.now())))
}

// passes tells that a refusal is over after a while (RFC 6749, 4.1.2.1; unknown_error is what
// Salesforce says where it wants the request again).
func passes(s Saying) bool {
	return s.Code == "unknown_error" || s.Code == "temporarily_unavailable" || s.Code == "server_error"
}

func deadGrant(s Saying) bool {
	return s.Code == "invalid_grant" || s.Code == "invalid_client" || s.Code == "unauthorized_client"
}

// notSent is an error of a request that comes before another one: the other was not sent, so
// nothing of it was carried out. A refusal of it is not one of a record either.
func notSent(err error) error {
	var (
		ret *sinks.Retryable
		rej *sinks.Rejected
		thr *sinks.Throttled
		mis *sinks.Misconfigured
		una *sinks.Unauthorized
	)
	switch {
	case errors.As(err, &ret):
		// Not with an Answer in it: that one may say that its outcome is not known.
		return &sinks.Retryable{Err: errors.New(err.Error()), After: ret.After}
	case errors.As(err, &thr):
		return &sinks.Throttled{Err: err, After: thr.After}
	case errors.As(err, &mis):
		return &sinks.Misconfigured{Err: fmt.Errorf("get a token: %w", mis.Err), Hint: mis.Hint}
	case errors.As(err, &una):
		return &sinks.Unauthorized{Err: err}
	case errors.As(err, &rej):
		return &sinks.Misconfigured{Err: errors.New(err.Error()), Hint: "check the address and the settings of the target's login"}
	}
	return err
}
