package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
)

// TailRequest says which entries of the log are meant.
type TailRequest struct {
	Tables, Lanes []string
	// From and Until are places in the log; Until may be empty.
	From, Until string
	// Follow goes on at the end of the log.
	Follow bool
}

// LogEntry is an entry of the log for people and their programs, with the values of its row.
type LogEntry struct {
	Position string `json:"position"`
	// LSN is that of the commit at the source; empty for an entry of a former epoch.
	LSN       string          `json:"lsn"`
	Time      time.Time       `json:"time"`
	Lane      string          `json:"lane"`
	Partition int             `json:"partition"`
	Op        string          `json:"op"`
	Table     string          `json:"table"`
	Key       json.RawMessage `json:"key,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
	Before    json.RawMessage `json:"before,omitempty"`
	Absent    []string        `json:"absent,omitempty"`
	Unread    []string        `json:"unread,omitempty"`
	For       []string        `json:"for,omitempty"`
	Since     string          `json:"since,omitempty"`
	XID       uint64          `json:"xid"`
}

// Tail calls f for the entries that are meant, in the order of their Positions.
func Tail(ctx context.Context, cfg *config.Config, logger *slog.Logger, r TailRequest, f func(*LogEntry) error) error {
	var meant, tables []cdc.Table
	for _, name := range r.Tables {
		t, err := cdc.ParseTable(name)
		if err != nil {
			return err
		}
		meant = append(meant, t)
	}
	return withLog(ctx, cfg, logger, func(l *redislog.Log) error {
		for _, t := range meant {
			named, _, err := tablesNamed(ctx, l, t)
			if err != nil {
				return err
			}
			for _, n := range named {
				tables = append(tables, n.name)
			}
		}
		span, err := tailSpan(ctx, l, &r)
		if err != nil {
			return err
		}
		epoch, _, err := l.Epoch(ctx)
		if err != nil {
			return err
		}
		return l.Walk(ctx, span, func(m *cdc.Message) error {
			if len(tables) > 0 && !slices.Contains(tables, m.Change.Table) {
				return nil
			}
			return f(logEntry(m, epoch.Base))
		})
	})
}

func tailSpan(ctx context.Context, l *redislog.Log, r *TailRequest) (s redislog.Span, err error) {
	s.Follow = r.Follow
	from, err := redislog.ParsePlace(r.From, time.Now())
	if err != nil {
		return s, err
	}
	if s.From, err = l.From(ctx, from); err != nil {
		return s, err
	}
	until := r.Until
	if until == "" && !r.Follow {
		until = "now"
	}
	if until != "" {
		to, err := redislog.ParsePlace(until, time.Now())
		if err != nil {
			return s, err
		}
		if s.To, err = l.UpTo(ctx, to); err != nil {
			return s, err
		}
	}
	for _, st := range l.Streams() {
		if len(r.Lanes) == 0 || slices.Contains(r.Lanes, st.Lane) {
			s.Streams = append(s.Streams, st)
		}
	}
	return s, nil
}

func logEntry(m *cdc.Message, base cdc.LSN) *LogEntry {
	c := &m.Change
	e := &LogEntry{
		Position: c.Position.String(), LSN: redislog.SourceLSN(c.Position, base), Time: c.Time, Lane: m.Stream.Lane, Partition: m.Stream.Partition,
		Op: c.Op.String(), Table: c.Table.String(), Key: raw(c.Key), After: raw(c.After), Before: raw(c.Before),
		Absent: c.Absent, Unread: c.Unread, For: c.For, XID: c.XID,
	}
	if !c.Since.IsZero() {
		e.Since = c.Since.String()
	}
	return e
}

// Everywhere tells that the entry stands in all streams, with one Position: a truncate or
// the end of a generation.
func (e *LogEntry) Everywhere() bool {
	return e.Op == cdc.OpTruncate.String() || e.Op == cdc.OpSweep.String()
}

// Columns are the columns that an entry has a value of; where it has the row as it was,
// those that changed. Those of the key are left out.
func (e *LogEntry) Columns() (names []string) {
	before, _ := cdc.ParseRow(string(e.Before)) // without it all are named
	row, err := cdc.ParseRow(string(e.After))
	if err != nil {
		return nil
	}
	key, _ := cdc.ParseRow(string(e.Key)) // stands before them, as it is
	whole := e.Op == "u" && len(before) > len(key)
	for _, c := range row {
		if whole && before.Get(c.Name).JSON() == c.Value.JSON() || len(key) > 0 && !key.Get(c.Name).IsAbsent() {
			continue
		}
		names = append(names, c.Name)
	}
	return names
}

// opWords say what an entry is.
var opWords = map[string]string{"c": "create", "u": "update", "d": "delete", "r": "read", "t": "truncate", "s": "sweep"}

// OpWord is the kind of a change in a word.
func OpWord(op string) string { return opWords[op] }

// namesMost is how many names of columns are printed of an entry.
const namesMost = 12

// SomeNames leaves out what are too many names of columns for a line.
func SomeNames(names []string) []string {
	if n := len(names); n > namesMost {
		names = append(slices.Clone(names[:namesMost]), fmt.Sprintf("and %d more", n-namesMost))
	}
	return names
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}
