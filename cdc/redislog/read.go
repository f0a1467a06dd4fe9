package redislog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

const (
	// readBlock is how long a read waits for an entry when it follows every lane.
	readBlock = time.Second
	// readBlockPart is the same when some lane is left out: its reader wants to
	// look again soon whether there is room for it.
	readBlockPart = 50 * time.Millisecond
)

// Reader follows the streams of a log. It may be used from several goroutines,
// one for each partition.
type Reader struct {
	log    *Log
	client redis.UniversalClient
}

// NewReader gives a reader with connections of its own, since its reads block.
// connections is how many reads may wait at once.
func (l *Log) NewReader(connections int) *Reader {
	return &Reader{log: l, client: Sibling(l.client, Tuning{Timeout: readBlock + answerTimeout, Connections: connections})}
}

// Close ends the connections.
func (r *Reader) Close() error { return r.client.Close() }

// Read gives the entries of a partition after the given positions, at most max
// of each lane, the most urgent lane first. Lanes that are not in from are left
// out. It waits a short time for an entry and then gives none.
func (r *Reader) Read(ctx context.Context, partition int, from map[string]cdc.Position, max int) ([]cdc.Message, error) {
	block := readBlock
	if len(from) < len(cdc.Lanes()) {
		block = readBlockPart
	}
	args := []any{"xread", "count", max, "block", block.Milliseconds(), "streams"}
	var lanes []cdc.Stream
	var ids []any
	for _, lane := range cdc.Lanes() {
		if pos, ok := from[lane]; ok {
			s := cdc.Stream{Lane: lane, Partition: partition}
			lanes = append(lanes, s)
			args = append(args, r.log.keys.Stream(s))
			ids = append(ids, pos.String())
		}
	}
	if len(lanes) == 0 {
		return nil, cdc.Sleep(ctx, readBlockPart)
	}
	answer, err := r.client.Do(ctx, append(args, ids...)...).Slice()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read partition %d of the log: %w", partition, err)
	}
	return r.messages(answer, lanes)
}

func (r *Reader) messages(answer []any, lanes []cdc.Stream) ([]cdc.Message, error) {
	var out []cdc.Message
	for _, s := range lanes {
		key := r.log.keys.Stream(s)
		for _, a := range answer {
			pair, ok := a.([]any)
			if !ok || len(pair) != 2 {
				return nil, fmt.Errorf("read stream %v: answer is not a pair of name and entries", s)
			}
			if pair[0] != key {
				continue
			}
			entries, ok := pair[1].([]any)
			if !ok {
				return nil, fmt.Errorf("read stream %v: entries are a %T", s, pair[1])
			}
			for _, e := range entries {
				m, err := parseEntry(s, e)
				if err != nil {
					return nil, err
				}
				out = append(out, m)
			}
		}
	}
	return out, nil
}

func parseEntry(s cdc.Stream, entry any) (cdc.Message, error) {
	pair, ok := entry.([]any)
	if !ok || len(pair) != 2 {
		return cdc.Message{}, fmt.Errorf("read stream %v: entry is not a pair of id and fields", s)
	}
	id, _ := pair[0].(string)
	fields, _ := pair[1].([]any)
	c, size, err := ParseEntry(id, fields)
	if err != nil {
		return cdc.Message{}, fmt.Errorf("read entry %s of stream %v: %w", id, s, err)
	}
	return cdc.Message{Stream: s, Change: c, Size: size}, nil
}

// ParseEntry reads an entry of the public contract: its id, and its fields as a
// list of names and texts. size is the bytes of the texts. Fields that this
// version does not know are passed over: later versions may add some.
func ParseEntry(id string, fields []any) (c cdc.Change, size int, err error) {
	if c.Position, err = cdc.ParsePosition(id); err != nil {
		return c, 0, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := fields[i].(string)
		text, ok := fields[i+1].(string)
		if !ok {
			return c, 0, fmt.Errorf("field %s is a %T", name, fields[i+1])
		}
		size += len(text)
		if err := setField(&c, name, text); err != nil {
			return c, 0, fmt.Errorf("parse field %s: %w", name, err)
		}
	}
	if c.Op == 0 || c.Table.Name == "" {
		return c, 0, fmt.Errorf("fields op and table are missing")
	}
	if c.Op.Keyed() && c.Key == "" {
		return c, 0, fmt.Errorf("field key is missing")
	}
	return c, size, nil
}

func setField(c *cdc.Change, name, text string) (err error) {
	switch name {
	case fieldOp:
		c.Op, err = cdc.ParseOp(text)
	case fieldTable:
		c.Table, err = cdc.ParseTable(text)
	case fieldKey:
		c.Key = text
	case fieldAfter:
		c.After = text
	case fieldBefore:
		c.Before = text
	case fieldAbsent:
		err = json.Unmarshal([]byte(text), &c.Absent)
	case fieldUnread:
		err = json.Unmarshal([]byte(text), &c.Unread)
	case fieldFor:
		err = json.Unmarshal([]byte(text), &c.For)
	case fieldSince:
		c.Since, err = cdc.ParsePosition(text)
	case fieldTS:
		var micros int64
		micros, err = strconv.ParseInt(text, 10, 64)
		c.Time = time.UnixMicro(micros).UTC()
	case fieldXID:
		c.XID, err = strconv.ParseUint(text, 10, 64)
	}
	return err
}
