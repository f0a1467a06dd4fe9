package pgsource

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// The words of a mark: a logical message has some of them, each with the id of what it
// is about.
const (
	markTrack = "track" // from here on transactions are tracked, or are not any more
	markLow   = "low"
	markHigh  = "high"
	markSweep = "sweep"
)

// window collects the keys that change between the two marks of a chunk.
type window struct {
	chunk *chunk
	low   cdc.Position
	below uint64 // the tracker's number at the low mark
	rel   *pgoutput.Relation
	// keys tells, of each, whether the log lacks columns of it.
	keys   map[string]bool
	broken string
}

// insertion is what stands in the stream at a mark: a chunk, or a sweep.
type insertion struct {
	at      cdc.Position
	micros  int64
	xid     uint64
	window  *window
	verdict verdict
	sweep   *sweep
}

// injector is the part of a stream that puts chunks into it. It belongs to the stream's
// goroutine.
type injector struct {
	x        *exchange
	tracking bool
	tracker  tracker
	windows  map[uint32][]*window // by table
	// moved are rows whose key was changed and that lack columns since: the log has them
	// under the old key only if a backfill had come as far as that. By table.
	moved   map[uint32]map[string]bool
	touched uint64 // the tables of the transaction that is open
	bits    map[uint32]uint64
	// due stands at the mark that was just read, and is appended before anything else.
	due []*insertion
	// answers wait for the end of the mark's transaction.
	answers []*insertion
}

func newInjector(x *exchange) *injector {
	return &injector{x: x, windows: map[uint32][]*window{}, moved: map[uint32]map[string]bool{}, bits: map[uint32]uint64{}}
}

// bit gives the bit of a table. Tables share bits when there are many.
func (in *injector) bit(table uint32) uint64 {
	b, ok := in.bits[table]
	if !ok {
		b = 1 << (len(in.bits) % 64)
		in.bits[table] = b
	}
	return b
}

// movedMost bounds the moved rows of a table; beyond it the delivery reads what it needs
// from the source, as it does without a backfill.
const movedMost = 10_000

// change notes an entry of the stream.
func (in *injector) change(table uint32, e *cdc.Entry) {
	in.touched |= in.bit(table)
	if moved := in.moved[table]; moved != nil && e.Op == cdc.OpCreate && len(e.Absent) > 0 && len(moved) < movedMost {
		moved[string(e.Key)] = true
	}
	for _, w := range in.windows[table] {
		switch {
		case w.broken != "":
		case e.Op == cdc.OpTruncate:
			w.broken = "the table was truncated"
		case len(w.keys) >= w.chunk.most:
			w.broken = "too many rows changed meanwhile"
		default:
			w.keys[string(e.Key)] = len(e.Absent) > 0
		}
	}
}

// commit notes the end of a transaction.
func (in *injector) commit(xid uint64) {
	if in.touched != 0 {
		if len(in.tracker.list) >= trackedMost {
			if s := in.x.takeSnapshot(); s != nil {
				in.tracker.observe(s)
			}
		}
		in.tracker.add(xid, in.touched)
		in.touched = 0
	}
}

// mark acts upon a mark of this session. A chunk that nobody waits for, as its connection
// was lost, is passed over.
func (in *injector) mark(words []string, at insertion, relation func(uint32) *pgoutput.Relation) {
	for i := 0; i+1 < len(words); i += 2 {
		switch word, id := words[i], words[i+1]; word {
		case markTrack:
			in.tracking, in.touched, in.tracker = id == "on", 0, tracker{next: in.tracker.next}
			clear(in.windows)
			clear(in.moved)
		case markLow:
			in.forget()
			if c := in.x.chunk(id); c != nil {
				if in.moved[c.table] == nil {
					in.moved[c.table] = map[string]bool{}
				}
				in.windows[c.table] = append(in.windows[c.table], &window{
					chunk: c, low: at.at, below: in.tracker.next, rel: relation(c.table), keys: map[string]bool{}})
			}
		case markHigh:
			if c := in.x.take(id); c != nil {
				ins := at
				ins.window, ins.verdict = in.closeWindow(c, relation)
				in.due = append(in.due, &ins)
			}
		}
	}
}

// sweeps acts upon the sweeps of a mark, of whichever session: what stands in the log
// follows from the WAL alone, so that no stream is left out when a session ends.
func (in *injector) sweeps(words []string, at insertion, slot string, base cdc.LSN) {
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] != markSweep {
			continue
		}
		s := parseSweep(words[i+1])
		if s == nil || s.Slot != slot || s.Base != base {
			continue
		}
		if waited := in.x.takeSweep(s.ID); waited != nil {
			s = waited
		}
		ins := at
		ins.sweep = s
		in.due = append(in.due, &ins)
	}
}

// forget gives up the windows of chunks that nobody waits for any more.
func (in *injector) forget() {
	for t, list := range in.windows {
		list = slices.DeleteFunc(list, func(w *window) bool { return in.x.chunk(w.chunk.id) == nil })
		if in.windows[t] = list; len(list) == 0 {
			delete(in.windows, t)
		}
	}
}

