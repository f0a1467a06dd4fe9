package main

import "testing"

func TestDeadJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r      deadResult
		broken bool
	}{
		"kept":             {deadResult{Waiting: 10, PeakRSSMB: deadMostMB}, false},
		"too much memory":  {deadResult{Waiting: 10, PeakRSSMB: deadMostMB + 1}, true},
		"memory not known": {deadResult{Waiting: 10}, true},
		"log was cut":      {deadResult{Waiting: 9, PeakRSSMB: 1}, true},
	} {
		if err := c.r.judge(10); (err != nil) != c.broken {
			t.Errorf("%s: judged %v", name, err)
		}
	}
}
