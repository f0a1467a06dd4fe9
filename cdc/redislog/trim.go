package redislog

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Retention says how much of the log is kept of what every reader has read, and
// what comes of a log that is full of what one has not.
type Retention struct {
	// Age is how long entries are kept, counted from their commit.
	Age time.Duration
	// Bytes bounds the memory of the streams, as MEMORY USAGE counts it; zero for no
	// bound. What somebody has not read is kept above it, see Wait.
	Bytes int64
	// HighMark is the part of the server's maxmemory up to which anything may be kept
	// that all have read; zero for no mark.
	HighMark float64
	// Wait keeps a target attached whose unread entries fill the memory: the capture
	// then waits for it, and the slot with it.
	Wait bool
}

// ReplayPrefix begins the names of the groups of replays. They are never detached.
const ReplayPrefix = "replay:"

// maxPosition is above every entry.
var maxPosition = cdc.Position{LSN: math.MaxUint64, Ordinal: math.MaxUint64}

// demand is what the entries of a log are held against.
type demand struct {
	Retention
	// targets are those that must have read an entry before it goes, also where they
	// have no consumer group yet: it stands at the beginning then.
	targets []string
	// horizon is the Position up to which everything is older than Age.
	horizon cdc.Position
	// still tells how long readers that have something to read have read nothing.
	still map[string]time.Duration
}

// cut takes entries from a stream, the oldest first.
type cut struct {
	stream cdc.Stream
	// upTo is the last Position that may go.
	upTo cdc.Position
	// most bounds how many go; zero for all.
	most int64
}

// plan is what is to be done with a log.
type plan struct {
	cuts []cut
	// over are the bytes that would have to go and cannot yet.
	over int64
	// detach is the reader that is the cause of it, if one is.
	detach string
	reason string
}

// What makes a reader the cause of a full log. Its unread entries are half of the
// log and the log a quarter of the limit: nothing smaller explains a full server.
// And it stands still, or the others have read on: where all are slow alike, as
// while a backlog drains, a generation would only add to it, so the capture waits.
const (
	causeStill  = time.Minute
	causeUnread = 2 // a half of the log
	causeLog    = 4 // a quarter of the limit
	causeAhead  = 4 // a quarter of the log that the others have read
)

// decide says what is to be done with a log of which s is known. What is older than
// the retention goes first; only then, what is needed to come below a bound.
func decide(s *Survey, d demand) plan {
	var p plan
	for i := range s.Streams {
		st := &s.Streams[i]
		upTo := st.readTo(d.targets, s.Detached, "")
		if d.horizon.Before(upTo) {
			upTo = d.horizon
		}
		if st.Entries > 0 && !upTo.Before(st.First) {
			p.cuts = append(p.cuts, cut{stream: st.Stream, upTo: upTo})
		}
	}
	over, limit := d.excess(s)
	if over <= 0 || len(p.cuts) > 0 { // what the age takes may be enough
		p.over = max(over, 0)
		return p
	}
	p.over = over
	// Half of it, then another look: entries are not all of one size.
	if p.cuts = squeeze(s, d.targets, over/2+1); len(p.cuts) == 0 && !d.Wait {
		p.detach, p.reason = blame(s, &d, limit)
	}
	return p
}

// excess gives the bytes above a bound, and the bound. A little more is asked for
// than what is above, so that not every entry brings the log above it again.
func (r *Retention) excess(s *Survey) (over, limit int64) {
	aim := func(have, most int64) {
		if o := have - most + most/100; most > 0 && have > most && o > over {
			over, limit = o, most
		}
	}
	aim(s.Bytes(), r.Bytes)
	aim(s.Memory.Used, int64(r.HighMark*float64(s.Memory.Max)))
	return over, limit
}

// readTo is up to where every reader but one has read a stream: the targets, whether
// they have begun or not, and whoever else has a group there.
func (st *StreamSurvey) readTo(targets []string, detached map[string]Detached, except string) cdc.Position {
	low := maxPosition
	see := func(name string, at cdc.Position) {
		if _, gone := detached[name]; !gone && name != except && at.Before(low) {
			low = at
		}
	}
	for name, at := range st.Groups {
		see(name, at)
	}
	for _, name := range targets {
		see(name, st.Groups[name])
	}
	return low
}

