package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// DeniedError says that an address is not allowed.
type DeniedError struct{ Address string }

func (e *DeniedError) Error() string { return fmt.Sprintf("the address %s is not allowed", e.Address) }

// guard makes a transport keep to the addresses. Where they are limited no proxy of the
// environment is used: it would connect wherever it is asked to.
func guard(a sinks.Addresses, t *http.Transport) {
	if len(a) == 0 {
		return
	}
	t.Proxy = nil
	d := Dialer(a)
	t.DialContext = d.DialContext
}

// Dialer makes connections to what is allowed.
func Dialer(a sinks.Addresses) *net.Dialer {
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
