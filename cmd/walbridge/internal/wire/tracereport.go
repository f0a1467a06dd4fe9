package wire

import (
	"encoding/json"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/trace"
)

// TraceRequest says which record is meant, and how much is to be told of it.
type TraceRequest struct {
	Table, Key string
	// Target and Mapping leave the others out; empty for all.
	Target, Mapping string
	// Limit is how many changes, and how many steps of each mapping, are told at most, the
	// newest; zero for all.
	Limit int
	// Values has the values of the row told, and what may quote them.
	Values bool
}

// TraceReport is the story of a record.
type TraceReport struct {
	Table     string          `json:"table"`
	Key       json.RawMessage `json:"key"`
	Partition int             `json:"partition"`
	Now       time.Time       `json:"now"`
	// Log tells how far the log goes back in the partition, by lane.
	Log []TraceLane `json:"log"`
	// Changes are those of the record that the log has, the oldest first; Earlier were left out.
	Changes []TraceChange  `json:"changes"`
	Earlier int            `json:"earlier_changes"`
	Targets []TraceMapping `json:"targets"`
}

// TraceLane is how far a lane of the log goes back.
type TraceLane struct {
	Lane string `json:"lane"`
	// Oldest is when its first entry was committed; zero if it is empty.
	Oldest  time.Time `json:"oldest,omitzero"`
	Trimmed bool      `json:"trimmed"`
}

