package sinks

import (
	"context"
	"sync"
)

// RequestCounter is the ability of a target to tell of each request that it makes, by
// CountRequest. Of a target without it, one request is counted for each call of it.
type RequestCounter interface {
	// CountsRequests tells whether it does.
	CountsRequests() bool
}

// Requests counts what a target makes of requests for one call of it, such as a Deliver.
type Requests struct {
	more func()

	mu    sync.Mutex // covers all below
	made  int
	ended bool
}

type requestsKey struct{}

// CountRequests counts the requests that are made with the context that it gives. The first
// one is who calls the target's to know, since it asked for the right to make it; more is
// called for each one beyond it as soon as it is sent. It is quick, and may be called from
// several goroutines.
func CountRequests(ctx context.Context, more func()) (context.Context, *Requests) {
	r := &Requests{more: more}
	return context.WithValue(ctx, requestsKey{}, r), r
}

// NoRequests is a context with which no requests are counted: for those that the limits of an
// API are not about.
func NoRequests(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestsKey{}, (*Requests)(nil))
}

// CountRequest tells that a request was sent with a context. It is called by what sends it.
func CountRequest(ctx context.Context) {
	r, _ := ctx.Value(requestsKey{}).(*Requests)
	if r == nil {
		return
	}
	r.mu.Lock()
	r.made++
	more := r.made > 1 || r.ended
	r.mu.Unlock()
	if more {
		r.more()
	}
}

// End gives how many requests were made. One that is sent later, by something that the call
// has left running, is told to more, whichever it is.
func (r *Requests) End() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return r.made
}
