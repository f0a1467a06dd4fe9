package pgsource

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/walbridge/walbridge/cdc"
)

// Loss says that changes were lost outside of walbridge (I12), or that it is not
// known that none were. It is found by Diagnose; what comes of it is a setting.
type Loss struct {
	// Reason is a word for the counter, such as slot_gone.
	Reason string
	// What says it to people.
	What string
	// Tables are those whose rows are missing; none stands for all.
	Tables []cdc.Table
}

func (l *Loss) Error() string { return "data_loss: " + l.What + " (reason " + l.Reason + ")" }

// add notes that rows of a table are missing, too.
func (l *Loss) add(t cdc.Table, what string) {
	if l.What != "" {
		what = l.What + "; " + what
	}
	l.What, l.Tables = what, append(l.Tables, t)
}

// The reasons for a Loss.
const (
	LossLogWiped           = "log_wiped"
	LossLogHole            = "log_hole"
	LossSourceChanged      = "source_changed"
	LossSlotGone           = "slot_gone"
	LossSlotInvalidated    = "slot_invalidated"
	LossSlotMoved          = "slot_moved"
	LossPublicationGone    = "publication_gone"
	LossPublicationChanged = "publication_changed"
	LossTableStopped       = "table_stopped"
	// LossDeletesUnknown goes with another: what was deleted is known no more.
	LossDeletesUnknown = "deletes_unknown"
)

// Losses lists all reasons, for counters that begin at zero.
func Losses() []string {
	return []string{LossLogWiped, LossLogHole, LossSourceChanged, LossSlotGone, LossSlotInvalidated,
		LossSlotMoved, LossPublicationGone, LossPublicationChanged, LossTableStopped, LossDeletesUnknown}
}

// LogFacts are what the log says of itself.
type LogFacts struct {
	Epoch cdc.Epoch
	// Described tells that the log belongs to some capture, Marked that it has its
	// durable mark.
	Described, Marked bool
	Mark              cdc.LSN
	// Broken says that the log has a hole, and why.
	Broken string
}

// ReadLog reads the facts of a log.
func ReadLog(ctx context.Context, l cdc.Log) (f LogFacts, err error) {
	if f.Epoch, f.Described, err = l.Epoch(ctx); err != nil {
		return f, err
	}
	if f.Mark, f.Marked, err = l.DurableMark(ctx); err != nil {
		return f, err
	}
	f.Broken, err = l.Broken(ctx)
	return f, err
}

// Diagnose holds a server against the log that was filled from it. It is nil if
// the log can be gone on with; it decides nothing of a log that is not described.
// The log must have been read both before and after the server: another capture may
// move both on meanwhile, also while a process that has just held the slot is frozen.
func Diagnose(slot string, s Facts, before, l LogFacts) *Loss {
	switch {
	case !l.Described || !l.Marked:
		return &Loss{Reason: LossLogWiped, What: "the log has no record of this bridge any more: it was wiped, or Redis came back without its data"}
	case l.Broken != "":
		return &Loss{Reason: LossLogHole, What: "the log has a hole: " + l.Broken}
	case l.Epoch.SystemID != "" && (l.Epoch.SystemID != s.SystemID || l.Epoch.Timeline != s.Timeline):
		return &Loss{Reason: LossSourceChanged, What: fmt.Sprintf("the log was filled from system %s timeline %d, this server is system %s timeline %d: it was restored or failed over",
			l.Epoch.SystemID, l.Epoch.Timeline, s.SystemID, s.Timeline)}
	case s.Now < before.Mark && before.Epoch == l.Epoch:
		return &Loss{Reason: LossSourceChanged, What: fmt.Sprintf("the server's WAL ends at %v, but the log was filled from WAL up to %v: the server was restored to an earlier point", s.Now, before.Mark)}
	case l.Epoch.Slot != slot:
		return &Loss{Reason: LossSlotMoved, What: fmt.Sprintf("the log was filled from slot %s, the configuration says slot %s", l.Epoch.Slot, slot)}
	case !s.HasSlot:
		return &Loss{Reason: LossSlotGone, What: fmt.Sprintf("slot %s is gone from the server", slot)}
	case s.WALStatus == "lost":
		why := "max_slot_wal_keep_size"
		if s.Invalidation != "" {
			why = s.Invalidation
		}
		return &Loss{Reason: LossSlotInvalidated, What: fmt.Sprintf("slot %s was invalidated by the server (%s), which removed WAL that was not captured yet", slot, why)}
	case s.Confirmed > l.Mark:
		return &Loss{Reason: LossSlotMoved, What: fmt.Sprintf("slot %s was confirmed up to %v, but the log holds changes only up to %v: it was moved or made anew", slot, s.Confirmed, l.Mark)}
	}
	return s.Publication.loss(slot)
}

// lose counts a loss.
func (c *Capture) lose(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.losses[reason]++
}

// identify reads who the server is. It takes a replication connection: only there
// may everybody ask.
func (s *Source) identify(ctx context.Context) (sys pglogrepl.IdentifySystemResult, err error) {
	repl, err := s.connectReplication(ctx)
	if err != nil {
		return sys, err
	}
	defer closeConn(repl)
	if sys, err = pglogrepl.IdentifySystem(ctx, repl); err != nil {
		return sys, fmt.Errorf("identify postgres: %w", err)
	}
	return sys, nil
}
