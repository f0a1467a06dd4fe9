package pgsource

import "testing"

// It is told early how much WAL the slot keeps: from half of the budget on, and
// whatever the budget says when the server itself is about to give the slot up.
func TestPressure(t *testing.T) {
	for _, tc := range []struct {
		retained, budget int64
		status           string
		want             int
	}{
		{retained: 49, budget: 100, status: "reserved", want: 0},
		{retained: 50, budget: 100, status: "reserved", want: 1},
		{retained: 99, budget: 100, status: "extended", want: 1},
		{retained: 100, budget: 100, status: "extended", want: 2},
		{retained: 1 << 40, budget: 0, status: "reserved", want: 0},
		{retained: 1, budget: 100, status: "unreserved", want: 2},
		{retained: 0, budget: 100, status: "lost", want: 2},
	} {
		f := Facts{Retained: tc.retained, WALStatus: tc.status}
		if got := f.Pressure(tc.budget); got != tc.want {
			t.Errorf("%d of %d bytes, %s: pressure %d, want %d", tc.retained, tc.budget, tc.status, got, tc.want)
		}
	}
}
