package console

import (
	"encoding/json"
	"math"
	"time"
)

// Source is asked at every request. Both methods are called from many
// goroutines at once and must not wait for a server.
type Source interface {
	// Status is what the process knows of itself now.
	Status() Status
	// Ready is nil while the process makes progress, or says why it does not.
	// Its text is shown to everybody who may ask, so it holds no secrets.
	Ready() error
}

// Status is what the process knows of itself at one moment.
type Status struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	Capture *Capture  `json:"capture"` // nil where this process does not capture
	Log     *Log      `json:"log"`     // likewise
	Targets []Target  `json:"targets"`
}

// Capture is the way from PostgreSQL into the log.
type Capture struct {
	State         string    `json:"state"` // connecting, standby, streaming
	Slot          string    `json:"slot"`
	Publication   string    `json:"publication"`
	Rows          uint64    `json:"rows"`
	Transactions  uint64    `json:"transactions"`
	Bytes         uint64    `json:"bytes"`   // of WAL messages received
	Entries       uint64    `json:"entries"` // appended to the log
	RowsPerSecond float64   `json:"rows_per_second"`
	Appended      string    `json:"appended"` // LSNs as PostgreSQL writes them
	Confirmed     string    `json:"confirmed"`
	ServerEnd     string    `json:"server_end"`
	LagBytes      uint64    `json:"lag_bytes"` // ServerEnd - Confirmed
	Durability    string    `json:"durability"`
	Progress      time.Time `json:"progress,omitzero"`       // when something last arrived
	CompleteUntil time.Time `json:"complete_until,omitzero"` // the log holds all that was committed by then
	LagMS         float64   `json:"lag_ms"`                  // age of CompleteUntil where the log lacks something
	Retained      int64     `json:"retained_wal_bytes"`
	Budget        int64     `json:"wal_budget_bytes"`
	Losses        uint64    `json:"losses"` // see the log lines data_loss
	// Backfills are those that are under way or have failed.
	Backfills []Backfill `json:"backfills"`
}

// Backfill is rows of a table on their way into the log.
type Backfill struct {
	ID            string  `json:"id"`
	Table         string  `json:"table"`
	State         string  `json:"state"` // waiting, running, paused, failed
	Rows          int64   `json:"rows"`
	Estimate      int64   `json:"estimate"` // zero if not known
	RowsPerSecond float64 `json:"rows_per_second"`
	LeftSeconds   float64 `json:"left_seconds"` // zero if not known
	Reason        string  `json:"reason"`
	Note          string  `json:"note"`
}

// Log is what the log holds, as the trimming last saw it.
type Log struct {
	Entries     int64     `json:"entries"`
	Bytes       int64     `json:"bytes"`
	Oldest      time.Time `json:"oldest,omitzero"` // when the first entry was committed
	Trimmed     uint64    `json:"trimmed"`         // entries since the start
	HeldBy      string    `json:"held_by"`         // who has the most unread; empty if nobody has
	HeldBytes   int64     `json:"held_bytes"`
	Over        int64     `json:"over_bytes"` // above a bound, and unread
	Memory      int64     `json:"memory_bytes"`
	MaxMemory   int64     `json:"max_memory_bytes"` // 0 without a limit
	Detached    []string  `json:"detached"`
	BlockedMS   float64   `json:"blocked_ms"` // since the log takes nothing; 0 while it takes
	BlockedText string    `json:"blocked_text"`
}