// part is about which part of a stream's entries lies up to a Position. Ids say
// nothing of sizes: as a measure it serves where an error is found out.
func (st *StreamSurvey) part(p cdc.Position) float64 {
	switch {
	case st.Entries == 0 || p.Before(st.First):
		return 0
	case !p.Before(st.Last):
		return 1
	case st.First.LSN == st.Last.LSN: // within one transaction
		return float64(p.Ordinal-st.First.Ordinal) / float64(st.Last.Ordinal-st.First.Ordinal)
	}
	return float64(p.LSN-st.First.LSN) / float64(st.Last.LSN-st.First.LSN)
}

// squeeze takes the bytes from what all have read, the oldest entries of all streams
// first. It is bounded by numbers of entries, so that what a Position wrongly tells
// of sizes takes no more than was asked for.
func squeeze(s *Survey, targets []string, over int64) []cut {
	upTo := make([]cdc.Position, len(s.Streams))
	var high cdc.Position
	var all []int
	for i := range s.Streams {
		st := &s.Streams[i]
		upTo[i] = st.readTo(targets, s.Detached, "")
		if st.Entries == 0 || upTo[i].Before(st.First) {
			continue
		}
		all = append(all, i)
		if high.Before(st.Last) {
			high = st.Last
		}
	}
	bytesTo := func(i int, p cdc.Position) float64 {
		if upTo[i].Before(p) {
			p = upTo[i]
		}
		return s.Streams[i].part(p) * float64(s.Streams[i].Bytes)
	}
	low, below := cdc.LSN(0), high.LSN
	for low < below {
		mid, sum := low+(below-low)/2, 0.0
		for _, i := range all {
			sum += bytesTo(i, cdc.Position{LSN: mid, Ordinal: math.MaxUint64})
		}
		if sum >= float64(over) {
			below = mid
		} else {
			low = mid + 1
		}
	}
	take := make([]float64, len(s.Streams))
	sum, held := 0.0, 0.0
	for _, i := range all {
		take[i] = bytesTo(i, cdc.Position{LSN: low, Ordinal: math.MaxUint64})
		sum += take[i]
		held += float64(s.Streams[i].Bytes)
	}
	var cuts []cut
	for _, i := range all {
		st := &s.Streams[i]
		if sum > float64(over) { // where one transaction has it all
			take[i] *= float64(over) / sum
		} else { // where Positions tell less than there is
			take[i] += (float64(over) - sum) * float64(st.Bytes) / held
		}
		if n := int64(take[i] / float64(st.Bytes) * float64(st.Entries)); n > 0 {
			cuts = append(cuts, cut{stream: st.Stream, upTo: upTo[i], most: n})
		}
	}
	if len(cuts) == 0 && len(all) > 0 { // less than an entry of each: one of the oldest
		i := slices.MinFunc(all, func(a, b int) int { return s.Streams[a].First.Compare(s.Streams[b].First) })
		cuts = append(cuts, cut{stream: s.Streams[i].Stream, upTo: upTo[i], most: 1})
	}
	return cuts
}

// blame finds the reader that is the cause of a log from which nothing can go.
func blame(s *Survey, d *demand, limit int64) (name, reason string) {
	total := s.Bytes()
	if total < limit/causeLog {
		return "", ""
	}
	var most int64
	for _, r := range s.Readers(d.targets) {
		if !strings.HasPrefix(r, ReplayPrefix) {
			if n := s.Unread(r); n > most {
				name, most = r, n
			}
		}
	}
	if name == "" || most < total/causeUnread {
		return "", ""
	}
	if d.still[name] >= causeStill {
		return name, "it read nothing while its unread entries filled the memory"
	}
	ahead := 0.0
	for i := range s.Streams {
		st := &s.Streams[i]
		// Where nobody else reads nobody is ahead.
		if p := st.readTo(d.targets, s.Detached, name); p != maxPosition {
			ahead += st.part(p) * float64(st.Bytes)
		}
	}
	if ahead >= float64(total/causeAhead) {
		return name, "its unread entries filled the memory, the others had read on"
	}
	return "", ""
}
