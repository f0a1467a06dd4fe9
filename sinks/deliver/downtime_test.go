package deliver

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The sum is that of a count second by second, as far back as stretches are kept, and what was
// given to a job does not change.
func TestDowntime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(s int) time.Time { return time.Unix(1_000_000+int64(s), 0) }
		down := rapid.SliceOfN(rapid.Bool(), 1, 30).Draw(t, "down") // so few that all are kept
		var d downtime
		var kept []downtime
		for i, is := range down {
			d = d.at(at(i), is)
			kept = append(kept, d)
		}
		now := len(down)
		for i := range down {
			from := rapid.IntRange(0, i).Draw(t, "from")
			want := 0
			for _, is := range down[from:i] {
				if is {
					want++
				}
			}
			if got := kept[i].since(at(from), at(i)); got != time.Duration(want)*time.Second {
				t.Fatalf("down %v, from %d to %d: %s", down, from, i, got)
			}
		}
		if d = d.at(at(now), true); len(d) > stretchesKept {
			t.Fatalf("%d stretches are kept", len(d))
		}
	})
}

// An outage in which many requests probed is one, whatever came before it.
func TestDowntimeOfManyProbes(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	d := downtime{}.at(now, true).at(now.Add(time.Second), false)
	for i := range 100 {
		from := now.Add(time.Hour + time.Duration(i)*time.Minute)
		d = d.at(from, true).at(from.Add(time.Minute-time.Millisecond), false)
	}
	if got := d.since(now, now.Add(time.Hour)); got != time.Second {
		t.Errorf("the first stretch is %s", got)
	}
	if got := d.since(now.Add(time.Hour), now.Add(10*time.Hour)); got < 100*time.Minute-time.Second || got > 100*time.Minute {
		t.Errorf("the outage is %s", got)
	}
}

func TestDowntimeIsBounded(t *testing.T) {
	var d downtime
	now := time.Unix(1_000_000, 0)
	for i := range 1000 {
		d = d.at(now.Add(time.Duration(i)*time.Second), i%2 == 0)
	}
	if len(d) != stretchesKept {
		t.Errorf("%d stretches", len(d))
	}
}
