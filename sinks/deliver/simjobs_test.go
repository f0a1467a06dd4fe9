package deliver

import (
	"errors"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// carryOut lets the target of some runs carry out jobs, of few records, that take longer than
// they may now and then, and fail in every way they may.
func (s *sim) carryOut() {
	if s.rng.IntN(3) > 0 {
		return
	}
	s.target.limits.MaxInFlight = 2 + s.rng.IntN(3)
	s.target.limits.Bulk = sinks.Bulk{From: 1 + s.rng.IntN(2), MaxBatch: 2 + s.rng.IntN(5), Timeout: time.Duration(1+s.rng.IntN(5)) * time.Second}
	s.quietJob = time.Duration(1+s.rng.IntN(50)) * time.Millisecond
	s.jobs = &jobTarget{fakeTarget: s.target, run: s.job, takes: func() time.Duration {
		return time.Duration(s.draw(100)*s.draw(60)) * time.Millisecond
	}}
}

// job says what becomes of the records of one.
func (s *sim) job(b sinks.Batch) ([]bool, []sinks.Result, error) {
	n := len(b.Records)
	apply, rs, err := s.refuse(b)
	if !s.faulty() {
		return apply, rs, err
	}
	switch s.draw(12) {
	case 0:
		return nil, nil, &sinks.Retryable{Err: errors.New("503")}
	case 1:
		return nil, nil, &sinks.Rejected{Code: "NO_JOBS", Err: errors.New("400")}
	case 2:
		return nil, nil, &sinks.Throttled{Err: errors.New("429"), After: time.Second}
	case 3: // it ends in the midst, and nobody can tell where
		for i := range apply {
			apply[i] = apply[i] && s.chance(2)
		}
		return apply, nil, &sinks.Retryable{Unknown: true, Err: errors.New("no results")}
	case 4: // it ends in the midst
		from := s.draw(n)
		for i := from; i < n; i++ {
			apply[i], rs[i].Err = false, &sinks.Retryable{Err: errors.New("not processed")}
		}
	case 5:
		return apply, rs[:s.draw(n)], nil
	}
	return apply, rs, nil
}

// lane draws the lane of a change: mostly bulk where there are jobs.
func (s *sim) lane() string {
	if s.jobs != nil && !s.chance(3) {
		return cdc.LaneBulk
	}
	return cdc.Lanes()[s.draw(3)]
}

// acceptAll has the target take everything from now on.
func (s *sim) acceptAll() {
	s.answers(acceptAll)
	if s.jobs != nil {
		s.jobs.says(nil)
	}
}
