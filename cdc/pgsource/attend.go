package pgsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// Prefix is that of walbridge's logical messages.
const Prefix = "walbridge"

const (
	// watchEvery is how often the catalog is looked at. An application whose table
	// lost its identity cannot update it until the table is out of the publication
	// (I15), and no event tells of it.
	watchEvery = time.Second
	// measureEvery is how often it is looked how much WAL the slot keeps.
	measureEvery = 5 * time.Second
)

// attend sees to what the stream does not tell: it writes the heartbeat, watches
// the publication and its tables, and measures the slot. Its error is a Loss, or
// that ctx has ended.
func (c *Capture) attend(ctx context.Context, st *stream) error {
	a := &attendant{capture: c, stream: st, known: maps.Clone(st.router.now)}
	defer a.close()
	watch, measure := time.NewTicker(watchEvery), time.NewTicker(measureEvery)
	defer watch.Stop()
	defer measure.Stop()
	var beat <-chan time.Time
	if every := c.source.options.Heartbeat; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		beat = t.C
	}
	a.do(ctx, "measure the slot", a.measure)
	for {
		var loss error
		select {
		case <-ctx.Done():
			return nil
		case <-beat:
			a.do(ctx, "write the heartbeat", heartbeat)
		case <-measure.C:
			a.do(ctx, "measure the slot", a.measure)
			a.do(ctx, "look for stopped tables", func(ctx context.Context, conn *pgx.Conn) (err error) {
				loss, err = a.recover(ctx, conn)
				return err
			})
		case <-watch.C:
			a.do(ctx, "watch the publication", func(ctx context.Context, conn *pgx.Conn) (err error) {
				loss, err = a.watch(ctx, conn)
				return err
			})
		}
		if loss != nil {
			return loss
		}
	}
}

// attendant has the connection that attend works on.
type attendant struct {
	capture *Capture
	stream  *stream
	conn    *pgx.Conn
	failing bool
	// known are the captured tables that are published, by their last name.
	known map[uint32]cdc.Table
	// leaves are the partitions as of the last look; nil before the first.
	leaves leaves
	level  int // of the last word about the slot's WAL
}

func (a *attendant) close() {
	if a.conn != nil {
		closeConn(a.conn)
		a.conn = nil
	}
}

// attendTimeout bounds one piece of the work.
const attendTimeout = 10 * time.Second

// do does a piece of the work. Its failure is said once, until something succeeds
// again: the stream has its own connection and its own troubles.
func (a *attendant) do(ctx context.Context, what string, f func(context.Context, *pgx.Conn) error) {
	ctx, cancel := context.WithTimeout(ctx, attendTimeout)
	defer cancel()
	var err error
	if a.conn == nil || a.conn.IsClosed() {
		if a.conn, err = a.capture.source.Connect(ctx); err == nil {
			// A statement of ours must not hang when the application's do.
			_, err = a.conn.Exec(ctx, "SET synchronous_commit = local")
		}
	}
	if err == nil {
		err = f(ctx, a.conn)
	}
	if err == nil {
		a.failing = false
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if !a.failing {
		a.failing = true
		a.capture.source.logger.Warn("the database cannot be looked after", "what", what, "error", err)
	}
	a.close()
}

// heartbeat writes a logical message, so that the slot moves on when nothing
// captured changes but other tables or databases write WAL. It is transactional,
// so it has a commit LSN of its own.
func heartbeat(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, $1, 'heartbeat')", Prefix)
	return err
}

// watch looks at the publication. A table that lost its identity is taken out of
// it at once, and stopped.
func (a *attendant) watch(ctx context.Context, conn *pgx.Conn) (loss, err error) {
	s, slot := a.capture.source, a.capture.source.options.Slot
	p, err := s.readPublication(ctx, conn)
	if err != nil {
		return nil, err
	}
	if l := p.loss(slot); l != nil {
		return l, nil
	}
	if p.OID != a.stream.router.publication {
		return remade(slot), nil
	}
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Lost == "" {
			a.renamed(t)
			continue
		}
		if err := s.publish(ctx, conn, fmt.Sprintf("ALTER PUBLICATION %s DROP TABLE %s", cdc.QuoteIdent(s.options.Publication), names([]cdc.Table{t.Name}))); err != nil {
			return nil, err
		}
		if _, ok := a.known[t.OID]; !ok {
			continue // nobody maps it any more
		}
		delete(a.known, t.OID)
		if err := a.capture.stopTable(ctx, a.stream.router.now[t.OID], fmt.Sprintf("%s any more, so it was taken out of the publication before the server refuses the application's updates of it", t.Lost)); err != nil {
			return nil, err
		}
	}
	if loss, err = a.lacking(ctx, conn, &p); loss != nil || err != nil {
		return loss, err
	}
	return nil, a.watchLeaves(ctx, conn)
}

