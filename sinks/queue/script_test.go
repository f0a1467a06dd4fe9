package queue

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// TestScripts runs the stories in testdata: what is done to a queue, and below it what
// comes of it. `go test ./sinks/queue -run Scripts -rewrite` writes down what comes of it
// now. The commands are
//
//	queue [entries=N] [bytes=N] [floor=N] [from=N] [most=N] [quiet=D] [gather=D]   a new queue; from is of jobs
//	group NAME [quiet=D] [max_delay=D] [max_batch=N]
//	add KEY COLUMNS… [lane=L] [mapping=M] [in=P]   x=1, y=? for absent, or the word gone; P is the partition
//	take [least=L] [as=NAME]                   a batch, kept by a name
//	job [as=NAME]                              what goes in a job, kept likewise
//	single on|off                              nothing goes in jobs
//	done NAME [KEY…]                           delivered; all of the batch without keys
//	retry NAME [KEY…] wait=D [alone]           failed, counted; or to go in no job
//	gate P LANE                                opens a partition's gate for lanes above it, or for all
//	rest KEY D                                 nothing is taken of a key before
//	drop P                                     a partition is forgotten
//	time D                                     passes
//	next                                       when to ask again
//	state                                      what is held, and which lanes have room
//
// Each entry is shown with its lane, the row it came to with the Position of the newest
// change, how many changes it is, and how often it failed.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := &script{t: t, now: epoch}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.run(d)
		})
	})
}

type script struct {
	t       *testing.T
	q       *Queue
	now     time.Time
	next    int
	mapping string // the first group's
	batches map[string][]*Entry
}

func (s *script) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "queue":
		limits := Limits{Entries: s.number(d, "entries", 1000), Bytes: int64(s.number(d, "bytes", 1<<20)), Floor: s.number(d, "floor", 0)}
		s.q, s.batches, s.mapping = New(limits), map[string][]*Entry{}, ""
		s.q.SetJobs(Jobs{From: s.number(d, "from", 0), Most: s.number(d, "most", 1000), Quiet: s.duration(d, "quiet"), Gather: s.duration(d, "gather")})
		return ""
	case "group":
		name := word(d, 0)
		s.q.Group(name, sinks.Coalesce{Quiet: s.duration(d, "quiet"), MaxDelay: s.duration(d, "max_delay"), MaxBatch: s.number(d, "max_batch", 10)})
		if s.mapping == "" {
			s.mapping = name
		}
		return ""
	case "add":
		s.add(d)
		return ""
	case "take":
		least := Bulk
		if d.HasArg("least") {
			var name string
			d.ScanArgs(s.t, "least", &name)
			least = LaneOf(name)
		}
		return s.took(d, func() (Batch, bool) { return s.q.Take(s.now, least) })
	case "job":
		return s.took(d, func() (Batch, bool) { return s.q.TakeJob(s.now) })
	case "single":
		s.q.Single(word(d, 0) == "on")
		return ""
	case "done", "retry":
		return s.done(d)
	case "gate":
		open := All
		if name := word(d, 1); name != "all" {
			open = LaneOf(name)
		}
		s.q.Gate(s.now, s.at(d), open)
		return ""
	case "drop":
		return fmt.Sprintf("%d keys were pending\n", s.q.Drop(s.at(d)))
	case "rest":
		wait, err := time.ParseDuration(word(d, 1))
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		s.q.Rest(s.now, Key{s.mapping, word(d, 0)}, s.now.Add(wait))
		return ""
	case "time":
		wait, err := time.ParseDuration(word(d, 0))
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		s.now = s.now.Add(wait)
		return ""
	case "next":
		at, ok := s.q.Next(s.now, Bulk)
		switch {
		case !ok:
			return "never\n"
		case !at.After(s.now):
			return "now\n"
		}
		return fmt.Sprintf("in %v\n", at.Sub(s.now))
	case "state":
		return s.state()
	}
	d.Fatalf(s.t, "unknown command %s", d.Cmd)
	return ""
}

