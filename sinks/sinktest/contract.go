package sinktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/sinks"
)

// contractChecks are about what a target tells beside the results.
var contractChecks = []check{
	{name: "limits", run: checkLimits},
	{name: "hidden", run: checkHidden},
	{name: "leaks", run: checkLeaks},
	{name: "describe", run: checkDescribe},
	{name: "read_back", run: checkReadBack},
	{name: "probe", run: checkProbe},
	{name: "quota", on: onHTTP, run: checkQuota},
	{name: "requests", on: onHTTP, run: checkRequests},
}

func checkLimits(st *stage) {
	site := st.site()
	l := st.target.Limits()
	switch {
	case l.MaxBatch < 1, l.MaxInFlight < 1:
		st.Errorf("limits %+v: want at least one record, and one batch", l)
	case l.Timeout != site.Timeout:
		st.Errorf("a timeout of %v, want the %v that were asked for", l.Timeout, site.Timeout)
	case l.Bulk.From < 0, l.Bulk.From > 0 && (l.Bulk.MaxBatch < l.Bulk.From || l.Bulk.Timeout <= 0):
		st.Errorf("limits of jobs %+v: want no less in a job than what makes one, and a timeout", l.Bulk)
	}
	st.must("something", st.several(1, "limits")...)
	if again := st.target.Limits(); again != l {
		st.Errorf("limits %+v, and later %+v", l, again)
	}
}

// checkHidden prints the target, and what else there is, in all the ways in which a value comes
// into a log (I14).
func checkHidden(st *stage) {
	st.must("something", st.several(2, "hidden")...)
	values := []any{st.target, st.target.Limits()}
	if st.s.Shown != nil {
		values = append(values, st.s.Shown(st.site())...)
	}
	for _, v := range values {
		var log strings.Builder
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("value", "v", v)
		}
		shown := map[string]string{"log/slog": log.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			shown[verb] = fmt.Sprintf(verb, v)
		}
		if b, err := json.Marshal(v); err == nil {
			shown["encoding/json"] = string(b)
		}
		for how, s := range shown {
			if strings.Contains(s, private) {
				st.Errorf("%s of a %T shows a secret (I14)", how, v)
			}
		}
	}
}

// checkLeaks ends a target, which leaves nothing running.
func checkLeaks(st *stage) {
	st.close()
	running := goleak.IgnoreCurrent()
	again := &stage{TB: st.TB, s: st.s, server: st.server, notes: st.notes, newest: st.newest}
	if st.server.Handler != nil {
		again.wire = newWire(st.server.Handler, st.s.Carries)
	} else {
		again.relay = newRelay(st.TB, st.server.Address)
	}
	again.target = again.make(again.site())
	again.must("something", again.several(2, "leaks")...)
	again.close()
	if err := goleak.Find(running); err != nil {
		st.Errorf("after Close: %v", err)
	}
}

func checkDescribe(st *stage) {
	d, ok := st.target.(sinks.Describer)
	if !ok {
		st.Skip("the target does not describe its objects")
	}
	schema, err := d.Describe(st.Context(), st.s.Object)
	st.lookAt(err)
	if err != nil {
		st.Fatalf("describe %s: %v", st.s.Object, err)
	}
	if err := schema.Validate(); err != nil {
		st.Errorf("the schema of %s: %v", st.s.Object, err)
	}
	for _, name := range []string{st.s.Key, st.s.Text, st.s.Number} {
		f := schema.Field(name)
		switch {
		case name == "":
		case f == nil && !schema.Open:
			st.Errorf("the schema of %s has no field %s, which records have", st.s.Object, name)
		case f != nil && f.ReadOnly:
			st.Errorf("the schema of %s says that %s cannot be written", st.s.Object, name)
		}
	}
	if f := schema.Field(st.s.Key); f != nil && !f.Key {
		st.Errorf("the schema of %s does not say that %s identifies a record", st.s.Object, st.s.Key)
	}
	const none = "NoSuchObject7__x"
	_, err = d.Describe(st.Context(), none)
	var unknown *sinks.UnknownObject
	if !errors.As(err, &unknown) || unknown.Object != none {
		st.Errorf("describe of an object that there is not: %v, want *sinks.UnknownObject", err)
	}
}

