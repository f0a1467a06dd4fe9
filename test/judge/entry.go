package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Entry is an entry of the log, as any client reads it.
type Entry struct {
	Fact
	Stream cdc.Stream
	Absent []string                   // columns that are not in after
	after  map[string]json.RawMessage // nil if there is none
	since  cdc.Position               // of s: what is older is gone
}

// parseEntry reads an entry by docs/events.md.
func parseEntry(m redis.XMessage) (e Entry, err error) {
	field := func(name string) string { s, _ := m.Values[name].(string); return s }
	if e.At, err = cdc.ParsePosition(m.ID); err != nil {
		return e, err
	}
	e.Op, e.Table = field("op"), field("table")
	if e.TS, err = strconv.ParseInt(field("ts"), 10, 64); err != nil {
		return e, fmt.Errorf("ts: %w", err)
	}
	xid, err := strconv.ParseUint(field("xid"), 10, 64)
	if err != nil {
		return e, fmt.Errorf("xid: %w", err)
	}
	e.XID = uint32(xid)
	if s := field("key"); s != "" {
		if e.Key, err = KeyOf([]byte(s)); err != nil {
			return e, err
		}
	}
	if s := field("after"); s != "" {
		if err := json.Unmarshal([]byte(s), &e.after); err != nil {
			return e, fmt.Errorf("after: %w", err)
		}
	}
	if s := field("absent"); s != "" {
		if err := json.Unmarshal([]byte(s), &e.Absent); err != nil {
			return e, fmt.Errorf("absent: %w", err)
		}
	}
	if s := field("since"); s != "" {
		if e.since, err = cdc.ParsePosition(s); err != nil {
			return e, fmt.Errorf("since: %w", err)
		}
	}
	return e, e.check()
}

// check holds an entry against what its op promises.
func (e *Entry) check() error {
	var hasRow, hasKey bool
	switch e.Op {
	case "c", "u", "r":
		hasRow, hasKey = true, true
	case "d":
		hasKey = true
	case "t", "s":
	default:
		return fmt.Errorf("unknown op %q", e.Op)
	}
	if hasRow != (e.after != nil) || hasKey != (e.Key != "") {
		return fmt.Errorf("op %s with a row: %v, with a key: %v", e.Op, e.after != nil, e.Key != "")
	}
	if (e.Op == "s") != (e.since != cdc.Position{}) {
		return fmt.Errorf("op %s since %v", e.Op, e.since)
	}
	for _, name := range e.Absent {
		if _, there := e.after[name]; there {
			return fmt.Errorf("%s is absent and there", name)
		}
	}
	if e.Op == "r" && len(e.Absent) > 0 {
		return fmt.Errorf("op r is a whole row, but %q are absent", e.Absent)
	}
	return nil
}

// KeyOf gives the text of a key, an object of JSON.
func KeyOf(object []byte) (string, error) {
	var key map[string]json.RawMessage
	if err := json.Unmarshal(object, &key); err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	texts := map[string]string{}
	for name, v := range key {
		texts[name] = string(v)
		var s string
		if json.Unmarshal(v, &s) == nil {
			texts[name] = s
		}
	}
	return keyText(texts), nil
}

// Log is the log that is judged.
type Log struct {
	Client     redis.UniversalClient
	Name       string
	Partitions int
}

// streams lists all streams of the log.
func (l *Log) streams() (all []cdc.Stream) {
	for _, lane := range cdc.Lanes() {
		for p := range l.Partitions {
			all = append(all, cdc.Stream{Lane: lane, Partition: p})
		}
	}
	return all
}

// Key is the key of a stream.
func (l *Log) Key(s cdc.Stream) string {
	return fmt.Sprintf("walbridge:{%s:%d}:log:%s", l.Name, s.Partition, s.Lane)
}

// strangers names streams that should not be there.
func (l *Log) strangers(ctx context.Context) (findings []Finding, err error) {
	expected := map[string]bool{}
	for _, s := range l.streams() {
		expected[l.Key(s)] = true
	}
	keys, err := l.Client.Keys(ctx, fmt.Sprintf("walbridge:{%s:*:log:*", l.Name)).Result()
	if err != nil {
		return nil, fmt.Errorf("list the streams: %w", err)
	}
	for _, k := range keys {
		if !expected[k] {
			findings = append(findings, Finding{What: "a stream that should not be: " + k})
		}
	}
	return findings, nil
}

// cursor walks one stream.
type cursor struct {
	key    string
	stream cdc.Stream
	page   []redis.XMessage
	from   string // where the next page begins
	last   cdc.Position
	ended  bool
}

// next gives the entry at the cursor's place without moving on; nil at the end.
func (c *cursor) next(ctx context.Context, l *Log) (*redis.XMessage, error) {
	const page = 500
	if len(c.page) == 0 && !c.ended {
		list, err := l.Client.XRangeN(ctx, c.key, c.from, "+", page).Result()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", c.key, err)
		}
		c.page, c.ended = list, len(list) < page
		if len(list) > 0 {
			c.from = "(" + list[len(list)-1].ID
		}
	}
	if len(c.page) == 0 {
		return nil, nil
	}
	return &c.page[0], nil
}

// Entries gives all entries in the order of Positions, those that go to every stream
// once for each; and what is not an entry, and where a stream does not rise.
func (l *Log) Entries(ctx context.Context) (all []Entry, wrong []Finding, err error) {
	err = l.walk(ctx, func(e *Entry) { all = append(all, *e) }, func(f Finding) { wrong = append(wrong, f) })
	return all, wrong, err
}

// walk goes over the entries of all streams in the order of Positions. wrong is
// called for what is not an entry, and where a stream does not rise.
func (l *Log) walk(ctx context.Context, each func(*Entry), wrong func(Finding)) error {
	var cursors []*cursor
	heads := map[*cursor]*Entry{}
	advance := func(c *cursor) error {
		delete(heads, c)
		for {
			m, err := c.next(ctx, l)
			if err != nil || m == nil {
				return err
			}
			e, err := parseEntry(*m)
			c.page = c.page[1:]
			if err != nil {
				wrong(Finding{What: fmt.Sprintf("%s %s: %v", c.key, m.ID, err), At: e.At, Table: e.Table, Key: e.Key})
				continue
			}
			if e.Stream = c.stream; !c.last.Before(e.At) {
				wrong(Finding{What: fmt.Sprintf("%s: %v after %v", c.key, e.At, c.last), At: e.At, Table: e.Table, Key: e.Key})
			}
			c.last, heads[c] = e.At, &e
			return nil
		}
	}
	for _, s := range l.streams() {
		c := &cursor{key: l.Key(s), stream: s, from: "-"}
		cursors = append(cursors, c)
		if err := advance(c); err != nil {
			return err
		}
	}
	for {
		var first *cursor
		for _, c := range cursors {
			if e := heads[c]; e != nil && (first == nil || e.At.Before(heads[first].At)) {
				first = c
			}
		}
		if first == nil {
			return nil
		}
		each(heads[first])
		if err := advance(first); err != nil {
			return err
		}
	}
}
