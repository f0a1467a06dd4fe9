package deliver

import "github.com/walbridge/walbridge/sinks/queue"

// hired counts a sender that was given a batch, or gave it back.
func (s *session) hired(j *job, n int) {
	s.senders += n
	if j.lane == queue.Bulk {
		s.bulk += n
	}
	if j.bulk {
		s.jobs += n
	}
}

// least is the lowest lane that may be given a sender now. Where there are several, bulk
// gets all but one of them: else an urgent record would wait for a whole request while
// a backlog goes out, however short its turn in the queue.
func (s *session) least() queue.Lane {
	if s.limits.MaxInFlight > 1 && s.bulk >= s.limits.MaxInFlight-1 {
		return queue.Normal
	}
	return queue.Bulk
}
