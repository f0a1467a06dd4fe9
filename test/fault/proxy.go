// Package fault makes the network between walbridge and its servers fail on
// purpose, for the tests: connections cut in the middle of a request or of an
// answer, bytes that arrive late or never, and connections that only one of the
// two ends knows to be gone.
package fault

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Proxy forwards connections to an address and cuts or delays them when told.
type Proxy struct {
	upstream string
	listener net.Listener
	done     sync.WaitGroup

	// mu covers what follows.
	mu      sync.Mutex
	conns   map[net.Conn]*pair
	refuse  bool
	cut     func() (request, answer int64)
	cuts    int
	stalled bool
	delay   time.Duration
	changed chan struct{} // closed when what a waiting byte waits for has changed
}

// pair are the two ends of a connection.
type pair struct {
	client, server net.Conn
	half           bool // one end was closed, and the other is not to hear of it
}

// End is one of the two that are connected.
type End int

// The ends.
const (
	Client End = iota
	Server
)

// NewProxy listens on a free port of the loopback interface.
func NewProxy(upstream string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for proxy: %w", err)
	}
	p := &Proxy{upstream: upstream, listener: l, conns: map[net.Conn]*pair{}, changed: make(chan struct{})}
	p.done.Add(1)
	go p.accept()
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// CutRandomly cuts each new connection after a random number of bytes up to
// most, of the request or of the answer: a request cut short is not carried
// out, an answer cut short is one that was. Zero stops it.
func (p *Proxy) CutRandomly(seed uint64, most int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if most == 0 {
		p.cut = nil
		return
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	p.cut = func() (int64, int64) {
		n := 1 + rng.Int64N(most)
		if rng.IntN(2) == 0 {
			return n, -1
		}
		return -1, n
	}
}

// Refuse makes new connections fail, and ends those there are.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	p.refuse = on
	p.mu.Unlock()
	if on {
		p.CutAll()
	}
}

// CutAll ends all connections.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.closeLocked(c)
	}
	p.tellLocked()
}

// Stall holds back all bytes of all connections, which stay open; after it they go
// on, unless they were cut meanwhile.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
	p.tellLocked()
}

// Delay holds each piece of up to 32 KiB back for a while.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// HalfOpen has the connections end for one of the ends only: the other goes on to
// believe in them, until it finds out by itself or CutAll ends them.
func (p *Proxy) HalfOpen(gone End) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ends := range p.conns {
		if ends.half {
			continue
		}
		ends.half = true
		if gone == Client {
			p.closeLocked(ends.client)
		} else {
			p.closeLocked(ends.server)
		}
	}
	p.tellLocked()
}

func (p *Proxy) tellLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Open is how many connections go through it.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}

// Cuts is how many connections were cut in the middle.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Refuse(true)
	p.done.Wait()
	return err
}

func (p *Proxy) closeLocked(c net.Conn) {
	// A connection that is being cut may be closed already from the other side.
	if err := c.Close(); err == nil || errors.Is(err, net.ErrClosed) {
		delete(p.conns, c)
	}
}

func (p *Proxy) accept() {
	defer p.done.Done()
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		up, err := net.Dial("tcp", p.upstream)
		p.mu.Lock()
		if err != nil || p.refuse {
			p.closeLocked(down)
			if up != nil {
				p.closeLocked(up)
			}
			p.mu.Unlock()
			continue
		}
		request, answer := int64(-1), int64(-1)
		if p.cut != nil {
			request, answer = p.cut()
		}
		ends := &pair{client: down, server: up}
		p.conns[down], p.conns[up] = ends, ends
		p.mu.Unlock()
		p.done.Add(2)
		go p.pipe(up, down, request)
		go p.pipe(down, up, answer)
	}
}

// pipe copies one direction, and ends both when it ends or has copied limit.
func (p *Proxy) pipe(to, from net.Conn, limit int64) {
	defer p.done.Done()
	var r io.Reader = from
	if limit >= 0 {
		r = io.LimitReader(from, limit)
	}
	n, _ := io.Copy(&gate{p, to}, r) // how it ends is the test's own doing
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == limit {
		p.cuts++
	}
	if ends := p.conns[from]; ends != nil && ends.half {
		return // from is what is left of it
	}
	if ends := p.conns[to]; ends != nil && ends.half {
		return
	}
	p.closeLocked(to)
	p.closeLocked(from)
}

// gate is a connection that takes bytes when the proxy lets them pass.
type gate struct {
	p  *Proxy
	to net.Conn
}

// Write waits for as long as the proxy holds bytes back.
func (g *gate) Write(b []byte) (int, error) {
	var late <-chan time.Time
	for {
		g.p.mu.Lock()
		_, open := g.p.conns[g.to]
		stalled, delay, changed := g.p.stalled, g.p.delay, g.p.changed
		g.p.mu.Unlock()
		switch {
		case !open:
			return 0, net.ErrClosed
		case stalled:
			<-changed
			continue
		case late == nil && delay > 0:
			t := time.NewTimer(delay)
			defer t.Stop()
			late = t.C
		case late == nil:
			return g.to.Write(b)
		}
		select {
		case <-late:
			return g.to.Write(b)
		case <-changed: // it may have been cut
		}
	}
}
