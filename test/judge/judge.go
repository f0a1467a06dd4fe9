package judge

import (
	"context"
	"fmt"

	"github.com/walbridge/walbridge/cdc"
)

// Finding is something that is not as it must be.
type Finding struct {
	What string
	// At is the Position that it is about, Table and Key the row; all may be empty.
	At         cdc.Position
	Table, Key string
}

// Verdict is what came of a judgement.
type Verdict struct {
	Findings []Finding
	Entries  int            // of the log, a truncate once
	Lanes    map[string]int // entries by lane
	Ops      map[string]int // and by op
	Absent   int            // entries that lack columns
	Rows     int            // in the end, in the tables
	Witness  []Fact
}

// Compare holds a log against what the witness saw and the tables that came of it.
func Compare(ctx context.Context, l *Log, witness []Fact, tables Rows) (*Verdict, error) {
	c := &comparison{facts: witness, streams: 3 * l.Partitions, home: map[string]int{}, fold: fold{rows: Rows{}, at: map[string]map[string]cdc.Position{}},
		verdict: Verdict{Witness: witness, Lanes: map[string]int{}, Ops: map[string]int{}, Rows: tables.Count()}}
	if len(witness) == 0 {
		c.find("the witness saw nothing, so nothing is proved", Fact{})
	}
	if err := l.walk(ctx, c.entry, func(f Finding) { c.verdict.Findings = append(c.verdict.Findings, f) }); err != nil {
		return nil, err
	}
	c.closeBroadcast()
	for ; len(c.facts) > 0; c.facts = c.facts[1:] {
		c.missing(&c.facts[0])
	}
	strangers, err := l.strangers(ctx)
	if err != nil {
		return nil, err
	}
	c.verdict.Findings = append(append(c.verdict.Findings, strangers...), Differences(tables, c.fold.rows)...)
	return &c.verdict, nil
}

// comparison walks the log and the witness side by side.
type comparison struct {
	verdict Verdict
	facts   []Fact  // that no entry was seen of yet
	last    Entry   // the entry before
	copies  int     // of last, where it goes to every stream
	seen    cdc.LSN // of the fact before facts
	streams int
	home    map[string]int // partitions by row
	fold    fold
}

func (c *comparison) find(what string, f Fact) {
	c.verdict.Findings = append(c.verdict.Findings, Finding{What: what, At: f.At, Table: f.Table, Key: f.Key})
}

func (c *comparison) missing(f *Fact) {
	c.find(fmt.Sprintf("missing: %v %s %s %s", f.At, f.Op, f.Table, f.Key), *f)
}

// toAll tells whether an op goes to every stream.
func toAll(op string) bool { return op == "t" || op == "s" }

func (c *comparison) entry(e *Entry) {
	if toAll(e.Op) && c.last.Fact == e.Fact {
		c.copies++
		return
	}
	c.closeBroadcast()
	if c.last.At == e.At && c.last.Op != "" {
		c.find(fmt.Sprintf("twice: %v in %v and %v", e.At, c.last.Stream, e.Stream), e.Fact)
	} else if !c.ofBackfill(e) {
		c.hold(e)
	}
	c.last, c.copies = *e, 1
	c.verdict.Entries++
	c.verdict.Ops[e.Op]++
	if len(e.Absent) > 0 {
		c.verdict.Absent++
	}
	if !toAll(e.Op) {
		c.verdict.Lanes[e.Stream.Lane]++
		c.place(e)
	}
	c.fold.add(e)
}

// ofBackfill tells the entries that no transaction of the source made: rows that were
// read, the end of a generation, and what a backfill by keys says of a key without a
// row, at a Position where the source has nothing.
func (c *comparison) ofBackfill(e *Entry) bool {
	switch e.Op {
	case "r", "s":
		return true
	case "d":
		for ; len(c.facts) > 0 && c.facts[0].At.LSN < e.At.LSN; c.facts = c.facts[1:] {
			c.missing(&c.facts[0])
		}
		mine := c.seen == e.At.LSN || len(c.facts) > 0 && c.facts[0].At.LSN == e.At.LSN
		return !mine && e.Stream.Lane == cdc.LaneBulk
	}
	return false
}

// closeBroadcast looks whether an entry that goes to every stream was in every one.
func (c *comparison) closeBroadcast() {
	if toAll(c.last.Op) && c.copies != c.streams {
		c.find(fmt.Sprintf("%s at %v is in %d of %d streams", c.last.Op, c.last.At, c.copies, c.streams), c.last.Fact)
	}
}

// hold holds an entry against the facts (I1, I2).
func (c *comparison) hold(e *Entry) {
	for ; len(c.facts) > 0 && c.facts[0].At.Before(e.At); c.facts = c.facts[1:] {
		c.missing(&c.facts[0])
	}
	if len(c.facts) == 0 || c.facts[0].At != e.At {
		c.find(fmt.Sprintf("not of the source: %v %s %s %s", e.At, e.Op, e.Table, e.Key), e.Fact)
		return
	}
	if c.facts[0] != e.Fact {
		c.find(fmt.Sprintf("%v says %+v, the source %+v", e.At, e.Fact, c.facts[0]), e.Fact)
	}
	c.seen = e.At.LSN
	c.facts = c.facts[1:]
}

// place looks at where an entry travels.
func (c *comparison) place(e *Entry) {
	row := e.Table + " " + e.Key
	if p, ok := c.home[row]; ok && p != e.Stream.Partition {
		c.find(fmt.Sprintf("%s is in partitions %d and %d", row, p, e.Stream.Partition), e.Fact)
	}
	c.home[row] = e.Stream.Partition
	if e.Op == "r" && e.Stream.Lane != cdc.LaneBulk {
		c.find(fmt.Sprintf("a row of a backfill is in lane %s", e.Stream.Lane), e.Fact)
	}
}