func (s *script) state() string {
	c := s.q.Counts()
	var b strings.Builder
	fmt.Fprintf(&b, "%d keys pending, %d in flight\n", c.Pending, c.InFlight)
	for l := range lanes {
		room := "has room"
		if !s.q.Readable(l) {
			room = "is full"
		}
		fmt.Fprintf(&b, "%v %s: %d changes, %d bytes\n", l, room, c.Entries[l], c.Bytes[l])
	}
	return b.String()
}

// add makes a change of 10 bytes, one Position above the last.
func (s *script) add(d *datadriven.TestData) {
	s.next++
	mapping, lane := s.mapping, Normal
	key := word(d, 0)
	var columns []string
	for _, a := range d.CmdArgs[1:] {
		switch {
		case a.Key == "lane":
			lane = LaneOf(a.Vals[0])
		case a.Key == "in":
		case a.Key == "mapping":
			mapping = a.Vals[0]
		case len(a.Vals) > 0:
			columns = append(columns, a.Key+"="+a.Vals[0])
		}
	}
	var ch cdc.Change
	if len(columns) == 0 {
		ch = gone(s.next)
	} else {
		ch = row(s.next, strings.Join(columns, " "))
	}
	ch.Time = s.now
	s.q.Add(s.now, Arrival{Key: Key{mapping, key}, Partition: s.number(d, "in", 0), Change: ch, Lane: lane, Token: Token{Lane: lane, Size: 10}})
}

func (s *script) took(d *datadriven.TestData, take func() (Batch, bool)) string {
	b, ok := take()
	if !ok {
		return "nothing\n"
	}
	name := "batch"
	if d.HasArg("as") {
		d.ScanArgs(s.t, "as", &name)
	}
	s.batches[name] = b.Entries
	var out strings.Builder
	fmt.Fprintf(&out, "%s, led by %v\n", b.Mapping, b.Lane)
	for _, e := range b.Entries {
		fmt.Fprintf(&out, "  %s: %s (%v, %d changes", e.Key.Source, show(s.t, e.Row.Change()), e.Lane, e.Changes)
		if e.Attempts > 0 {
			fmt.Fprintf(&out, ", failed %d times", e.Attempts)
		}
		if e.Row.Bare() {
			out.WriteString(", to be completed")
		}
		out.WriteString(")\n")
	}
	return out.String()
}

// done gives entries of a batch back, all without keys.
func (s *script) done(d *datadriven.TestData) string {
	named := map[string]bool{}
	for _, a := range d.CmdArgs[1:] {
		if len(a.Vals) == 0 {
			named[a.Key] = true
		}
	}
	var out []Outcome
	var left []*Entry
	for _, e := range s.batches[word(d, 0)] {
		if len(named) > 0 && !named[e.Key.Source] && !named["alone"] {
			left = append(left, e)
			continue
		}
		o := Outcome{Entry: e, Again: d.Cmd == "retry", Alone: named["alone"]}
		o.Counted = o.Again && !o.Alone
		if o.Again {
			o.Until = s.now.Add(s.duration(d, "wait"))
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		d.Fatalf(s.t, "nothing of batch %s is in flight", word(d, 0))
	}
	s.batches[word(d, 0)] = left
	return fmt.Sprintf("%d changes released\n", len(s.q.Done(s.now, out)))
}

// at is the partition that a command is about.
func (s *script) at(d *datadriven.TestData) int {
	n, err := strconv.Atoi(word(d, 0))
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	return n
}

// word gives an argument that stands for itself.
func word(d *datadriven.TestData, i int) string { return d.CmdArgs[i].Key }

func (s *script) number(d *datadriven.TestData, name string, otherwise int) int {
	if !d.HasArg(name) {
		return otherwise
	}
	var text string
	d.ScanArgs(s.t, name, &text)
	n, err := strconv.Atoi(text)
	if err != nil {
		d.Fatalf(s.t, "%s: %v", name, err)
	}
	return n
}

func (s *script) duration(d *datadriven.TestData, name string) time.Duration {
	if !d.HasArg(name) {
		return 0
	}
	var text string
	d.ScanArgs(s.t, name, &text)
	v, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(s.t, "%s: %v", name, err)
	}
	return v
}
