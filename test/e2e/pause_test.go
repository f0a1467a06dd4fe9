package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/sandbox"
)

// pause is a time for which a worker was stopped with SIGSTOP.
type pause struct {
	worker   string
	from, to time.Time
}

// atOnce is how soon after a pause a request has come to the target that was about to be
// written when the pause began.
const atOnce = time.Second

// underWay tells whether a request may have been under way in a worker that was stopped: all
// of it came to the target in the first moment after the pause. Of such a one a worker may
// have looked that it has the lease, and have written it only after the pause, which no lease
// can help (I4); docs/delivery.md says so. What had come before the pause, and what comes
// later, is not excused.
func (p *pause) underWay(r *request) bool {
	return r.header.Get("X-Worker") == p.worker && !r.began.Before(p.to) && !r.began.After(p.to.Add(atOnce))
}

// stepBack is that a key received an older state after a newer one.
type stepBack struct {
	place, key string // the place is app/object
	was, is    cdc.Position
	last       bool // nothing came after it
	excused    bool // a request that was under way in a pause
}

// stepsBack finds them in the history of a place, and holds them against the requests.
func stepsBack(place string, history map[string][]sandbox.Applied, requests []request, pauses []pause) (found []stepBack) {
	app, object, _ := strings.Cut(place, "/")
	for key, h := range history {
		for i := 1; i < len(h); i++ {
			if !h[i].Position.Before(h[i-1].Position) {
				continue
			}
			s := stepBack{place: place, key: key, was: h[i-1].Position, is: h[i].Position, last: i == len(h)-1}
			s.excused = slices.ContainsFunc(requests, func(r request) bool {
				return r.app == app && r.object == object && r.carries(key, s.is) &&
					slices.ContainsFunc(pauses, func(p pause) bool { return p.underWay(&r) })
			})
			found = append(found, s)
		}
	}
	return found
}

// carries tells whether a record of the request has a key at a Position.
func (r *request) carries(key string, at cdc.Position) bool {
	return slices.ContainsFunc(r.records, func(rec sandbox.Record) bool {
		return rec.Position == at.String() && len(rec.Key) == 1 && keyText(rec.Key) == key
	})
}

// keyText is the only value of a key, as the sandbox names it.
func keyText(key map[string]json.RawMessage) string {
	for _, v := range key {
		var text string
		if json.Unmarshal(v, &text) == nil {
			return text
		}
		return string(v)
	}
	return ""
}

// backwards names the steps back that no pause excuses. Of a key whose last step is an
// excused one the target may hold what is older than the source: late names it, as
// verdict.refused does.
func (b *bridge) backwards(pauses []pause) (findings []string, late map[string]bool) {
	b.t.Helper()
	late = map[string]bool{}
	requests := b.apps.answered()
	for _, place := range []string{"crm/Deal", "commission/Deal", "forecast/Forecast"} {
		app, object, _ := strings.Cut(place, "/")
		for _, s := range stepsBack(place, b.apps.History(app, object), requests, pauses) {
			text := fmt.Sprintf("%s %s: %v after %v", s.place, s.key, s.is, s.was)
			switch {
			case !s.excused:
				findings = append(findings, text)
				continue
			case s.last:
				late[s.place+" "+s.key] = true
			}
			b.t.Logf("sent by a worker whose request was under way when it was stopped (I4): %s", text)
		}
	}
	slices.Sort(findings)
	return findings, late
}

// TestStepsBack is of the judge itself: only what a worker had under way is excused.
func TestStepsBack(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	newer, older := cdc.Position{LSN: 2}, cdc.Position{LSN: 1}
	history := map[string][]sandbox.Applied{"7": {{Op: "upsert", Position: newer}, {Op: "upsert", Position: older}}}
	paused := pause{worker: "w1", from: at(0), to: at(3000)}
	for name, c := range map[string]struct {
		worker string
		began  int // the request, in milliseconds
		is     cdc.Position
		want   bool
	}{
		"written after the pause":     {"w1", 3001, older, true},
		"later than at once":          {"w1", 4001, older, false},
		"that had come before":        {"w1", 1, older, false},
		"of another worker":           {"w2", 3001, older, false},
		"that carried something else": {"w1", 3001, newer, false},
	} {
		r := request{app: "crm", object: "Deal", began: at(c.began), ended: at(3500), header: map[string][]string{"X-Worker": {c.worker}},
			records: []sandbox.Record{{Key: map[string]json.RawMessage{"id": json.RawMessage("7")}, Position: c.is.String()}}}
		found := stepsBack("crm/Deal", history, []request{r}, []pause{paused})
		if len(found) != 1 || found[0].excused != c.want || !found[0].last {
			t.Errorf("a request %s: %+v, want it excused: %v", name, found, c.want)
		}
	}
}
