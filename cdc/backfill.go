package cdc

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// Backfill asks for rows of a table to be read into the log: for a first load, a new
// table, a repair, or, as a generation, to heal what was lost.
type Backfill struct {
	// ID names it; NewBackfillID makes one.
	ID string `json:"id"`
	// Table is named as the log names it.
	Table Table `json:"table"`
	// Where is an SQL condition on the table's columns; empty for all rows.
	Where string `json:"where,omitempty"`
	// Keys are the keys of the rows to read, JSON objects; empty for all rows. A key
	// without a row is told to be deleted.
	Keys []string `json:"keys,omitempty"`
	// Rate bounds the reading, in rows a second; zero for no bound.
	Rate int `json:"rate,omitempty"`
	// For says who the rows are for, each the name of a target or of target/mapping;
	// empty for all.
	For []string `json:"for,omitempty"`
	// Generation says that rows which were neither read nor changed since its start are
	// gone from the source: it ends with a sweep.
	Generation bool `json:"generation,omitempty"`
	// Reason says why it was asked for: ReasonRequest, ReasonStart, or that of a loss.
	Reason string `json:"reason"`
	// After is a transaction id: no row is read before every transaction below it has
	// ended. Zero for no wait.
	After uint64 `json:"after,omitempty"`
	// Behind are the ids of the backfills of those tables that rows of this one refer to:
	// it begins when they have ended, so that parents come first.
	Behind []string `json:"behind,omitempty"`
	// Created is when it was asked for.
	Created time.Time `json:"created"`
}

// The reasons for a backfill that are not those of a loss.
const (
	ReasonRequest  = "request"
	ReasonStart    = "first_start"
	ReasonDetached = "target_detached"
	ReasonRetry    = "dead_letters"
	ReasonVerify   = "verify"
	ReasonRemade   = "record_made_anew" // by the target: those that refer to it
)

// NewBackfillID gives a name that no other backfill has.
func NewBackfillID() string {
	var b [4]byte
	rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// Whole tells whether it reads all rows of its table.
func (b *Backfill) Whole() bool { return b.Where == "" && len(b.Keys) == 0 }

// BackfillState is what a backfill is at.
type BackfillState string

// The states. Those that are final stay as they are.
const (
	BackfillWaiting   BackfillState = "waiting" // nothing was read yet
	BackfillRunning   BackfillState = "running"
	BackfillPaused    BackfillState = "paused"
	BackfillDone      BackfillState = "done"
	BackfillFailed    BackfillState = "failed"
	BackfillCancelled BackfillState = "cancelled"
)

// Final tells whether nothing more comes of it.
func (s BackfillState) Final() bool {
	return s == BackfillDone || s == BackfillFailed || s == BackfillCancelled
}

// BackfillProgress is how far a backfill is. The capture writes it.
type BackfillProgress struct {
	State BackfillState `json:"state"`
	// Cursor is the key up to which every row is durably in the log, as texts of its
	// columns in the order of the key's index; empty before the first. For a backfill
	// by keys it is how many of them are done.
	Cursor []string `json:"cursor,omitempty"`
	// Rows were appended, Chunks read, Again read once more because the rows changed
	// meanwhile.
	Rows   int64 `json:"rows"`
	Chunks int64 `json:"chunks"`
	Again  int64 `json:"again"`
	// Estimate is about how many rows there are to read; zero if that is not known.
	Estimate int64 `json:"estimate,omitempty"`
	// RowsPerSecond is the rate of late.
	RowsPerSecond float64 `json:"rows_per_second,omitempty"`
	// Since is the Position at which a generation began; zero before.
	Since Position `json:"since,omitzero"`
	// Note says what it waits for, or why it failed.
	Note    string    `json:"note,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
}

// BackfillWish is what somebody wants of a backfill that is there.
type BackfillWish string

// The wishes.
const (
	WishRun    BackfillWish = "run"
	WishPause  BackfillWish = "pause"
	WishCancel BackfillWish = "cancel"
)

// BackfillStatus is a backfill with what became of it.
type BackfillStatus struct {
	Backfill
	Wish     BackfillWish     `json:"wish"`
	Progress BackfillProgress `json:"progress"`
}

// Left is about how long it takes until the end; zero if that is not known.
func (b *BackfillStatus) Left() time.Duration {
	p := &b.Progress
	if p.State != BackfillRunning || p.RowsPerSecond <= 0 || p.Estimate <= p.Rows {
		return 0
	}
	return time.Duration(float64(p.Estimate-p.Rows) / p.RowsPerSecond * float64(time.Second)).Round(time.Second)
}
