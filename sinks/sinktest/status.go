package sinktest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// statusChecks are about answers that say no, whatever was asked.
var statusChecks = []check{
	{name: "401_then_fine", on: func(s *Subject, http bool) bool { return http && s.Renews }, run: func(st *stage) {
		batch := st.several(2, "again")
		st.must("first", batch...)
		st.wire.script(refusal(401))
		st.must("a token that was refused once", batch...)
		st.heals("401", batch...)
	}},
	{name: "401", on: onHTTP, run: func(st *stage) {
		const bound = 3 // one with the token at hand, and one with a new one; some ask a third time
		batch := st.several(2, "401")
		st.wire.forever(refusal(401))
		st.want("401", st.deliver(batch...), unauthorized)
		if n, _ := st.wire.count(); n > bound {
			st.Errorf("%d requests were refused with 401 in one Deliver, want at most %d", n, bound)
		}
		st.wire.forever(nil)
		st.heals("401", batch...)
	}},
	{name: "403", on: onHTTP, run: func(st *stage) {
		batch := st.several(2, "403")
		st.wire.forever(refusal(403))
		st.want("403", st.deliver(batch...), unauthorized, misconfigured)
		st.wire.forever(nil)
		st.heals("403", batch...)
	}},
	{name: "429", on: onHTTP, run: checkThrottled},
	{name: "5xx", on: onHTTP, run: checkServerErrors},
	{name: "refused_request", on: onHTTP, run: func(st *stage) {
		batch := st.several(2, "4xx")
		for _, status := range []int{400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 418, 422, 451} {
			st.wire.forever(refusal(status))
			st.want(fmt.Sprint(status), st.deliver(batch...), rejected, misconfigured, retryable, unknown, paused)
		}
		st.wire.forever(nil)
		st.heals("4xx", batch...)
	}},
	{name: "redirect", on: onHTTP, run: checkRedirect},
}

// refusal answers with a status, in words that quote what must not be shown.
func refusal(status int, headers ...string) fault {
	return answer(status, "<html>"+http.StatusText(status)+" "+secret+"</html>", append(headers, "Content-Type", "text/html")...)
}

// asked gives how long an error asks to wait.
func asked(err error) time.Duration {
	var (
		thr *sinks.Throttled
		ret *sinks.Retryable
		pau *sinks.Paused
	)
	switch {
	case errors.As(err, &thr):
		return thr.After
	case errors.As(err, &ret):
		return ret.After
	case errors.As(err, &pau):
		return pau.After
	}
	return 0
}

// checkThrottled has a Retry-After of both forms, and none, and nonsense.
func checkThrottled(st *stage) {
	batch := st.several(2, "429")
	for _, c := range []struct {
		after    string
		min, max time.Duration
	}{
		{"7", 7 * time.Second, 7 * time.Second},
		{"120", 2 * time.Minute, 2 * time.Minute},
		{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 50 * time.Minute, time.Hour},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, patience},
		{"", 0, patience},
		{"soon", 0, patience},
		{"-5", 0, patience},
		{"99999999999999999999", 0, 31 * 24 * time.Hour},
	} {
		headers := []string{"Retry-After", c.after}
		if c.after == "" {
			headers = nil
		}
		st.wire.forever(refusal(429, headers...))
		rs := st.deliver(batch...)
		st.want("429", rs, throttled)
		if d := asked(rs[0].Err); d < c.min || d > c.max {
			st.Errorf("429 with Retry-After %q asks for %v, want between %v and %v", c.after, d, c.min, c.max)
		}
	}
	st.wire.forever(nil)
	st.heals("429", batch...)
}

// checkServerErrors fails before and after what was asked is carried out, which nobody can tell
// apart.
func checkServerErrors(st *stage) {
	batch := st.several(2, "5xx")
	for _, status := range []int{500, 502, 503, 504, 520} {
		st.wire.forever(refusal(status))
		st.want(fmt.Sprint(status), st.deliver(batch...), unknown)
	}
	st.wire.forever(func(w http.ResponseWriter, r *http.Request, serve func() *httptest.ResponseRecorder) {
		serve()
		refusal(500)(w, r, nil)
	})
	st.want("500 after it was applied", st.deliver(batch...), unknown)
	st.wire.forever(refusal(503, "Retry-After", "9"))
	rs := st.deliver(batch...)
	st.want("503 with Retry-After", rs, unknown, throttled, paused)
	if d := asked(rs[0].Err); d != 9*time.Second {
		st.Errorf("503 with a Retry-After of 9 s asks for %v", d)
	}
	st.wire.forever(nil)
	st.heals("5xx", batch...)
}

// checkRedirect sends the target to another host, where its credentials must not come.
func checkRedirect(st *stage) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusOK)
	}))
	defer elsewhere.Close()
	batch := st.several(2, "redirect")
	for _, status := range []int{301, 302, 303, 307, 308} {
		st.wire.forever(refusal(status, "Location", elsewhere.URL+"/elsewhere"))
		st.want(fmt.Sprint(status), st.deliver(batch...), misconfigured)
	}
	if n := asked.Load(); n > 0 {
		st.Errorf("%d redirects were followed to another host", n)
	}
	st.wire.forever(nil)
	st.heals("a redirect", batch...)
}
