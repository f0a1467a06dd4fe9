package hubspot

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// post sends a batch, and gives an answer with a status of 2xx.
func (c *Client) post(ctx context.Context, url string, body any) (*transport.Answer, error) {
	b, err := encode(body)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, transport.Request{Method: http.MethodPost, URL: url, Body: b})
}

// call sends a request, with another token if the one at hand is spent, and gives an answer
// with a status of 2xx.
func (c *Client) call(ctx context.Context, r transport.Request) (*transport.Answer, error) {
	a, err := c.try(ctx, r)
	var una *sinks.Unauthorized
	if c.tokens != nil && a != nil && errors.As(err, &una) && !una.Forbidden {
		a, err = c.try(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// try sends a request once. There is an answer with an error where HubSpot said no.
func (c *Client) try(ctx context.Context, r transport.Request) (*transport.Answer, error) {
	token, held := c.token(), transport.Token{}
	if c.tokens != nil {
		var err error
		if held, err = c.tokens.Get(ctx); err != nil {
			return nil, err
		}
		token = held.Value
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token.Reveal()}, "Accept": {"application/json"}}
	if r.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := c.http.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	c.tellQuota(a.Header)
	if a.OK() {
		return a, nil
	}
	if c.tokens != nil && a.Status == http.StatusUnauthorized {
		c.tokens.Spent(held)
	}
	return a, statusError(a, c.now())
}

func (c *Client) tellQuota(h http.Header) {
	if c.quota == nil {
		return
	}
	if q := transport.QuotaOf(h, c.now()); q.Daily.Known || q.Window.Known {
		c.quota(q)
	}
}

// deadGrant tells from what the token endpoint says that the account has taken the app away,
// or that the app's own settings are wrong: BAD_HUB, BAD_REFRESH_TOKEN, BAD_CLIENT_ID and
// others that begin so.
func deadGrant(s transport.Saying) bool {
	return strings.HasPrefix(s.Code, "BAD_") || s.Code == "invalid_grant" || s.Code == "invalid_client" || s.Code == "unauthorized_client"
}
