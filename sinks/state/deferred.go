package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Deferred is an entry that was put aside in the retry set of its partition, so that it
// does not hold the checkpoint.
type Deferred struct {
	Key Key
	// Position is that of its newest change.
	Position cdc.Position
	// Upto has, by lane, the Position up to which all entries of the key were read and
	// are in Entry, or were dealt with before.
	Upto map[string]cdc.Position
	// Due is when it is tried again, First when it was put aside the first time.
	Due, First time.Time
	// Waiting tells that it waits for other records, which are Parents as far as they are
	// known.
	Waiting bool
	Parents []Key
	// Entry is the entry as package queue encodes it; empty says that there is none any
	// more.
	Entry json.RawMessage
	// Err tells that it cannot be read; it does not quote it.
	Err error
}

// deferredHead is what stands before the entry.
type deferredHead struct {
	Position cdc.Position            `json:"position"`
	Upto     map[string]cdc.Position `json:"upto"`
	Due      int64                   `json:"due"`   // in microseconds since 1970
	First    int64                   `json:"first"` // likewise
	Waiting  bool                    `json:"waiting,omitempty"`
	Parents  []Key                   `json:"parents,omitempty"`
}

// text gives the form that is stored: a JSON object of what is needed of all of them, a
// line feed, and the entry.
func (d *Deferred) text() (string, error) {
	if len(d.Entry) == 0 {
		return "", nil
	}
	head, err := json.Marshal(deferredHead{d.Position, d.Upto, d.Due.UnixMicro(), d.First.UnixMicro(), d.Waiting, d.Parents})
	if err != nil {
		return "", fmt.Errorf("encode deferred entry at %s: %w", d.Position, err)
	}
	return string(head) + "\n" + string(d.Entry), nil
}

func parseDeferred(k Key, text string) Deferred {
	d := Deferred{Key: k}
	head, entry, ok := strings.Cut(text, "\n")
	var h deferredHead
	if err := json.Unmarshal([]byte(head), &h); err != nil || !ok {
		d.Err = errors.New("parse deferred entry: it is not of the form that is written")
		return d
	}
	d.Position, d.Upto, d.Entry = h.Position, h.Upto, json.RawMessage(entry)
	d.Waiting, d.Parents = h.Waiting, h.Parents
	d.Due, d.First = time.UnixMicro(h.Due), time.UnixMicro(h.First)
	return d
}

// deferredPage is about how many deferred entries are read at once.
const deferredPage = 200

// EachDeferred gives all deferred entries of a partition, in no order, page by page. One
// may come twice.
func (c *Claim) EachDeferred(ctx context.Context, partition int, f func(Deferred)) error {
	key := c.s.o.Keys.Deferred(c.s.o.Target, partition)
	for cursor := uint64(0); ; {
		texts, next, err := c.s.rdb.HScan(ctx, key, cursor, "", deferredPage).Result()
		if err != nil {
			return fmt.Errorf("read deferred entries of partition %d: %w", partition, err)
		}
		for i := 0; i+1 < len(texts); i += 2 {
			mapping, source, _ := strings.Cut(texts[i], "\x00")
			f(parseDeferred(Key{mapping, source}, texts[i+1]))
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// LoadDeferred reads deferred entries of a partition, in the order of the keys; one that
// is not there has no Entry.
func (c *Claim) LoadDeferred(ctx context.Context, partition int, keys []Key) ([]Deferred, error) {
	fields := make([]string, len(keys))
	for i, k := range keys {
		fields[i] = k.field()
	}
	texts, err := c.s.rdb.HMGet(ctx, c.s.o.Keys.Deferred(c.s.o.Target, partition), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("read deferred entries of partition %d: %w", partition, err)
	}
	out := make([]Deferred, len(keys))
	for i, k := range keys {
		if text, ok := texts[i].(string); ok {
			out[i] = parseDeferred(k, text)
		} else {
			out[i].Key = k
		}
	}
	return out, nil
}