// TraceChange is a change of the record in the log.
type TraceChange struct {
	Position cdc.Position `json:"position"`
	// LSN is that of the commit at the source; empty for an entry of a former epoch.
	LSN  string    `json:"lsn"`
	Time time.Time `json:"time"`
	Lane string    `json:"lane"`
	Op   string    `json:"op"`
	XID  uint64    `json:"xid"`
	// Columns are those that were sent; where Compared is true, those whose value is another
	// than before, as far as the log has that.
	Columns  []string        `json:"columns,omitempty"`
	Compared bool            `json:"compared"`
	Absent   []string        `json:"absent,omitempty"`
	For      []string        `json:"for,omitempty"`
	Since    string          `json:"since,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
	Before   json.RawMessage `json:"before,omitempty"`
}

// TraceMapping is the part of the story that is of one mapping.
type TraceMapping struct {
	Target  string `json:"target"`
	Mapping string `json:"mapping"`
	Object  string `json:"object"`
	// Steps are what became of the changes, the oldest first; Earlier were left out.
	Steps   []TraceStep `json:"steps"`
	Earlier int         `json:"earlier_steps"`
	// History is when the history of the partition begins, of what is not bulk; HistoryBulk of
	// bulk. It is zero where there is none.
	History     time.Time `json:"history_since,omitzero"`
	HistoryBulk time.Time `json:"bulk_history_since,omitzero"`
	// Damaged counts lines of the history that cannot be read.
	Damaged int      `json:"damaged,omitempty"`
	Now     TraceNow `json:"now"`
}

// TraceStep is what became of changes of the record.
type TraceStep struct {
	Time     time.Time    `json:"time"`
	Fate     trace.Fate   `json:"fate"`
	Op       string       `json:"op,omitempty"`
	From     cdc.Position `json:"from"`
	To       cdc.Position `json:"to"`
	Changes  int          `json:"changes"`
	Attempts int          `json:"attempts"`
	Code     string       `json:"code,omitempty"`
	Error    string       `json:"error,omitempty"`
	// WaitsFor is the mapping of a record that it waits for.
	WaitsFor string        `json:"waits_for,omitempty"`
	RemoteID string        `json:"remote_id,omitempty"`
	Next     time.Time     `json:"next_try,omitzero"`
	Bulk     bool          `json:"bulk,omitempty"`
	Request  *TraceCarrier `json:"request,omitempty"`
}

// TraceCarrier is the request that carried a record.
type TraceCarrier struct {
	ID      string    `json:"id"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Records int       `json:"records"`
	Job     bool      `json:"job,omitempty"`
	Code    string    `json:"code,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// TraceNow is how the record stands.
type TraceNow struct {
	// Known tells that something of it was dealt with, Seen up to where.
	Known bool         `json:"known"`
	Seen  cdc.Position `json:"seen"`
	// Newest is the newest change in the log, if that is not dealt with.
	Newest cdc.Position `json:"not_dealt_with,omitzero"`
	Lane   string       `json:"not_dealt_with_lane,omitempty"`
	// Read is up to where the target has dealt with the lane of Newest.
	Read cdc.Position `json:"checkpoint,omitzero"`
	// Live tells that the target has the record, Doubt that that is not certain, Lacking that
	// something it should have may be missing, Hash that the same is not sent again.
	Live    bool `json:"live"`
	Doubt   bool `json:"in_doubt"`
	Lacking bool `json:"lacking"`
	Hash    bool `json:"suppresses_same"`
	// TargetKey is the record's key at the target, as a value of the row; Moved tells that
	// another one may still have to be removed.
	TargetKey json.RawMessage `json:"target_key,omitempty"`
	Moved     bool            `json:"leaves_target_keys,omitempty"`
	// Owner is the row that owns the target key, where that is noted.
	Owner    *TraceOwner `json:"target_key_owner,omitempty"`
	RemoteID string      `json:"remote_id,omitempty"`
	Aside    *TraceAside `json:"aside,omitempty"`
	Dead     *TraceDead  `json:"dead_letter,omitempty"`
	// Condition is how the target is, if something is the matter with it.
	Condition string `json:"target_condition,omitempty"`
	// Unreadable says why the state cannot be read.
	Unreadable string `json:"unreadable,omitempty"`
}

// TraceOwner is the row that owns a target key.
type TraceOwner struct {
	// Same tells that it is the record's own row.
	Same    bool   `json:"same_row"`
	Mapping string `json:"mapping"`
	// Key is a value of the other row.
	Key json.RawMessage `json:"key,omitempty"`
	// Leaves tells that it gives the key up.
	Leaves bool `json:"leaves"`
}

// TraceAside is a record that waits aside.
type TraceAside struct {
	Since   time.Time `json:"since"`
	Due     time.Time `json:"due"`
	Waiting bool      `json:"waiting_for_records"`
	// Parents are the records that it waits for, as far as they are known.
	Parents []TraceParent `json:"parents,omitempty"`
}

// TraceParent is a record that another waits for. Its key is a value of the other's row.
type TraceParent struct {
	Mapping string          `json:"mapping"`
	Key     json.RawMessage `json:"key,omitempty"`
}

// TraceDead is the record's dead letter.
type TraceDead struct {
	Time     time.Time    `json:"time"`
	Position cdc.Position `json:"position"`
	Code     string       `json:"code"`
	Error    string       `json:"error"`
	// Detail is what the target said, which may quote the row.
	Detail   string          `json:"detail,omitempty"`
	Payload  json.RawMessage `json:"payload,omitempty"`
	Attempts int             `json:"attempts"`
}

// traceChange makes a change of an entry of the log, after is the row as the entry before
// left it, empty if that is not known.
func traceChange(e *LogEntry, at cdc.Position, after json.RawMessage, values bool) TraceChange {
	c := TraceChange{Position: at, LSN: e.LSN, Time: e.Time, Lane: e.Lane, Op: e.Op, XID: e.XID,
		Columns: e.Columns(), Absent: e.Absent, For: e.For, Since: e.Since}
	update := cdc.OpUpdate.String()
	switch {
	case e.Op == update && len(columnsOf(e.Before)) > len(columnsOf(e.Key)):
		c.Compared = true
	case len(after) > 0 && (e.Op == update || e.Op == cdc.OpRead.String()):
		c.Compared = true
		c.Columns = (&LogEntry{Op: update, Key: e.Key, After: e.After, Before: after}).Columns()
	}
	if values {
		c.After, c.Before = e.After, e.Before
	}
	return c
}

func traceStep(e *trace.Entry) TraceStep {
	s := TraceStep{Time: e.Time, Fate: e.Fate, Op: e.Op, From: e.From, To: e.To, Changes: e.Changes, Attempts: e.Attempts,
		Code: e.Code, Error: e.Error, WaitsFor: e.On, RemoteID: e.Remote, Next: e.Next, Bulk: e.Bulk}
	if r := e.Request; r != nil {
		s.Request = &TraceCarrier{ID: r.ID, Began: r.Began, Seconds: r.Took.Seconds(), Records: r.Records, Job: r.Job, Code: r.Code, Error: r.Error}
	}
	return s
}

// columnsOf gives the columns of a JSON object; none if it is not one.
func columnsOf(object json.RawMessage) cdc.Row {
	row, err := cdc.ParseRow(string(object))
	if err != nil {
		return nil
	}
	return row
}
