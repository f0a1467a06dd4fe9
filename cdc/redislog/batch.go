package redislog

import (
	"strconv"
	"time"
	"unsafe"

	"github.com/walbridge/walbridge/cdc"
)

// entryFields is how many texts an entry has at the most besides its id: op,
// table, key, after, before, absent, unread, for, since, ts and xid.
const entryFields = 11

// span is a part of a batch's arena.
type span struct{ from, to int }

// pending is an entry that waits in a batch. Its texts lie in the arena.
type pending struct {
	pos    cdc.Position
	op     cdc.Op
	table  string
	texts  [10]span // id, key, after, before, absent, unread, for, since, ts, xid
	stream int
}

// The texts of a pending entry.
const (
	textID = iota
	textKey
	textAfter
	textBefore
	textAbsent
	textUnread
	textFor
	textSince
	textTS
	textXID
)

// batch collects entries for all streams while the batch before it is under
// way. It is filled by one goroutine and sent by another, never both at once.
type batch struct {
	arena   []byte
	entries []pending
	// end is the source LSN up to which the log is complete once this batch is
	// in it; zero if no transaction ended within it.
	end cdc.LSN
	// at is the time of end by the source's clock.
	at time.Time
	// latest is the highest time of a transaction that ended within it.
	latest time.Time
}

func (b *batch) reset() {
	b.arena, b.entries, b.end, b.at, b.latest = b.arena[:0], b.entries[:0], 0, time.Time{}, time.Time{}
	if cap(b.arena) > 4*maxBatchBytes { // one giant row must not stay for ever
		b.arena = nil
	}
}

func (b *batch) put(text []byte) span {
	from := len(b.arena)
	b.arena = append(b.arena, text...)
	return span{from, len(b.arena)}
}

func (b *batch) add(stream int, e *cdc.Entry) {
	b.entries = append(b.entries, pending{pos: e.Position, op: e.Op, table: e.Table, stream: stream})
	p := &b.entries[len(b.entries)-1]
	from := len(b.arena)
	b.arena = e.Position.Append(b.arena)
	p.texts[textID] = span{from, len(b.arena)}
	p.texts[textKey] = b.put(e.Key)
	p.texts[textAfter] = b.put(e.After)
	p.texts[textBefore] = b.put(e.Before)
	p.texts[textAbsent] = b.put(e.Absent)
	p.texts[textUnread] = b.put(e.Unread)
	p.texts[textFor] = b.put(e.For)
	p.texts[textSince] = b.put(e.Since)
	from = len(b.arena)
	b.arena = strconv.AppendInt(b.arena, e.Micros, 10)
	p.texts[textTS] = span{from, len(b.arena)}
	from = len(b.arena)
	b.arena = strconv.AppendUint(b.arena, e.XID, 10)
	p.texts[textXID] = span{from, len(b.arena)}
}

// text gives a part of the arena as a string without a copy: the arena is not
// written to while the batch is being sent.
func (b *batch) text(s span) string {
	if s.from == s.to {
		return ""
	}
	return unsafe.String(&b.arena[s.from], s.to-s.from)
}

// The names of an entry's fields: the public contract of the stream.
var (
	fieldOp     = "op"
	fieldTable  = "table"
	fieldKey    = "key"
	fieldAfter  = "after"
	fieldBefore = "before"
	fieldAbsent = "absent"
	fieldUnread = "unread"
	fieldFor    = "for"
	fieldSince  = "since"
	fieldTS     = "ts"
	fieldXID    = "xid"
	wordXAdd    = "xadd"
)

// opNames gives a pointer to the text of an op, for arguments without a copy.
var opNames = func() (t [256]*string) {
	for _, o := range []cdc.Op{cdc.OpCreate, cdc.OpUpdate, cdc.OpDelete, cdc.OpRead, cdc.OpTruncate, cdc.OpSweep} {
		s := o.String()
		t[o] = &s
	}
	return t
}()

// args builds the arguments of the XADD commands of a batch. Strings are passed
// by pointer, which spares an allocation for each argument.
type args struct {
	texts []string
	list  []any
}

func (a *args) reset(entries int) {
	if need := entries * entryFields; cap(a.texts) < need {
		a.texts = make([]string, 0, need)
	}
	if need := entries * (3 + 2*entryFields); cap(a.list) < need {
		a.list = make([]any, 0, need)
	}
	a.texts, a.list = a.texts[:0], a.list[:0]
}

// ptr keeps s and gives a pointer to it. reset has made the room, so the
// pointers stay good.
func (a *args) ptr(s string) *string {
	a.texts = append(a.texts, s)
	return &a.texts[len(a.texts)-1]
}

func (a *args) xadd(key *string, b *batch, p *pending) []any {
	from := len(a.list)
	a.list = append(a.list, &wordXAdd, key, a.ptr(b.text(p.texts[textID])),
		&fieldOp, opNames[p.op], &fieldTable, &p.table)
	field := func(name *string, which int) {
		if t := p.texts[which]; t.from != t.to {
			a.list = append(a.list, name, a.ptr(b.text(t)))
		}
	}
	field(&fieldKey, textKey)
	field(&fieldAfter, textAfter)
	field(&fieldBefore, textBefore)
	field(&fieldAbsent, textAbsent)
	field(&fieldUnread, textUnread)
	field(&fieldFor, textFor)
	field(&fieldSince, textSince)
	field(&fieldTS, textTS)
	field(&fieldXID, textXID)
	return a.list[from:len(a.list):len(a.list)]
}
