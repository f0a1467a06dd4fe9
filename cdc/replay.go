package cdc

import "time"

// Replay asks for a part of the log to be delivered to a target once more.
type Replay struct {
	// ID names it; NewBackfillID makes one.
	ID     string `json:"id"`
	Target string `json:"target"`
	// Mapping is the only one that is meant; empty for all of the target. Key is the only
	// row: the value of its key, or a JSON object of the key's columns; empty for all.
	Mapping string `json:"mapping,omitempty"`
	Key     string `json:"key,omitempty"`
	// From is the Position above which it begins, To the last one that belongs to it.
	From Position `json:"from"`
	To   Position `json:"to"`
	// Force sends records that the target has already.
	Force bool `json:"force,omitempty"`
	// Within leaves out the rows whose newest state that was dealt with lies outside of the
	// range; otherwise they are sent as the source has them.
	Within bool `json:"within,omitempty"`
	// Changes is how many there were to read, as counted when it was asked for.
	Changes int64     `json:"changes"`
	Created time.Time `json:"created"`
}

// ReplayState is what a replay is at.
type ReplayState string

// The states. Those that are final stay as they are.
const (
	ReplayRunning   ReplayState = "running"
	ReplayStopped   ReplayState = "stopped" // it keeps its place, and the log for it
	ReplayDone      ReplayState = "done"
	ReplayCancelled ReplayState = "cancelled"
)

// Final tells whether nothing more comes of it.
func (s ReplayState) Final() bool { return s == ReplayDone || s == ReplayCancelled }

// ReplayProgress is how far a replay is, in a partition or as a whole.
type ReplayProgress struct {
	// Changes were read, of the tables, mappings and keys that are meant; one is counted once for each mapping.
	Changes int64 `json:"changes"`
	// Same are records that the target has already; Older the changes of which it has a
	// newer state; Live those that live delivery has not come to, which brings them.
	Same  int64 `json:"same"`
	Older int64 `json:"older"`
	Live  int64 `json:"live"`
	// Queued are records that were put into the queue, to be sent if they differ; Source
	// those of them that are read at the source.
	Queued int64 `json:"queued"`
	Source int64 `json:"source"`
	// Done tells that a partition is done with.
	Done    bool      `json:"done"`
	Updated time.Time `json:"updated,omitzero"`
}

// Add adds the counts of another part.
func (p *ReplayProgress) Add(o *ReplayProgress) {
	p.Changes += o.Changes
	p.Same += o.Same
	p.Older += o.Older
	p.Live += o.Live
	p.Queued += o.Queued
	p.Source += o.Source
	if p.Updated.Before(o.Updated) {
		p.Updated = o.Updated
	}
}

// ReplayStatus is a replay with what became of it.
type ReplayStatus struct {
	Replay
	State    ReplayState    `json:"state"`
	Progress ReplayProgress `json:"progress"`
	// Partitions is how many there are, Left how many are not done.
	Partitions int       `json:"partitions"`
	Left       int       `json:"left"`
	Ended      time.Time `json:"ended,omitzero"`
}

// Share is which part of it is done, from 0 to 1, as counted when it was asked for.
func (s *ReplayStatus) Share() float64 {
	switch {
	case s.State == ReplayDone:
		return 1
	case s.Changes > 0:
		return min(1, float64(s.Progress.Changes)/float64(s.Changes))
	case s.Partitions > 0:
		return 1 - float64(s.Left)/float64(s.Partitions)
	}
	return 0
}

// Remaining is about how long it takes until the end, at the pace that it had since it was
// asked for; zero if that is not known, as with what has hardly begun.
func (s *ReplayStatus) Remaining() time.Duration {
	took, share := s.Progress.Updated.Sub(s.Created), s.Share()
	if s.State != ReplayRunning || took <= 0 || share < .01 || share >= 1 {
		return 0
	}
	return time.Duration(float64(took) * (1 - share) / share).Round(time.Second)
}