// lacking looks for captured tables that are not published as they were. Where losses
// are healed they come back at once, but for those that do not exist any more.
func (a *attendant) lacking(ctx context.Context, conn *pgx.Conn, p *Publication) (loss, err error) {
	heals := a.capture.source.options.AfterLoss == HealAfterLoss
	lost := &Loss{Reason: LossPublicationChanged}
	for oid, name := range a.known {
		why := p.lack(oid, a.stream.router.members[oid], name)
		if why == "" {
			continue
		}
		if heals {
			names, err := namesOf(ctx, conn, []uint32{oid})
			if err != nil {
				return nil, err
			}
			if _, exists := names[oid]; exists {
				lost.add(a.stream.router.now[oid], why)
				continue
			}
		}
		delete(a.known, oid)
		if err := a.capture.stopTable(ctx, a.stream.router.now[oid], why); err != nil {
			return nil, err
		}
	}
	if len(lost.Tables) > 0 {
		return lost, nil
	}
	return nil, nil
}

// recover looks for tables that were stopped and can be captured again by now.
func (a *attendant) recover(ctx context.Context, conn *pgx.Conn) (loss, err error) {
	s := a.capture.source
	stopped := s.stoppedTables()
	if len(stopped) == 0 || s.options.AfterLoss != HealAfterLoss {
		return nil, nil
	}
	wrong, err := s.wrongWith(ctx, conn, stopped)
	if err != nil {
		return nil, err
	}
	p, err := s.readPublication(ctx, conn)
	if err != nil {
		return nil, err
	}
	lost := &Loss{Reason: LossTableStopped}
	for _, t := range stopped {
		if s.isWithheld(t) && !p.hasTable(t) {
			continue
		}
		if wrong[t] == nil {
			lost.add(t, fmt.Sprintf("rows of table %s were not captured while it was stopped", t))
		}
	}
	if len(lost.Tables) > 0 {
		return lost, nil
	}
	return nil, nil
}

// renamed notes a table's name, and says when it has another.
func (a *attendant) renamed(t *PublishedTable) {
	was, ok := a.known[t.OID]
	if ok && was != t.Name {
		a.known[t.OID] = t.Name
		a.capture.source.tellRenamed(was, t.Name)
	}
}

// measure looks how much WAL the slot keeps the server from removing.
func (a *attendant) measure(ctx context.Context, conn *pgx.Conn) error {
	var f Facts
	if err := a.capture.source.readSlot(ctx, conn, &f); err != nil {
		return err
	}
	a.capture.stats.retained.Store(f.Retained)
	budget := a.capture.source.options.WALBudget
	level := f.Pressure(budget)
	if level > a.level {
		log := a.capture.source.logger.Warn
		if level == 2 {
			log = a.capture.source.logger.Error
		}
		log("the slot keeps much WAL on the server", "slot", a.capture.source.options.Slot, "retained_bytes", f.Retained,
			"budget_bytes", budget, "wal_status", f.WALStatus, "safe_bytes", f.Safe, "hint", "look why the log does not take it: walbridge status")
	}
	a.level = level
	return nil
}

// Pressure tells how the WAL that the slot keeps stands to what is allowed for, in
// bytes: 0 below half of it, 1 from there on, 2 from all of it on, or when the server
// itself is about to give the slot up. A budget of zero is no budget.
func (f *Facts) Pressure(budget int64) int {
	switch {
	case f.WALStatus == "unreserved", f.WALStatus == "lost", budget > 0 && f.Retained >= budget:
		return 2
	case budget > 0 && f.Retained >= budget/2:
		return 1
	}
	return 0
}

// stopTable stops the capture of one table: loudly, and for good until somebody
// mends it, because rows of it are missing from the log from now on.
func (c *Capture) stopTable(ctx context.Context, t cdc.Table, why string) error {
	if err := c.log.SetStopped(ctx, t, why); err != nil {
		return err
	}
	c.source.stop(t)
	c.lose(LossTableStopped)
	c.source.logger.Error("data_loss", "reason", LossTableStopped, "table", t.String(), "what", why)
	return nil
}
