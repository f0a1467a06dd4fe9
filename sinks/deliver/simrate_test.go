package deliver

import (
	"errors"
	"slices"
	"time"

	"github.com/walbridge/walbridge/sinks/rate"
)

// limit gives some runs an account: one without limits, or one with, that is lost and
// found as the state is. Crashes and lost answers take requests with them, never more
// than there are.
func (s *sim) limit() {
	switch s.rng.IntN(3) {
	case 0:
		return
	case 1:
		s.limits = rate.Settings{PerSecond: 5, Burst: 3, BulkFloor: 0.05, Daily: 100_000}
	}
	s.account = &fakeAccount{fault: func() (before, after error) {
		if !s.faulty() {
			return nil, nil
		}
		switch s.draw(20) {
		case 0:
			return errors.New("no connection"), nil
		case 1:
			return nil, errors.New("the answer is lost")
		}
		return nil, nil
	}}
}

// asked notes a request.
func (s *sim) asked() {
	s.rngMu.Lock()
	defer s.rngMu.Unlock()
	s.times = append(s.times, time.Now())
}

// keptTheRate looks at every stretch of time: a grant may be used a tenth of a second
// after it was made.
func (s *sim) keptTheRate() {
	per := s.limits.PerSecond
	if s.account == nil || per == 0 {
		return
	}
	slices.SortFunc(s.times, time.Time.Compare)
	for i := range s.times {
		for j := i; j < len(s.times); j++ {
			d := s.times[j].Sub(s.times[i])
			if most := max(s.limits.Burst, 1+per/10) + per*d.Seconds(); float64(j-i+1) > most+1e-6 {
				s.Fatalf("%d requests in %v, at most %v", j-i+1, d, most)
			}
			if d > 10*time.Second {
				break
			}
		}
	}
}
