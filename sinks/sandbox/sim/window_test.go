package sim

import (
	"testing"
	"time"
)

func TestWindowRolls(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := Window{Max: 2, Per: 10 * time.Second}
	for i, step := range []struct {
		at   time.Duration
		ok   bool
		wait time.Duration
		left int
	}{
		{0, true, 0, 1},
		{4 * time.Second, true, 0, 0},
		{5 * time.Second, false, 5 * time.Second, 0},
		{9999 * time.Millisecond, false, time.Millisecond, 0},
		{10 * time.Second, true, 0, 0},
		{13 * time.Second, false, time.Second, 0}, // the one at 4 s still counts
		{14 * time.Second, true, 0, 0},
		{24 * time.Second, true, 0, 1}, // both of 10 s and 14 s are over
	} {
		wait, ok := w.Take(start.Add(step.at))
		if ok != step.ok || wait != step.wait {
			t.Errorf("step %d: wait %s, ok %v; want %s, %v", i, wait, ok, step.wait, step.ok)
		}
		if left := w.Left(start.Add(step.at)); left != step.left {
			t.Errorf("step %d: %d left, want %d", i, left, step.left)
		}
	}
	w.Clear()
	if left := w.Left(start); left != 2 {
		t.Errorf("%d left after Clear, want 2", left)
	}
}

func TestWindowWithoutLimit(t *testing.T) {
	var w Window
	for range 1000 {
		if _, ok := w.Take(time.Time{}); !ok {
			t.Fatal("a window without a limit refused a call")
		}
	}
	if w.Left(time.Time{}) != 0 {
		t.Error("calls are left of no limit")
	}
}
