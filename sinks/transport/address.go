package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Addresses are what a target may be connected to: networks such as 10.0.0.0/8, single
// addresses, and the words public (any that is reached over the internet) and private (all
// others). An empty list allows any. What counts is the address that a name resolves to at the
// moment of connecting, so a name cannot point elsewhere later (server-side request forgery).
type Addresses []string

// DeniedError says that an address is not allowed.
type DeniedError struct{ Address string }

func (e *DeniedError) Error() string { return fmt.Sprintf("the address %s is not allowed", e.Address) }

// Validate says which item is none.
func (a Addresses) Validate() error {
	for _, item := range a {
		if _, err := parseNet(item); err != nil && item != "public" && item != "private" {
			return fmt.Errorf("%q is no address", item)
		}
	}
	return nil
}

func parseNet(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return addr.Prefix(addr.BitLen())
}

// special are networks that are not reached over the internet, beside those that netip knows
// (RFC 6890): shared by carriers, for benchmarks and documents, reserved, and IPv4 in IPv6.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, n := range special {
		if n.Contains(a) {
			return false
		}
	}
	return true
}

// Allow tells whether an address may be connected to.
func (a Addresses) Allow(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, item := range a {
		switch item {
		case "public":
			if public(addr) {
				return true
			}
		case "private":
			if !public(addr) {
				return true
			}
		default:
			if n, err := parseNet(item); err == nil && n.Contains(addr) {
				return true
			}
		}
	}
	return len(a) == 0
}

// guard makes a transport keep to the addresses. Where they are limited no proxy of the
// environment is used: it would connect wherever it is asked to.
func (a Addresses) guard(t *http.Transport) {
	if len(a) == 0 {
		return
	}
	t.Proxy = nil
	d := a.Dialer()
	t.DialContext = d.DialContext
}

// Dialer makes connections to what is allowed.
func (a Addresses) Dialer() *net.Dialer {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	if len(a) == 0 {
		return d
	}
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return errors.New("the address is not one of the internet protocol")
		}
		if !a.Allow(ap.Addr()) {
			return &DeniedError{Address: ap.Addr().String()}
		}
		return nil
	}
	return d
}
