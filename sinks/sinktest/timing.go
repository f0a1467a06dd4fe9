package sinktest

import (
	"context"
	"net"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// timeChecks are about connections that break, and answers that do not come.
var timeChecks = []check{
	{name: "refused_connection", run: checkNobody},
	{name: "reset_before", run: func(st *stage) {
		batch := st.several(2, "before")
		st.must("first", batch...)
		batch = st.several(2, "before again")
		st.breakBefore()
		st.want("reset before it was carried out", st.deliver(batch...), unknown, retryable, delivered)
		st.fine()
		st.heals("reset", batch...)
	}},
	{name: "reset_after", run: func(st *stage) {
		st.must("first", st.several(2, "after")...)
		batch := st.several(2, "after again")
		st.breakAfter()
		st.want("the answer is lost", st.deliver(batch...), unknown)
		st.fine()
		st.must("in between", st.upsert(named("000"), "in between"), st.upsert(named("001"), "in between"))
		batch = st.several(2, "after all")
		fresh := st.upsert(named("fresh"), "after")
		st.breakAfter()
		st.want("the answer is lost, of a first upsert", st.deliver(fresh), unknown)
		st.fine()
		st.heals("a lost answer", append(batch, fresh)...)
		if st.abilities().Delete {
			gone := st.record(sinks.Delete, named("fresh"))
			st.must("delete first, so that the way is known", st.record(sinks.Delete, named("000")))
			st.breakAfter()
			st.want("the answer is lost, of a delete", st.deliver(gone), unknown)
			st.fine()
			st.must("the delete once more", gone)
		}
	}},
	{name: "slow", run: checkSlow},
	{name: "cancelled", run: checkCancelled},
}

func (st *stage) breakBefore() {
	if st.wire != nil {
		st.wire.forever(before)
		return
	}
	st.relay.set(dropRequest)
}

func (st *stage) breakAfter() {
	if st.wire != nil {
		st.wire.forever(after)
		return
	}
	st.relay.set(dropAnswer)
}

func (st *stage) silence() {
	if st.wire != nil {
		st.wire.forever(st.wire.silence)
		return
	}
	st.relay.set(mute)
}

func (st *stage) fine() {
	if st.wire != nil {
		st.wire.forever(nil)
		return
	}
	st.relay.set(through)
}

// nobody is where nobody listens.
func (st *stage) nobody() Site {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		st.Fatalf("listen: %v", err)
	}
	site := st.site()
	site.Address = l.Addr().String()
	if site.URL != "" {
		site.URL = "http://" + site.Address
	}
	if err := l.Close(); err != nil {
		st.Fatalf("close listener: %v", err)
	}
	return site
}

// checkNobody sends to an address where nobody listens: nothing can have been carried out.
func checkNobody(st *stage) {
	target := st.make(st.nobody())
	st.want("nobody listens", st.deliverBy(st.Context(), target, st.several(2, "nobody")...), retryable)
}

// checkSlow has a timeout that is shorter than the silence of the server.
func checkSlow(st *stage) {
	batch := st.several(2, "slow")
	st.must("first", batch...)
	site := st.site()
	site.Timeout = time.Second
	target := st.make(site)
	st.want("before", st.deliverBy(st.Context(), target, batch...), delivered)
	st.silence()
	start := time.Now()
	st.want("no answer in time", st.send(st.Context(), target, batch...), unknown, retryable)
	if took := time.Since(start); took > patience {
		st.Errorf("Deliver took %v with a timeout of %v", took, site.Timeout)
	}
	st.fine()
	st.heals("no answer in time", batch...)
}

// checkCancelled ends the context while the server is silent.
func checkCancelled(st *stage) {
	batch := st.several(2, "cancelled")
	st.must("first", batch...)
	st.drain()
	st.silence()
	ctx, cancel := context.WithCancel(st.Context())
	defer cancel()
	var ended time.Time
	go func() {
		st.arrival()
		ended = time.Now()
		cancel()
	}()
	rs := st.send(ctx, st.target, batch...)
	<-ctx.Done()
	if took := time.Since(ended); took > patience/3 {
		st.Errorf("Deliver went on for %v after its context had ended", took)
	}
	st.want("cancelled under way", rs, unknown)
	st.fine()
	st.heals("cancelled", batch...)
	gone, stop := context.WithCancel(st.Context())
	stop()
	st.want("cancelled before", st.deliverBy(gone, st.target, batch...), unknown, retryable)
}

// drain forgets requests that have arrived.
func (st *stage) drain() {
	if st.wire == nil {
		return // the relay forgets by itself when its mode changes
	}
	select {
	case <-st.wire.arrived:
	default:
	}
}

// arrival waits for a request.
func (st *stage) arrival() bool {
	if st.wire != nil {
		return st.wire.wait()
	}
	return st.relay.wait()
}
