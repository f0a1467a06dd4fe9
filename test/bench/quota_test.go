package main

import (
	"testing"
	"time"
)

func TestQuotaJudge(t *testing.T) {
	t.Parallel()
	good := quotaResult{Changes: 1000, Held: 1000, quotaCount: quotaCount{Requests: 9, Refused: 1}}
	for name, c := range map[string]struct {
		change func(*quotaResult)
		broken bool
	}{
		"kept":                 {func(*quotaResult) {}, false},
		"a request too many":   {func(r *quotaResult) { r.Requests++ }, true},
		"refused too often":    {func(r *quotaResult) { r.Refused++ }, true},
		"sent again":           {func(r *quotaResult) { r.Again.Requests = 1 }, true},
		"refused again":        {func(r *quotaResult) { r.Again.Refused = 1 }, true},
		"a look is no request": {func(r *quotaResult) { r.Again.Empty = 1 }, false},
		"log was cut":          {func(r *quotaResult) { r.Held-- }, true},
	} {
		r := good
		c.change(&r)
		if err := r.judge(); (err != nil) != c.broken {
			t.Errorf("%s: judged %v", name, err)
		}
	}
}

func TestQuotaTargetAllowsSoManyASecond(t *testing.T) {
	t.Parallel()
	target := quotaTarget{tokens: quotaPerSecond}
	now, allowed := time.Unix(0, 0), 0
	for range 3000 { // three seconds
		now = now.Add(time.Millisecond)
		if target.allow(now) {
			allowed++
		}
	}
	// What the full bucket held comes on top.
	if allowed < 395 || allowed > 400 {
		t.Errorf("%d requests allowed in three seconds", allowed)
	}
}