// closeWindow ends the window of a chunk and says what becomes of it.
func (in *injector) closeWindow(c *chunk, relation func(uint32) *pgoutput.Relation) (*window, verdict) {
	v := verdict{chunk: c, again: "its low mark was not seen"}
	list := in.windows[c.table]
	for i, w := range list {
		if w.chunk != c {
			continue
		}
		in.windows[c.table] = append(list[:i:i], list[i+1:]...)
		v.low, v.again = w.low, w.broken
		switch {
		case w.broken != "":
		case w.rel != relation(c.table):
			v.again = "the table was described anew"
		case c.snap.xmax == 0: // no row was read at all
		case in.tracker.misses(&c.snap, w.below, in.bit(c.table)):
			v.again = "a commit was not visible yet"
		}
		if c.snap.xmax != 0 {
			in.tracker.observe(&c.snap)
		}
		return w, v
	}
	return nil, v
}

// Message is a heartbeat, a mark, or somebody else's.
func (s *stream) Message(tx *pgoutput.Tx, prefix string, content []byte) error {
	if tx == nil || prefix != Prefix {
		return nil
	}
	words := strings.Fields(string(content))
	if len(words) < 3 {
		return nil
	}
	at := insertion{at: cdc.Position{LSN: s.decoder.Base() + tx.Commit}, micros: tx.Micros, xid: tx.XID}
	if words[0] == s.injector.x.id {
		s.injector.mark(words[1:], at, s.decoder.Relation)
	}
	s.injector.sweeps(words[1:], at, s.capture.source.options.Slot, s.decoder.Base())
	return nil
}

// inject appends what stands at the mark that was just read. A full writer is waited
// for, as everywhere. It tells whether the end of ctx came between.
func (s *stream) inject(ctx context.Context) (stopped bool, err error) {
	in := s.injector
	for len(in.due) > 0 {
		ins := in.due[0]
		in.due = in.due[1:]
		if stopped, err = s.insert(ctx, ins); stopped || err != nil {
			return stopped, err
		}
		in.answers = append(in.answers, ins)
	}
	return false, nil
}

func (s *stream) insert(ctx context.Context, ins *insertion) (stopped bool, err error) {
	if ins.sweep != nil {
		return s.insertSweep(ctx, ins)
	}
	v, c := &ins.verdict, ins.verdict.chunk
	r := s.router.byOID(c.table, ins.at)
	v.gone = r == nil
	if v.gone || v.again != "" {
		return false, nil
	}
	moved := s.injector.moved[c.table]
	for key, lacking := range ins.window.keys {
		if lacking {
			v.keys = append(v.keys, key)
			delete(moved, key)
		}
	}
	v.keys = slices.AppendSeq(v.keys, maps.Keys(moved))
	clear(moved)
	for i := range c.rows.list {
		if stopped, err := s.room(ctx); stopped || err != nil {
			return stopped, err
		}
		e := c.rows.entry(i)
		if _, changed := ins.window.keys[string(e.Key)]; changed {
			continue
		}
		// The transaction of a mark has no rows of its own, whose ordinals these could be.
		e.Position = cdc.Position{LSN: ins.at.LSN, Ordinal: 2 * uint64(i)}
		e.Table, e.Micros, e.XID, e.For = r.name, ins.micros, ins.xid, c.meant
		s.app.Append(cdc.Stream{Lane: cdc.LaneBulk, Partition: cdc.PartitionOf(r.name, e.Key, s.partitions)}, &e)
		v.rows++
	}
	return false, nil
}

func (s *stream) insertSweep(ctx context.Context, ins *insertion) (stopped bool, err error) {
	sw := ins.sweep
	ins.verdict = verdict{sweep: sw}
	r := s.router.byOID(sw.Table, ins.at)
	if ins.verdict.gone = r == nil; ins.verdict.gone {
		return false, nil
	}
	if stopped, err := s.room(ctx); stopped || err != nil {
		return stopped, err
	}
	s.app.AppendAll(&cdc.Entry{Position: ins.at, Op: cdc.OpSweep, Table: r.name, Micros: ins.micros, XID: ins.xid,
		For: sw.Meant, Since: sw.Since.Append(nil)})
	return false, nil
}

// room waits until the writer is not full, or tells that ctx has ended.
func (s *stream) room(ctx context.Context) (stopped bool, err error) {
	for s.app.Full() {
		if err := s.wait(ctx); err != nil {
			return false, err
		}
		if ctx.Err() != nil {
			return true, nil
		}
	}
	return false, nil
}

// answer tells, at the end of a mark's transaction, what became of its chunks. The
// channels have room for all that can be under way.
func (s *stream) answer(end cdc.LSN) {
	for _, ins := range s.injector.answers {
		v := ins.verdict
		v.end = end
		switch {
		case v.chunk != nil:
			v.chunk.verdict <- v
		case v.sweep.verdict != nil:
			v.sweep.verdict <- v
		}
	}
	s.injector.answers = s.injector.answers[:0]
}
