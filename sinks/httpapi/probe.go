package httpapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// Probe tells whether something listens at the target's address. It sends
// nothing, and through a proxy of the environment it asks nothing.
func (c *Client) Probe(ctx context.Context) error {
	u, err := url.Parse(c.url)
	if err != nil {
		return fmt.Errorf("probe: the url is not valid")
	}
	port := u.Port()
	if port == "" {
		if port = "80"; u.Scheme == "https" {
			port = "443"
		}
	}
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil || proxy != nil {
		return nil // whether the target is there, the proxy finds out at the first request
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", u.Host, plain(err))
	}
	if err := conn.Close(); err != nil {
		return fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	return nil
}
