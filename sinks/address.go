package sinks

import (
	"fmt"
	"net/netip"
	"strings"
)

// Addresses are what a target may be connected to: networks such as 10.0.0.0/8, single
// addresses, and the words public (any that is reached over the internet) and private (all
// others). An empty list allows any. What counts is the address that a name resolves to at the
// moment of connecting, so a name cannot point elsewhere later (server-side request forgery).
type Addresses []string

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