func checkReadBack(st *stage) {
	b, ok := st.target.(sinks.ReadBack)
	if !ok {
		st.Skip("the target cannot be read")
	}
	batch := st.several(3, "read")
	if st.s.Number != "" {
		batch[0] = with(batch[0], st.s.Number, "7.50")
	}
	batch = append(batch, st.upsert(`o'dd "key"`, "read"))
	if st.s.Keys != nil {
		batch = batch[:3]
	}
	st.must("make", batch...)
	fields := []string{st.s.Text}
	if st.s.Number != "" {
		fields = append(fields, st.s.Number)
	}
	var keys []json.RawMessage
	for _, r := range batch {
		keys = append(keys, r.Key.Value)
	}
	got, err := b.ReadBack(st.Context(), st.s.Object, st.s.Key, append(keys, quote(named("never"))), fields)
	st.lookAt(err)
	if err != nil || len(got) != len(batch) {
		st.Fatalf("read back %d records (%v), want %d", len(got), err, len(batch))
	}
	for _, held := range got {
		for _, r := range batch {
			if !same(held.Key, r.Key.Value) {
				continue
			}
			for _, f := range r.Fields {
				if v, there := held.Fields[f.Name]; there && !same(v, f.Value) || !there && f.Name == st.s.Text {
					st.Errorf("read back %s of %s as %s, want %s", f.Name, held.Key, show(v), f.Value)
				}
			}
		}
	}
}

// checkProbe probes what is there and what is not; nothing changes.
func checkProbe(st *stage) {
	p, ok := st.target.(sinks.Prober)
	if !ok {
		st.Skip("the target cannot be probed")
	}
	st.must("make", st.several(2, "probe")...)
	before := st.held()
	if err := p.Probe(st.Context()); err != nil {
		st.Errorf("probe: %v", err)
	}
	if now := st.held(); len(now) != len(before) {
		st.Errorf("a probe made %d records of %d", len(now), len(before))
	}
	nobody, ok := st.make(st.nobody()).(sinks.Prober)
	if !ok {
		return
	}
	switch err := nobody.Probe(st.Context()); {
	case err == nil:
		st.Errorf("the probe of an address where nobody listens finds nothing wrong")
	case strings.Contains(err.Error(), private):
		st.Errorf("the probe shows a secret: %v (I14)", err)
	}
}

// checkQuota puts headers on the answers that tell of a quota.
func checkQuota(st *stage) {
	q, ok := st.target.(sinks.QuotaTeller)
	if !ok {
		st.Skip("the target tells of no quotas")
	}
	if st.s.Quota == nil {
		st.Fatalf("Subject.Quota is not set")
	}
	var (
		mu   sync.Mutex
		told []sinks.Quota
	)
	q.TellQuota(func(q sinks.Quota) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, q)
	})
	st.wire.tell(st.s.Quota)
	start := time.Now()
	st.must("something", st.several(1, "quota")...)
	mu.Lock()
	defer mu.Unlock()
	if len(told) == 0 {
		st.Fatalf("nobody was told of the quota in the headers %v", st.s.Quota)
	}
	for _, q := range told {
		for _, a := range []sinks.Allowance{q.Daily, q.Window} {
			if a.Known && (a.Left < 0 || a.Limit < 0 || a.Reset < 0 || a.Reset > time.Since(start)+366*24*time.Hour) {
				st.Errorf("told of %+v", q)
			}
		}
		if !q.Daily.Known && !q.Window.Known {
			st.Errorf("told of nothing: %+v", q)
		}
	}
}

// checkRequests holds what is counted of requests against those that came.
func checkRequests(st *stage) {
	c, ok := st.target.(sinks.RequestCounter)
	if !ok || !c.CountsRequests() {
		st.Fatalf("the target does not count its requests")
	}
	st.must("something", st.several(1, "requests")...) // a token is had
	counted := func(what string, f func(ctx context.Context)) {
		st.Helper()
		_, before := st.wire.count()
		ctx, r := sinks.CountRequests(st.Context(), func() {})
		f(ctx)
		_, after := st.wire.count()
		if n := r.End(); n != after-before || n == 0 {
			st.Errorf("%s: %d requests are counted, and %d came", what, n, after-before)
		}
	}
	batch := st.several(3, "requests again")
	counted("upserts", func(ctx context.Context) { st.deliverBy(ctx, st.target, batch...) })
	if st.abilities().Delete {
		counted("a delete", func(ctx context.Context) { st.deliverBy(ctx, st.target, st.record(sinks.Delete, named("001"))) })
	}
	st.wire.script(answer(http.StatusServiceUnavailable, "{}"))
	counted("a fault", func(ctx context.Context) { st.send(ctx, st.target, batch...) })
	if b, ok := st.target.(sinks.ReadBack); ok {
		counted("a read", func(ctx context.Context) {
			_, err := b.ReadBack(ctx, st.s.Object, st.s.Key, []json.RawMessage{batch[0].Key.Value, batch[2].Key.Value}, []string{st.s.Text})
			st.lookAt(err)
		})
	}
}
