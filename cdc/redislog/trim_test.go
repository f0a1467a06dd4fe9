package redislog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
)

// modelEntry is an entry of a made-up log.
type modelEntry struct {
	at   cdc.Position
	size int64
}

// model is a log as far as trimming is concerned.
type model struct {
	streams  [][]modelEntry
	groups   []map[string]cdc.Position
	detached map[string]Detached
}

func (m *model) survey() *Survey {
	s := &Survey{Detached: m.detached}
	for i, entries := range m.streams {
		st := StreamSurvey{Stream: cdc.Stream{Lane: cdc.LaneNormal, Partition: i}, Entries: int64(len(entries)), Groups: m.groups[i]}
		for _, e := range entries {
			st.Bytes += e.size
		}
		if len(entries) > 0 {
			st.First, st.Last = entries[0].at, entries[len(entries)-1].at
		}
		s.Streams = append(s.Streams, st)
	}
	return s
}

// apply does what cutScript does, but for its check.
func (m *model) apply(cuts []cut) (gone map[int][]modelEntry) {
	gone = map[int][]modelEntry{}
	for _, c := range cuts {
		list := m.streams[c.stream.Partition]
		n := 0
		for n < len(list) && !c.upTo.Before(list[n].at) && (c.most == 0 || int64(n) < c.most) {
			n++
		}
		gone[c.stream.Partition] = list[:n]
		m.streams[c.stream.Partition] = list[n:]
	}
	return gone
}

var modelTargets = []string{"crm", "forecast"}

func drawModel(t *rapid.T) *model {
	m := &model{detached: map[string]Detached{}}
	streams := rapid.IntRange(1, 6).Draw(t, "streams")
	lsn := cdc.LSN(1000)
	m.streams = make([][]modelEntry, streams)
	base := rapid.Int64Range(50, 2000).Draw(t, "size")
	for range rapid.IntRange(0, 60).Draw(t, "transactions") {
		lsn += cdc.LSN(rapid.IntRange(1, 100_000).Draw(t, "step"))
		rows := rapid.SampledFrom([]int{1, 3, 30, 1000}).Draw(t, "rows")
		spread := rapid.Int64Range(1, 4).Draw(t, "spread") // of sizes over time
		for row := range rows {
			p := row * 7 % streams
			m.streams[p] = append(m.streams[p], modelEntry{cdc.Position{LSN: lsn, Ordinal: uint64(2 * row)}, base * spread})
		}
	}
	names := append([]string{"stranger", ReplayPrefix + "1"}, modelTargets...)
	if rapid.Bool().Draw(t, "detached") {
		m.detached["crm"] = Detached{}
	}
	for i := range m.streams {
		m.groups = append(m.groups, map[string]cdc.Position{})
		for _, name := range names {
			if len(m.streams[i]) == 0 || rapid.IntRange(0, 9).Draw(t, "absent") == 0 {
				continue
			}
			at := rapid.OneOf(rapid.Just(len(m.streams[i])), rapid.IntRange(0, len(m.streams[i]))).Draw(t, name)
			if at == 0 {
				m.groups[i][name] = cdc.Position{}
			} else {
				m.groups[i][name] = m.streams[i][at-1].at
			}
		}
	}
	return m
}

// unread tells who that is attached has not read an entry.
func (m *model) unread(stream int, at cdc.Position) string {
	for name, to := range m.groups[stream] {
		if _, gone := m.detached[name]; !gone && to.Before(at) {
			return name
		}
	}
	for _, name := range modelTargets {
		if _, gone := m.detached[name]; !gone && m.groups[stream][name].Before(at) {
			return name
		}
	}
	return ""
}

// Whatever the log is like: nothing goes that an attached target, a stranger or a
// replay has not read. What is read and older than the age goes, what is younger
// stays as long as a bound does not want it. A bound is held within a few per cent, or
// nothing is left that may go.
func TestTrimProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		s := m.survey()
		total := s.Bytes()
		d := demand{targets: modelTargets, Retention: Retention{Wait: true}}
		d.horizon = cdc.Position{LSN: cdc.LSN(rapid.IntRange(0, 5_000_000).Draw(t, "horizon"))}
		if rapid.Bool().Draw(t, "bounded") && total > 0 {
			d.Bytes = rapid.Int64Range(total/50+1, 2*total).Draw(t, "bytes")
		}
		for round := 0; ; round++ {
			s := m.survey()
			before := s.Bytes()
			p := decide(s, d)
			if p.detach != "" {
				t.Fatal("a target is detached although the capture is to wait")
			}
			if len(p.cuts) == 0 || round > 100 {
				break
			}
			for i, list := range m.apply(p.cuts) {
				for _, e := range list {
					if who := m.unread(i, e.at); who != "" {
						t.Fatalf("entry %v of stream %d went, which %s has not read", e.at, i, who)
					}
					if d.horizon.Before(e.at) && (d.Bytes == 0 || before <= d.Bytes) {
						t.Fatalf("entry %v of stream %d went, which is younger than %v, with %d bytes of %d", e.at, i, d.horizon, before, d.Bytes)
					}
				}
			}
		}
		m.check(t, &d)
	})
}

// check looks at what is left of a log.
func (m *model) check(t *rapid.T, d *demand) {
	left := m.survey()
	var free int64 // younger than the age, and read
	for i, list := range m.streams {
		for _, e := range list {
			if m.unread(i, e.at) != "" {
				continue
			}
			free += e.size
			if !d.horizon.Before(e.at) {
				t.Fatalf("entry %v of stream %d is left, which all have read and is older than %v", e.at, i, d.horizon)
			}
		}
	}
	have := left.Bytes()
	if d.Bytes > 0 && have > d.Bytes && free > 0 {
		t.Fatalf("%d bytes are left of at most %d, %d of them could go", have, d.Bytes, free)
	}
}

