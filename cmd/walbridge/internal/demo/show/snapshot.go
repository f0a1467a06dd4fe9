package show

import "time"

// Snapshot is all that is shown at one moment.
type Snapshot struct {
	// Elapsed is the time since the demo began.
	Elapsed time.Duration
	// SourceRowsPerSecond and SourceRows are the rows that the source changes.
	SourceRowsPerSecond float64
	SourceRows          int64
	// SlotLag is how many bytes of WAL the slot is behind; negative if unknown.
	SlotLag int64
	// LogEntries is the number of entries the log holds.
	LogEntries int64
	// Life counts what happened in the source; counts of zero are not shown.
	Life []Count
	Rows []Row
	// Note is a last line, such as where to look; it may be empty.
	Note string
}

// Count is how often something happened.
type Count struct {
	Name string
	N    int64
}

// Row is a line of the table: the delivery to a target through a lane. Rates
// are of the last moments, the others are totals since the start.
type Row struct {
	Target, Lane string
	// ChangesPerSecond are log entries taken in, RecordsPerSecond records sent.
	ChangesPerSecond, RecordsPerSecond float64
	// LagEntries are the entries of the log not yet dealt with, LagTime the age
	// of the oldest of them.
	LagEntries int64
	LagTime    time.Duration
	// Changes were folded into Records.
	Changes, Records          int64
	Requests, Retries, Parked int64
	// The time from commit to delivered; zero if there is none yet.
	P50, P95, P99 time.Duration
}

// Folded is how many changes went into a record; zero before the first record.
func (r Row) Folded() float64 {
	if r.Records == 0 {
		return 0
	}
	return float64(r.Changes) / float64(r.Records)
}
