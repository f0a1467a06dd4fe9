package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// settle is what comes of a loss: the end, or, where the setting says so, going on
// without what is lost, or filling the log again (I13).
func (c *Capture) settle(ctx context.Context, loss *Loss) error {
	if len(loss.Tables) == 0 {
		if err := c.alone(ctx); err != nil {
			return err
		}
	}
	again := c.unsettled == loss.Reason
	c.unsettled = loss.Reason
	if !again { // what could not be settled at once is one loss
		c.lose(loss.Reason)
	}
	then := "the tables are read again, as postgres.on_loss says"
	switch c.source.options.AfterLoss {
	case StopAfterLoss:
		return &cdc.SetupError{What: loss.Error(), Hint: "set postgres.on_loss: heal, which reads the tables again, or go_on, which goes on without what is lost; " +
			"or give the bridge a new name in the configuration, which starts a new log and slot, and drop the old slot with walbridge slot drop"}
	case GoOnAfterLoss:
		then = "going on without what is lost, as postgres.on_loss says"
	}
	if !again {
		c.source.logger.Error("data_loss", "reason", loss.Reason, "what", loss.What, "then", then)
	}
	if loss.Reason == LossLogWiped && !again && c.source.options.AfterLoss == HealAfterLoss {
		// With the log went what was delivered, and with that the only record of what
		// the targets hold.
		c.lose(LossDeletesUnknown)
		c.source.logger.Error("data_loss", "reason", LossDeletesUnknown, "what", "rows that were deleted while the log was lost are not known any more where the delivered state is lost too",
			"then", "what targets hold of them stays until somebody looks for it there")
	}
	var err error
	if len(loss.Tables) > 0 {
		err = c.mend(ctx, loss)
	} else {
		err = c.renew(ctx, loss)
	}
	if err != nil {
		return fmt.Errorf("go on after data_loss: %w", err)
	}
	return nil
}

// mend brings single tables back: the log and the slot are as they should be.
func (c *Capture) mend(ctx context.Context, loss *Loss) error {
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	c.source.unstop(loss.Tables)
	err = c.source.setPublication(ctx, conn)
	var se *cdc.SetupError
	if errors.As(err, &se) { // only these tables suffer from it
		for _, t := range loss.Tables {
			if err := c.stopTable(ctx, t, se.What+"; "+se.Hint); err != nil {
				return err
			}
			c.source.withhold(t)
		}
		return nil
	}
	if err != nil {
		return err
	}
	after, err := nextXID(ctx, conn)
	if err != nil {
		return err
	}
	if err := c.refill(ctx, conn, loss, refill{after: after}); err != nil {
		return err
	}
	tail, err := c.log.Tail(ctx)
	if err != nil {
		return err
	}
	if err := c.routeAnew(ctx, conn, tail, false); err != nil {
		return err
	}
	for _, t := range loss.Tables {
		if err := c.log.SetStopped(ctx, t, ""); err != nil {
			return err
		}
	}
	return nil
}

// refill says how the tables are read again after a loss.
type refill struct {
	// after is a transaction id: those below it must end first.
	after uint64
	// moved tells that the server is another one.
	moved bool
}

// refill asks for a generation of each table whose rows are missing. Backfills of these
// that were under way are given up for it: what they had brought may be lost too.
func (c *Capture) refill(ctx context.Context, conn *pgx.Conn, loss *Loss, r refill) error {
	tables, err := c.namesInLog(ctx, conn, loss.Tables, r.moved)
	if err != nil {
		return err
	}
	list, err := c.log.Backfills(ctx)
	if err != nil {
		return err
	}
	heals := c.source.options.AfterLoss == HealAfterLoss
	var fills []cdc.Backfill
	for i := range list {
		b := &list[i]
		if _, ok := tables[b.Table]; b.Progress.State.Final() || !ok {
			continue
		}
		p := b.Progress
		p.State, p.Note = cdc.BackfillCancelled, "given up for a new one after data_loss, reason "+loss.Reason
		if err := c.log.SetBackfillProgress(ctx, b.ID, p); err != nil {
			return err
		}
		if !heals { // from the beginning, once more; the transactions of before are none of another server
			anew := b.Backfill
			anew.ID, anew.After = cdc.NewBackfillID(), r.after
			fills = append(fills, anew)
		}
	}
	var started []string
	for _, m := range c.source.options.Mappings {
		meant := len(loss.Tables) == 0 && !c.source.isStopped(m.Table) || slices.Contains(loss.Tables, m.Table)
		if meant && (heals || loss.Reason == LossLogWiped) {
			started = append(started, m.Name)
		}
	}
	for t := range tables {
		if heals {
			fills = append(fills, cdc.Backfill{ID: cdc.NewBackfillID(), Table: t, Generation: true, Reason: loss.Reason, After: r.after, Created: time.Now().UTC()})
		}
	}
	slices.SortFunc(fills, func(a, b cdc.Backfill) int { return a.Table.Compare(b.Table) })
	return c.log.Refill(ctx, started, fills)
}

// namesInLog gives the log's names of captured tables, of all if none are given.
func (c *Capture) namesInLog(ctx context.Context, conn *pgx.Conn, some []cdc.Table, moved bool) (map[cdc.Table]bool, error) {
	out := map[cdc.Table]bool{}
	if len(some) == 0 {
		some = c.source.tables()
	}
	for _, t := range some {
		out[t] = true
	}
	list, err := c.log.Routings(ctx)
	if err != nil || len(list) == 0 || moved {
		return out, err
	}
	p, err := c.source.readPublication(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, t := range list[len(list)-1].Tables {
		if now := p.table(t.OID); now != nil && out[now.Name] && now.Name != t.Name {
			delete(out, now.Name)
			out[t.Name] = true
		}
	}
	return out, nil
}

// renew begins a new epoch of the log.
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
	// Before anything is altered, by which the loss could be known: a crash leaves it.
	if err := c.log.SetBroken(ctx, loss.Reason+", "+loss.What); err != nil {
		return err
	}
	if f.HasSlot, err = c.source.dropUseless(ctx, conn, f, loss); err != nil {
		return err
	}
	if err := c.source.setPublication(ctx, conn); err != nil { // before the slot: pitfall 10
		return err
	}
	from, after := f.Confirmed, uint64(0)
	if f.HasSlot {
		after, err = nextXID(ctx, conn)
	} else { // the making of one waits for all that runs
		from, err = c.source.createSlot(ctx)
	}
	if err != nil {
		return err
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
		epoch.Base = newBase(tail.LSN, time.Now())
	}
	if err := c.refill(ctx, conn, loss, refill{after: after, moved: moved}); err != nil {
		return err
	}
	if err := c.routeAnew(ctx, conn, tail, moved); err != nil {
		return err
	}
	return c.describeAnew(ctx, epoch, from)
}

// newBase gives an epoch's base that lies above every Position that the log has, and
// above those that it had and lost: targets may hold them. The latter are not known, but
// no server writes 2 GiB of WAL in each second since 1970. A clock that was set back is
// made up for by the tail.
func newBase(tail cdc.LSN, now time.Time) cdc.LSN {
	return max(tail+1, cdc.LSN(now.Unix())<<31)
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
		if c.source.isStopped(t) {
			continue // it is not captured in this epoch either
		}
		if err := c.log.SetStopped(ctx, t, ""); err != nil {
			return err
		}
	}
	for _, t := range c.source.stoppedTables() {
		if _, noted := stopped[t]; noted {
			continue
		}
		if err := c.log.SetStopped(ctx, t, "it was stopped before the log was lost"); err != nil {
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
