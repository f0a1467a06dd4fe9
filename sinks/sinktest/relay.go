package sinktest

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// mode is what a relay does with the bytes that come.
type mode int

const (
	through mode = iota
	// dropRequest breaks a connection when the client sends something, and does not pass it on.
	dropRequest
	// dropAnswer passes on what the client sends, and breaks the connection when the server
	// answers.
	dropAnswer
	// mute passes on what the client sends, and keeps back what the server answers.
	mute
	// refuse takes no connection, and breaks those that there are.
	refuse
)

// relay stands in front of a server that speaks over TCP.
type relay struct {
	listener net.Listener
	to       string
	done     sync.WaitGroup

	mu      sync.Mutex // covers what follows
	mode    mode
	changed *sync.Cond
	closed  bool
	conns   map[net.Conn]bool
	arrived chan struct{} // is told when the mode does something
}

func newRelay(tb testing.TB, to string) *relay {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen for the relay: %v", err)
	}
	r := &relay{listener: l, to: to, conns: make(map[net.Conn]bool), arrived: make(chan struct{}, 1)}
	r.changed = sync.NewCond(&r.mu)
	r.done.Go(r.accept)
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

// set changes what happens from now on.
func (r *relay) set(m mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = m
	select {
	case <-r.arrived:
	default:
	}
	if m == refuse {
		r.breakLocked()
	}
	r.changed.Broadcast()
}

// wait waits until the mode did something.
func (r *relay) wait() bool {
	select {
	case <-r.arrived:
		return true
	case <-time.After(patience):
		return false
	}
}

func (r *relay) breakLocked() {
	for c := range r.conns {
		reset0(c)
	}
}

func reset0(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close() // that is the purpose
}

func (r *relay) close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	r.breakLocked()
	r.changed.Broadcast()
	r.mu.Unlock()
	_ = r.listener.Close()
	r.done.Wait()
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		server, err := net.DialTimeout("tcp", r.to, patience)
		if err != nil || !r.keep(client, server) {
			reset0(client)
			if err == nil {
				reset0(server)
			}
			continue
		}
		r.done.Go(func() { r.pump(client, server, true) })
		r.done.Go(func() { r.pump(server, client, false) })
	}
}

// keep takes a pair of connections in, unless none are taken.
func (r *relay) keep(client, server net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.mode == refuse {
		return false
	}
	r.conns[client], r.conns[server] = true, true
	return true
}

// pump passes bytes on, as far as the mode lets it.
func (r *relay) pump(from, to net.Conn, request bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && r.admit(request) {
			_, werr := to.Write(buf[:n])
			if err == nil {
				err = werr
			}
		} else if n > 0 {
			err = io.ErrClosedPipe
		}
		if err != nil {
			r.mu.Lock()
			delete(r.conns, from)
			delete(r.conns, to)
			r.mu.Unlock()
			reset0(from)
			reset0(to)
			return
		}
	}
}

// admit tells whether bytes go on, or the connection breaks.
func (r *relay) admit(request bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.mode == mute && !request && !r.closed {
		r.noteLocked()
		r.changed.Wait()
	}
	switch {
	case r.closed, r.mode == refuse, r.mode == dropRequest && request, r.mode == dropAnswer && !request:
		r.noteLocked()
		return false
	}
	return true
}

func (r *relay) noteLocked() {
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}
