package deliver

import (
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
)

// What the state says was delivered last is what the target has, unless a later request
// had no answer that we know of, and may have been carried out. So before anything is
// left out because the target has it already, the key must not be in doubt (I11). It is:
//
//   - after a try in this session that had no certain answer, or one that is not written yet,
//     until a state of the key is written: it is that of a later answer, or has no hash, or
//     tells that the target lacks something. An answer alone ends no doubt: where a record is
//     refused for want of another one, its entry goes aside and the state stays as it was.
//     Of fields that are only written when they change prepare noted which of them that is
//     about;
//   - where a session before noted that it may have handed one of its entries over, by
//     Position, or left it aside;
//   - until its partition was read again as far as that in every lane: an entry that was
//     handed over may be in a lane that is behind;
//   - where the session before did not end in order, and one of its entries was committed
//     before this one began: the server may have lost the last second, with the state of
//     what was delivered and the note that it was. Again every lane must have been read up
//     to then first.

// doubts is what makes the keys of a partition doubtful.
type doubts struct {
	// handed is how far sessions before may have handed entries to the target that are
	// above the checkpoint; zero where they did not.
	handed [laneCount]cdc.Position
	// unclean is, where the session before did not end in order, from when on no entry was
	// committed that it can have handed over; zero where it did.
	unclean time.Time
	// read tells of which lanes all that was committed before unclean was read.
	read [laneCount]bool
	// proven is what the checkpoint must reach until nothing of it is left.
	proven [laneCount]cdc.Position
}

// inDoubt tells whether it is not certain what a session before has left of an entry's
// key at the target.
func (p *part) inDoubt(e *queue.Entry) bool {
	if e.Replay != queue.Live && p.cleared() { // it began when nothing of the session before was left
		return e.Doubt
	}
	if e.Doubt || !p.unclean.IsZero() && e.Oldest.Before(p.unclean) {
		return true
	}
	for i, m := range p.marks {
		if m.Read().Before(p.handed[i]) || !p.unclean.IsZero() && !p.read[i] {
			return true
		}
	}
	return slices.ContainsFunc(e.Tokens, func(t queue.Token) bool { return !p.handed[t.Lane].Before(t.Mark.Position()) })
}

// noteRead notes which lanes were read to their ends, or to what is newer than this
// session: what a session before handed over has come.
func (p *part) noteRead(d *readDone, count [laneCount]int) {
	if p.unclean.IsZero() {
		return
	}
	var newest [laneCount]time.Time
	for i := range d.messages {
		if l := queue.LaneOf(d.messages[i].Stream.Lane); newest[l].Before(d.messages[i].Change.Time) {
			newest[l] = d.messages[i].Change.Time
		}
	}
	for i, lane := range cdc.Lanes() {
		_, asked := d.from[lane]
		if p.read[i] || !(asked && count[i] == 0) && !p.unclean.Before(newest[i]) {
			continue
		}
		p.read[i] = true
		if at := p.marks[i].Read(); p.proven[i].Before(at) {
			p.proven[i] = at
		}
	}
}

// cleared tells whether nothing is left of the doubts that a session before left: all of
// it was read and dealt with, and that is written.
func (p *part) cleared() bool {
	for i := range p.marks {
		if p.committed[i].Before(p.proven[i]) || !p.unclean.IsZero() && !p.read[i] {
			return false
		}
	}
	return true
}
