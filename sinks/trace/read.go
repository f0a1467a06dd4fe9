package trace

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
)

// Reader reads the history of a target, whoever writes it.
type Reader struct {
	Client redis.UniversalClient
	Keys   redislog.Keys
	Target string
}

// Entry is a step with what it has in common with others.
type Entry struct {
	Head
	Step
}

// Reach is how far the histories of a partition go back: when the first step of each was.
// It is zero where there is none.
type Reach struct {
	Live, Bulk time.Time
	// Damaged counts lines that cannot be read.
	Damaged int
}

// readPage is how many entries are read at once: each may have some hundred thousand bytes.
const readPage = 20

// Read calls f for the steps of a row, those of the live history first, each in the order in
// which they were written.
func (r Reader) Read(ctx context.Context, partition int, key string, f func(Entry)) (reach Reach, err error) {
	for _, bulk := range []bool{false, true} {
		first := &reach.Live
		if bulk {
			first = &reach.Bulk
		}
		stream := r.Keys.Trace(r.Target, partition, bulk)
		for from := "-"; ; {
			page, err := r.Client.XRangeN(ctx, stream, from, "+", readPage).Result()
			if err != nil {
				return reach, fmt.Errorf("read the history of target %s: %w", r.Target, err)
			}
			for _, m := range page {
				text, _ := m.Values["lines"].(string) // without it there are none
				at, damaged := scan(text, bulk, key, f)
				reach.Damaged += damaged
				if first.IsZero() {
					*first = at
				}
			}
			if len(page) < readPage {
				break
			}
			from = "(" + page[len(page)-1].ID
		}
	}
	return reach, nil
}

// scan finds the steps of a row in the lines of an entry. first is when the first of all was.
func scan(text string, bulk bool, key string, f func(Entry)) (first time.Time, damaged int) {
	var h Head
	var request *Request
	parsed := "" // the line of h
	current := ""
	mine := `{"k":` + key + `,"p":`
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, `{"k":`) {
			current = l
			if !first.IsZero() {
				continue
			}
		} else if !strings.HasPrefix(l, mine) {
			continue
		}
		if parsed != current {
			var err error
			if h, request, err = parseHead(current); err != nil {
				damaged++
				continue
			}
			parsed = current
			if first.IsZero() {
				first = h.Time
			}
		}
		if !strings.HasPrefix(l, mine) {
			continue
		}
		s, err := parseStep(l)
		if err != nil {
			damaged++
			continue
		}
		s.Request, s.Bulk = request, bulk
		f(Entry{h, s})
	}
	return first, damaged
}
