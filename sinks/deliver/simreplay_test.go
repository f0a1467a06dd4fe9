package deliver

import (
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// askReplay has a part of the log delivered once more, while all else goes on.
func (s *sim) askReplay() {
	from := s.draw(s.last + 1)
	s.replays.ask(cdc.Replay{From: at(from), To: at(from + s.draw(s.last-from+1)), Force: s.chance(2), Within: s.chance(3)})
	if s.chance(4) { // it is not known to the owner yet, or it is, or it has ended
		s.replays.wish("r1", s.chance(2))
	}
}

// replaysEnd waits for the end of all replays, and looks what came of them.
func (s *sim) replaysEnd() {
	for _, r := range s.replays.list {
		s.replays.wish(r.ID, true)
	}
	rest(30 * time.Minute)
	s.check()
	s.converged()
	for _, r := range s.replays.list {
		if p, ended := s.replays.progress(r.ID); !ended {
			s.Fatalf("replay %+v has not ended: %+v\n%+v\n%s", r, p, s.engine.Stats(), s.lines.text.String())
		}
	}
	// All of it again changes nothing.
	s.replays.ask(cdc.Replay{To: at(s.last), Force: true})
	rest(30 * time.Minute)
	s.check()
	s.converged()
}

func (s *sim) addReplays(sum *cdc.ReplayProgress) {
	for _, r := range s.replays.list {
		p, _ := s.replays.progress(r.ID)
		sum.Add(&p)
	}
}
