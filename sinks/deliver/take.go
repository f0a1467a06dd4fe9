package deliver

import (
	"errors"
	"fmt"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/state"
)

// take takes partitions that nobody has, and looks where they go on.
func (s *session) take(partitions []int) {
	for _, n := range partitions {
		s.workers.asked[n] = true
	}
	me := s.me()
	s.spawn(func() {
		d := &taken{asked: partitions, at: time.Now()}
		if d.got, d.err = s.claim.Take(s.ctx, partitions); len(d.got) > 0 {
			if s.leased.Load() == 0 { // else what was renewed before lasts shorter
				s.lasts(d.at.Add(s.e.safe()))
			}
			s.post(&leasesTaken{at: d.at})
			if d.secure(s) && d.lookAgain(s, me) {
				d.find(s)
			}
		}
		s.post(d)
	})
}

// persist does something at the store until it succeeds. It is false if the session ends first.
func (s *session) persist(what string, do func() error) bool {
	for failures := 0; ; failures++ {
		err := do()
		var lost *state.LostError
		switch {
		case err == nil:
			s.e.log.works(what)
			return true
		case errors.As(err, &lost):
			s.cancel(err)
			return false
		case s.ctx.Err() == nil:
			s.e.log.fails(what, err)
		}
		if cdc.Sleep(s.ctx, backOff(redisWaits, failures)) != nil {
			return false
		}
	}
}

// secure sees to it that what was taken lasts for as long as leases are relied on. Others may
// have been renewed while the answer was on its way; where that took longer than the margin, what
// was taken may end before. It is false if the session ends.
func (d *taken) secure(s *session) bool {
	if time.Since(d.at) < s.e.leases.ttl-s.e.safe() {
		return true
	}
	return s.persist("renew lease", func() error { return s.claim.Renew(s.ctx) })
}

// lookAgain looks who is there once partitions are taken, and which mappings are agreed on with
// them. Only then it is certain: of two workers that come at once, each is known before it
// takes anything and looks after it has, so that one of them sees the other. One that must not
// have a part gives back what it got. It is false if there is nothing to go on with.
func (d *taken) lookAgain(s *session, me state.Worker) bool {
	var m state.Meeting
	if s.soft.Err() != nil { // others were told that we leave
		return false
	}
	if !s.persist("meet the other workers", func() (err error) { m, err = s.claim.Meet(s.ctx, me); return err }) {
		return false
	}
	d.names = agreed(&m, s.e.worker.Mappings)
	if _, rank := partOf(m.Workers, s.e.leases.name, len(m.Owners)); rank >= 0 {
		return true
	}
	s.persist("release lease", func() error { return s.claim.Release(s.ctx, false, d.got...) })
	return false
}

// leasesTaken is that something is ours, so that it must be renewed from now on.
type leasesTaken struct{ at time.Time }

func (d *leasesTaken) apply(s *session, _ time.Time) {
	if s.keeping {
		return
	}
	s.keeping = true
	s.spawn(func() { s.keepLease(d.at) })
}

// taken is what taking partitions came to.
type taken struct {
	asked, got []int
	names      []string
	at         time.Time
	began      bool // what comes before reading is done, for names
	found      []found
	shut       []int // of those that were got, what could not be opened
	err        error // of those that were not got
}

// find does what comes before reading, and looks where the partitions go on that were got.
func (d *taken) find(s *session) {
	d.began = s.persist("begin", func() error {
		err := s.begin(d.names)
		if s.soft.Err() != nil { // which ended it
			return nil
		}
		return err
	}) && s.soft.Err() == nil
	if !d.began {
		return
	}
	for _, n := range d.got {
		f, err := s.find(n)
		if err != nil {
			s.e.log.fails(openingOf(n), err)
			d.shut = append(d.shut, n)
			continue
		}
		s.e.log.works(openingOf(n)) // a session before may have tried in vain
		d.found = append(d.found, f)
	}
}

func openingOf(partition int) string { return fmt.Sprintf("open partition %d", partition) }

// apply begins with what was taken.
func (d *taken) apply(s *session, _ time.Time) {
	const what = "take lease"
	w := &s.workers
	for _, n := range d.asked {
		delete(w.asked, n)
	}
	switch {
	case d.err != nil && s.ctx.Err() == nil:
		s.e.log.fails(what, d.err)
	case d.err == nil:
		s.e.log.works(what)
	}
	if !s.parting.IsZero() {
		s.tellLeaving() // perhaps the look came after that
	}
	if d.began {
		w.begun = d.names
	}
	s.openAll(d.found)
	for _, n := range d.shut {
		w.asked[n] = true
		s.spawn(func() { s.openLater(n) })
	}
}

// openLater tries a partition again that could not be opened. It holds up itself alone: what else
// is ours goes on meanwhile, where the end of the session would stop that as well.
func (s *session) openLater(n int) {
	var f found
	if s.persist(openingOf(n), func() (err error) { f, err = s.find(n); return err }) {
		s.post(&opened{f})
	}
}

// opened is that a partition can be read after all.
type opened struct{ found found }

func (d *opened) apply(s *session, _ time.Time) {
	delete(s.workers.asked, d.found.n)
	s.openAll([]found{d.found})
}

// openAll begins with partitions that were found.
func (s *session) openAll(all []found) {
	w := &s.workers
	for i := range all {
		s.open(&all[i])
		if !s.parting.IsZero() {
			s.parts[all[i].n].leaving = true
		}
	}
	if len(all) == 0 {
		return
	}
	message := "partitions taken over"
	if !w.started {
		message, w.started = "delivery started", true
	}
	s.e.logger.Info(message, "partitions", len(all), "owned", len(s.owned()), "of", s.e.o.Partitions, "mappings", len(s.e.o.Mappers))
}
