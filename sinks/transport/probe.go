package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/walbridge/walbridge/sinks"
)

// Probe tells whether something listens at the address of a URL. It sends nothing, and
// through a proxy of the environment it asks nothing.
func Probe(ctx context.Context, address string, allowed sinks.Addresses) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return errors.New("probe: the url is not valid")
	}
	port := u.Port()
	if port == "" {
		if port = "80"; u.Scheme == "https" {
			port = "443"
		}
	}
	if len(allowed) == 0 {
		if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil || proxy != nil {
			return nil // whether the target is there, the proxy finds out at the first request
		}
	}
	conn, err := Dialer(allowed).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", u.Host, plain(err))
	}
	if err := conn.Close(); err != nil {
		return fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	return nil
}
