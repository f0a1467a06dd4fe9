package cdc

import (
	"testing"
	"time"
)

func TestReplayShare(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, tc := range map[string]struct {
		state     ReplayState
		of, read  int64
		left      int
		took      time.Duration
		share     float64
		remaining time.Duration
	}{
		"a quarter":       {ReplayRunning, 400, 100, 4, 10 * time.Second, .25, 30 * time.Second},
		"hardly begun":    {ReplayRunning, 400, 3, 4, 10 * time.Second, .0075, 0},
		"not begun":       {state: ReplayRunning, of: 400, left: 4},
		"stopped":         {ReplayStopped, 400, 100, 4, 10 * time.Second, .25, 0},
		"more than meant": {ReplayRunning, 400, 500, 1, 10 * time.Second, 1, 0},
		"of nothing":      {ReplayRunning, 0, 0, 1, 10 * time.Second, .75, 3 * time.Second},
		"done":            {ReplayDone, 400, 390, 0, 10 * time.Second, 1, 0},
	} {
		s := ReplayStatus{Replay: Replay{Changes: tc.of, Created: at}, State: tc.state, Partitions: 4, Left: tc.left}
		s.Progress.Changes = tc.read
		if tc.took > 0 {
			s.Progress.Updated = at.Add(tc.took)
		}
		if s.Share() != tc.share || s.Remaining() != tc.remaining {
			t.Errorf("%s: %v done, %v left; want %v and %v", name, s.Share(), s.Remaining(), tc.share, tc.remaining)
		}
	}
}