// Target is one configured external system.
type Target struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	State string `json:"state"` // running, waiting (for partitions), paused, probing, detached
	// Owned is how many partitions this process owns of all that there are.
	Owned       int       `json:"owned"`
	Partitions  int       `json:"partitions"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
	Why         string    `json:"why"` // it is paused or probed, or mappings of it wait
	LastError   string    `json:"last_error"`
	InFlight    int       `json:"in_flight"`
	Pending     int       `json:"pending"`
	Requests    uint64    `json:"requests"`
	Retries     uint64    `json:"retries"`
	Throttles   uint64    `json:"throttles"`
	// Account has the limits: Rate is how many requests a second go now, RateLimit the
	// setting, 0 any number; of the day BudgetLeft are left for walbridge, if that is known.
	Account     string  `json:"account"`
	Rate        float64 `json:"rate"`
	RateLimit   float64 `json:"rate_limit"`
	BudgetKnown bool    `json:"budget_known"`
	BudgetDaily int64   `json:"budget_daily"`
	BudgetLeft  int64   `json:"budget_left"`
	Parked      uint64  `json:"parked"`
	// Deferred is how many entries of keys in back-off wait aside, and DeferredAge for how
	// long the first of them has; Waiting how many records wait for one that they refer to.
	Deferred    int     `json:"deferred"`
	DeferredAge float64 `json:"deferred_seconds"`
	Waiting     int     `json:"waiting_for_parent"`
	SLOMet      uint64  `json:"slo_met"` // records, over the mappings that have an slo
	SLOMissed   uint64  `json:"slo_missed"`
	Lanes       []Lane  `json:"lanes"`
}

// Lane is the work of one priority class for one target. In JSON the durations
// are milliseconds: age_ms, p50_ms, p95_ms, p99_ms.
type Lane struct {
	Name             string
	Changes          uint64 // read from the log
	Records          uint64 // sent to the target and accepted
	ChangesPerSecond float64
	RecordsPerSecond float64
	Lag              int           // entries read and not dealt with
	Age              time.Duration // of the oldest of them, from its commit
	P50, P95, P99    time.Duration // commit → accepted
}

// MarshalJSON writes durations as milliseconds.
func (l Lane) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name             string  `json:"name"`
		Changes          uint64  `json:"changes"`
		Records          uint64  `json:"records"`
		ChangesPerSecond float64 `json:"changes_per_second"`
		RecordsPerSecond float64 `json:"records_per_second"`
		Lag              int     `json:"lag"`
		Age              float64 `json:"age_ms"`
		P50              float64 `json:"p50_ms"`
		P95              float64 `json:"p95_ms"`
		P99              float64 `json:"p99_ms"`
	}{
		l.Name, l.Changes, l.Records, finite(l.ChangesPerSecond), finite(l.RecordsPerSecond), l.Lag,
		milliseconds(l.Age), milliseconds(l.P50), milliseconds(l.P95), milliseconds(l.P99),
	})
}

// answer is the JSON of /api/status and of each event: the Status and whether
// the process is ready, so that the page need not ask twice.
type answer struct {
	Status
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready"`
}

// ask reads the source and makes its answer fit for JSON: lists are never null,
// times are in UTC, rates are finite. It copies what it changes, as a source may
// give the same slices to several requests.
func ask(source Source) ([]byte, error) {
	a := answer{Status: source.Status(), Ready: true}
	if err := source.Ready(); err != nil {
		a.Ready, a.NotReady = false, err.Error()
	}
	a.Started, a.Now = a.Started.UTC(), a.Now.UTC()
	if a.Capture != nil {
		c := *a.Capture
		c.RowsPerSecond, c.Progress, c.CompleteUntil = finite(c.RowsPerSecond), c.Progress.UTC(), c.CompleteUntil.UTC()
		a.Capture = &c
	}
	if a.Log != nil {
		l := *a.Log
		l.Oldest, l.Detached = l.Oldest.UTC(), append([]string{}, l.Detached...)
		a.Log = &l
	}
	a.Targets = append([]Target{}, a.Targets...)
	for i := range a.Targets {
		t := &a.Targets[i]
		t.PausedUntil, t.Rate = t.PausedUntil.UTC(), finite(t.Rate)
		if t.Lanes == nil {
			t.Lanes = []Lane{}
		}
	}
	return json.Marshal(a)
}

// finite gives 0 for what JSON cannot write: a rate over no time at all.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
