package pgsource

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// Loss says that changes were lost outside of walbridge (I12), or that it is not
// known that none were. It is found by Diagnose; what comes of it is a setting.
type Loss struct {
	// Reason is a word for the counter, such as slot_gone.
	Reason string
	// What says it to people.
	What string
}

func (l *Loss) Error() string { return "data_loss: " + l.What + " (reason " + l.Reason + ")" }

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
)

// Losses lists all reasons, for counters that begin at zero.
func Losses() []string {
	return []string{LossLogWiped, LossLogHole, LossSourceChanged, LossSlotGone, LossSlotInvalidated,
		LossSlotMoved, LossPublicationGone, LossPublicationChanged, LossTableStopped}
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
func Diagnose(slot string, s Facts, l LogFacts) *Loss {
	switch {
	case !l.Described || !l.Marked:
		return &Loss{LossLogWiped, "the log has no record of this bridge any more: it was wiped, or Redis came back without its data"}
	case l.Broken != "":
		return &Loss{LossLogHole, "the log has a hole: " + l.Broken}
	case l.Epoch.SystemID != "" && (l.Epoch.SystemID != s.SystemID || l.Epoch.Timeline != s.Timeline):
		return &Loss{LossSourceChanged, fmt.Sprintf("the log was filled from system %s timeline %d, this server is system %s timeline %d: it was restored or failed over",
			l.Epoch.SystemID, l.Epoch.Timeline, s.SystemID, s.Timeline)}
	case s.Now < l.Mark:
		return &Loss{LossSourceChanged, fmt.Sprintf("the server's WAL ends at %v, but the log was filled from WAL up to %v: the server was restored to an earlier point", s.Now, l.Mark)}
	case l.Epoch.Slot != slot:
		return &Loss{LossSlotMoved, fmt.Sprintf("the log was filled from slot %s, the configuration says slot %s", l.Epoch.Slot, slot)}
	case !s.HasSlot:
		return &Loss{LossSlotGone, fmt.Sprintf("slot %s is gone from the server", slot)}
	case s.WALStatus == "lost":
		why := "max_slot_wal_keep_size"
		if s.Invalidation != "" {
			why = s.Invalidation
		}
		return &Loss{LossSlotInvalidated, fmt.Sprintf("slot %s was invalidated by the server (%s), which removed WAL that was not captured yet", slot, why)}
	case s.Confirmed > l.Mark:
		return &Loss{LossSlotMoved, fmt.Sprintf("slot %s was confirmed up to %v, but the log holds changes only up to %v: it was moved or made anew", slot, s.Confirmed, l.Mark)}
	}
	return s.Publication.loss(slot)
}

// settle is what comes of a loss: the end, or, where the setting says so, going
// on without what is lost.
func (c *Capture) settle(ctx context.Context, loss *Loss) error {
	c.lose(loss.Reason)
	if !c.source.options.GoOnAfterLoss {
		return &cdc.SetupError{What: loss.Error(), Hint: fmt.Sprintf("give the bridge a new name in the configuration, which starts a new log and slot, load the rows anew, "+
			"and drop the old slot with walbridge slot drop; or set postgres.on_loss: go_on, which goes on without what slot %s did not deliver", c.source.options.Slot)}
	}
	c.source.logger.Error("data_loss", "reason", loss.Reason, "what", loss.What, "then", "going on without what is lost, as postgres.on_loss says")
	if err := c.renew(ctx, loss); err != nil {
		return fmt.Errorf("go on after data_loss: %w", err)
	}
	return nil
}

// lose counts a loss.
func (c *Capture) lose(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.losses[reason]++
}

// renew begins a new epoch of the log. Its base lies above every position that
// the log has, where the server's LSNs could fall below them.
func (c *Capture) renew(ctx context.Context, loss *Loss) error {
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	f, err := c.source.Facts(ctx, conn)
	if err != nil {
		return err
	}
	if f.HasSlot, err = c.source.dropUseless(ctx, conn, f, loss); err != nil {
		return err
	}
	if err := c.source.setPublication(ctx, conn); err != nil { // before the slot: pitfall 10
		return err
	}
	from := f.Confirmed
	if !f.HasSlot {
		if from, err = c.source.createSlot(ctx); err != nil {
			return err
		}
	}
	tail, err := c.log.Tail(ctx)
	if err != nil {
		return err
	}
	old, _, err := c.log.Epoch(ctx)
	if err != nil {
		return err
	}
	epoch := cdc.Epoch{SystemID: f.SystemID, Timeline: f.Timeline, Slot: c.source.options.Slot, Base: old.Base}
	moved := old.SystemID != epoch.SystemID || old.Timeline != epoch.Timeline || loss.Reason == LossSourceChanged
	if moved || epoch.Base+from <= tail.LSN {
		epoch.Base = tail.LSN + 1
	}
	if err := c.routeAnew(ctx, conn, tail, moved); err != nil {
		return err
	}
	return c.describeAnew(ctx, epoch, from)
}

// routeAnew forgets which tables were in the publication before. Another server's
// OIDs mean nothing at all.
func (c *Capture) routeAnew(ctx context.Context, conn *pgx.Conn, tail cdc.Position, moved bool) error {
	if moved {
		return c.log.SetRoutings(ctx, nil)
	}
	list, err := c.log.Routings(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	p, err := c.source.readPublication(ctx, conn)
	if err != nil {
		return err
	}
	last := list[len(list)-1]
	next := cdc.Routing{Above: last.Above, BulkAfter: last.BulkAfter, Publication: p.OID}
	if next.Above.Before(tail) {
		next.Above = tail
	}
	for _, t := range last.Tables {
		if now := p.table(t.OID); now != nil {
			t.Member = now.Member
			next.Tables = append(next.Tables, t)
		}
	}
	return c.log.SetRoutings(ctx, append(list, next))
}

// describeAnew writes the description of a log in its new epoch, the mark last:
// a crash before it leaves a loss that is found again.
func (c *Capture) describeAnew(ctx context.Context, epoch cdc.Epoch, from cdc.LSN) error {
	stopped, err := c.log.Stopped(ctx)
	if err != nil {
		return err
	}
	for t := range stopped {
		if err := c.log.SetStopped(ctx, t, ""); err != nil {
			return err
		}
	}
	return c.log.Renew(ctx, epoch, from)
}

// dropUseless drops a slot from which nothing can be read any more: one that the
// server invalidated, or one whose WAL begins before the publication was made
// again. It tells whether there is still a slot.
func (s *Source) dropUseless(ctx context.Context, conn *pgx.Conn, f Facts, loss *Loss) (bool, error) {
	if !f.HasSlot || f.WALStatus != "lost" && f.Publication.Exists && loss.Reason != LossPublicationGone {
		return f.HasSlot, nil
	}
	for {
		err := s.DropSlot(ctx, conn)
		var se *cdc.SetupError
		if err == nil || !errors.As(err, &se) {
			return err != nil, err
		}
		// The server may not have noticed the end of our own connection yet.
		if _, holder, herr := s.holder(ctx, conn); herr != nil || holder != "" && holder != s.applicationName() {
			return true, errors.Join(err, herr)
		}
		if err := cdc.Sleep(ctx, slotPoll); err != nil {
			return true, err
		}
	}
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