// surveyOf makes a log of one stream with entries at LSN 1 to n of a thousand bytes
// each.
func surveyOf(n int64, groups map[string]cdc.Position) *Survey {
	return &Survey{Detached: map[string]Detached{}, Streams: []StreamSurvey{{
		Stream: cdc.Stream{Lane: cdc.LaneNormal}, Entries: n, Bytes: 1000 * n,
		First: cdc.Position{LSN: 1}, Last: cdc.Position{LSN: cdc.LSN(n)}, Groups: groups,
	}}}
}

// Who is the cause of a full log, and who is not.
func TestBlame(t *testing.T) {
	at := func(lsn cdc.LSN) cdc.Position { return cdc.Position{LSN: lsn} }
	dead := map[string]time.Duration{"crm": causeStill}
	for _, tc := range []struct {
		name   string
		groups map[string]cdc.Position
		still  map[string]time.Duration
		max    int64 // of the server, in entries
		wait   bool
		want   string
	}{
		{"a dead target, alone", map[string]cdc.Position{"crm": at(0)}, dead, 1000, false, "crm"},
		{"the same, but it is waited for", map[string]cdc.Position{"crm": at(0)}, dead, 1000, true, ""},
		{"a slow target, alone", map[string]cdc.Position{"crm": at(0)}, nil, 1000, false, ""},
		{"a slow target, the other is ahead", map[string]cdc.Position{"crm": at(0), "forecast": at(900)}, nil, 1000, false, "crm"},
		{"a target that never ran", map[string]cdc.Position{"forecast": at(900)}, nil, 1000, false, "crm"},
		{"both slow alike", map[string]cdc.Position{"crm": at(0), "forecast": at(100)}, nil, 1000, false, ""},
		{"both dead: one after the other", map[string]cdc.Position{"crm": at(0), "forecast": at(0)}, map[string]time.Duration{"crm": causeStill, "forecast": causeStill}, 1000, false, "crm"},
		{"a group of nobody", map[string]cdc.Position{"crm": at(1000), "forecast": at(1000), "old": at(0)}, nil, 1000, false, "old"},
		{"a replay", map[string]cdc.Position{"crm": at(1000), "forecast": at(1000), ReplayPrefix + "1": at(0)}, nil, 1000, false, ""},
		{"something else fills the memory", map[string]cdc.Position{"crm": at(0)}, dead, 10_000, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := surveyOf(1000, tc.groups)
			s.Memory = Memory{Known: true, Max: tc.max * 1000, Used: tc.max * 900}
			targets := []string{"crm"}
			if _, two := tc.groups["forecast"]; two {
				targets = append(targets, "forecast")
			}
			p := decide(s, demand{Retention: Retention{HighMark: 0.8, Wait: tc.wait}, targets: targets, still: tc.still})
			if p.detach != tc.want || p.over == 0 || len(p.cuts) > 0 || (p.reason == "") != (tc.want == "") {
				t.Errorf("plan %+v, want to detach %q", p, tc.want)
			}
		})
	}
}

// What nobody has to read any more goes before a target is detached.
func TestHistoryGoesBeforeATargetDoes(t *testing.T) {
	s := surveyOf(1000, map[string]cdc.Position{"crm": {LSN: 100}, "forecast": {LSN: 900}})
	s.Memory = Memory{Known: true, Max: 1_000_000, Used: 900_000}
	d := demand{Retention: Retention{HighMark: 0.8}, targets: modelTargets}
	p := decide(s, d)
	if p.detach != "" || len(p.cuts) != 1 || p.cuts[0].upTo != (cdc.Position{LSN: 100}) || p.cuts[0].most < 50 || p.cuts[0].most > 60 {
		t.Fatalf("plan %+v, want about 54 entries up to 100-0, half of what is above the mark", p)
	}
	s.Detached["crm"] = Detached{}
	if p := decide(s, d); len(p.cuts) != 1 || p.cuts[0].upTo != (cdc.Position{LSN: 900}) {
		t.Fatalf("with crm detached the plan is %+v, want cuts up to 900-0", p)
	}
}

// An estimate by Positions is wrong where one transaction has most of a stream; it
// must not take more for that.
func TestSqueezeWithinOneTransaction(t *testing.T) {
	m := &model{streams: make([][]modelEntry, 1), groups: []map[string]cdc.Position{{"crm": maxPosition}}}
	for i := range 10_000 {
		m.streams[0] = append(m.streams[0], modelEntry{cdc.Position{LSN: 5, Ordinal: uint64(2 * i)}, 100})
	}
	m.streams[0] = append(m.streams[0], modelEntry{cdc.Position{LSN: 1 << 40}, 100})
	d := demand{Retention: Retention{Bytes: 900_000}, targets: []string{"crm"}}
	for range trimRounds {
		m.apply(decide(m.survey(), d).cuts)
	}
	if have := m.survey().Bytes(); have > 900_000 || have < 880_000 {
		t.Errorf("%d bytes are left of 900,000", have)
	}
}

// Next and Prev undo each other.
func TestCutEndsBelowTheNextPosition(t *testing.T) {
	for _, p := range []cdc.Position{{}, {LSN: 7}, {LSN: 7, Ordinal: 1<<64 - 1}, {LSN: 1 << 63, Ordinal: 3}} {
		if next := p.Next(); !p.Before(next) || next.Prev() != p {
			t.Errorf("after %v comes %v", p, next)
		}
	}
	if !slices.Equal([]string{fmt.Sprint(maxPosition.Next())}, []string{fmt.Sprint(maxPosition)}) {
		t.Error("something comes after the last position")
	}
}
