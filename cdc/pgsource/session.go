package pgsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cdc"
)

// session is one replication connection, from its making to its end. Nothing is
// looked at, and nothing altered, before the slot is ours: until then another
// capture of the bridge may be at work.
func (c *Capture) session(ctx context.Context) error {
	repl, err := c.source.connectReplication(ctx)
	if err != nil {
		return err
	}
	defer closeConn(repl)
	started := c.start(ctx, repl)
	var refused *pgconn.PgError
	if started != nil && !errors.As(started, &refused) {
		return started
	}
	st, loss, err := c.open(ctx, repl)
	switch {
	case err != nil:
		return errors.Join(started, err)
	case loss != nil:
		closeConn(repl) // the slot may have to go
		return c.settle(ctx, loss)
	case started != nil:
		return started
	}
	c.unsettled = ""
	c.state(Streaming)
	defer c.state(Connecting)
	c.streamed = true
	c.source.logger.Info("capture started", "slot", c.source.options.Slot, "from", st.confirmed.String())
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return st.app.Run(gctx) })
	g.Go(func() error { return c.tellAtWork(gctx, st.systemID) })
	g.Go(func() error { return c.attend(gctx, st) })
	g.Go(func() error { return c.fill(gctx, st) })
	g.Go(func() error { return st.run(gctx) })
	err = g.Wait()
	var gone *Loss
	if errors.As(err, &refused) && refused.Code == undefinedObject {
		// Made anew after it was dropped, it is not there in the WAL from before
		// (pitfall 10).
		gone = &Loss{Reason: LossPublicationGone, What: "the publication is not there in the WAL that is to be decoded: " + refused.Message}
	}
	if (gone != nil || errors.As(err, &gone)) && ctx.Err() == nil {
		closeConn(repl)
		return c.settle(ctx, gone)
	}
	return err
}

// open holds the server against the log, sees to the publication and the routing,
// which may have been changed while the capture was away, and makes the stream.
func (c *Capture) open(ctx context.Context, repl *pgconn.PgConn) (*stream, *Loss, error) {
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer closeConn(conn)
	if err := c.follow(ctx, conn); err != nil {
		return nil, nil, err
	}
	if err := c.check(ctx, conn); err != nil {
		return nil, nil, err
	}
	before, err := ReadLog(ctx, c.log)
	if err != nil {
		return nil, nil, err
	}
	f, err := c.source.Facts(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	l, err := ReadLog(ctx, c.log)
	if err != nil {
		return nil, nil, err
	}
	if loss := Diagnose(c.source.options.Slot, f, before, l); loss != nil {
		return nil, loss, nil
	}
	if l.Epoch.SystemID == "" { // the log was made before the first session
		l.Epoch.SystemID, l.Epoch.Timeline = f.SystemID, f.Timeline
		if err := c.log.SetEpoch(ctx, l.Epoch); err != nil {
			return nil, nil, err
		}
	}
	if loss, err := c.checkTables(ctx, conn, &f); loss != nil || err != nil {
		return nil, loss, err
	}
	r, err := c.route(ctx, conn, l.Epoch.Base+f.Confirmed)
	if err != nil {
		return nil, nil, err
	}
	tables := r.tables()
	if err := c.noteLeaves(ctx, conn, slices.Collect(maps.Values(tables))); err != nil {
		return nil, nil, err
	}
	starts := newStarter(c, r)
	if err := starts.start(ctx, conn); err != nil {
		return nil, nil, err
	}
	app, err := c.log.NewAppender(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.names = r.now
	c.stats.confirmed.Store(uint64(f.Confirmed))
	return newStream(c, repl, app, streamStart{base: l.Epoch.Base, xid: f.XID, confirmed: f.Confirmed, systemID: f.SystemID, router: r, tables: tables, starter: starts}), nil, nil
}

// follow goes on with tables that were renamed since a session of this process began
// to capture them: their mappings still have the old names.
func (c *Capture) follow(ctx context.Context, conn *pgx.Conn) error {
	if len(c.names) == 0 {
		return nil
	}
	now, err := namesOf(ctx, conn, slices.Collect(maps.Keys(c.names)))
	if err == nil {
		c.source.rename(c.names, now)
	}
	return err
}

// check looks at the server and the tables. In a session that follows on another a
// table that cannot be captured any more, as it was dropped meanwhile, stops alone.
func (c *Capture) check(ctx context.Context, conn *pgx.Conn) error {
	if err := c.source.checkServer(ctx, conn); err != nil {
		return err
	}
	wrong, err := c.source.checkTables(ctx, conn)
	if err != nil {
		return err
	}
	for t, e := range wrong {
		if !c.streamed {
			return e
		}
		if err := c.stopTable(ctx, t, e.What); err != nil {
			return err
		}
	}
	return nil
}

// checkTables finds tables that the log knows as stopped, and such as somebody took
// out of the publication or replaced: of these rows may be missing.
func (c *Capture) checkTables(ctx context.Context, conn *pgx.Conn, f *Facts) (*Loss, error) {
	stopped, err := c.log.Stopped(ctx)
	if err != nil {
		return nil, err
	}
	for t := range stopped {
		if c.source.mapped(t) {
			continue
		}
		if err := c.log.SetStopped(ctx, t, ""); err != nil { // nobody misses it
			return nil, err
		}
	}
	wanted := c.source.tables() // without those that this process stopped
	lost := &Loss{Reason: LossTableStopped}
	for _, t := range wanted {
		if why := stopped[t]; why != "" {
			lost.add(t, fmt.Sprintf("table %s was stopped: %s", t, why))
		}
	}
	if len(lost.Tables) > 0 {
		return lost, nil
	}
	list, err := c.log.Routings(ctx)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	last := list[len(list)-1]
	if was := last.Publication; was != 0 && was != f.Publication.OID {
		return remade(c.source.options.Slot), nil
	}
	var oids []uint32
	for _, t := range last.Tables {
		oids = append(oids, t.OID)
	}
	names, err := namesOf(ctx, conn, oids)
	if err != nil {
		return nil, err
	}
	lost.Reason = LossPublicationChanged
	for i := range last.Tables {
		t := &last.Tables[i]
		if what := missed(t, names, wanted, &f.Publication); what != "" {
			name := t.AtSource()
			if now := names[t.OID]; slices.Contains(wanted, now) {
				name = now
			}
			lost.add(name, what)
		}
	}
	if len(lost.Tables) > 0 {
		return lost, nil
	}
	return nil, nil
}

// missed says why rows of a captured table may be missing; empty if none are. A table
// is known by its OID: one may have been given the name of another.
func missed(t *cdc.RoutedTable, names map[uint32]cdc.Table, wanted []cdc.Table, p *Publication) string {
	now, exists := names[t.OID]
	was := t.AtSource()
	switch {
	case exists && slices.Contains(wanted, now):
		return p.lack(t.OID, t.Member, now)
	case !slices.Contains(wanted, was):
		return ""
	case exists:
		return fmt.Sprintf("table %s is another one now: the one that was captured is called %s", was, now)
	}
	return fmt.Sprintf("table %s is not in the publication any more: it was dropped or replaced", was)
}

// namesOf reads what tables are called now; those that are gone are left out.
func namesOf(ctx context.Context, conn *pgx.Conn, oids []uint32) (map[uint32]cdc.Table, error) {
	rows, err := conn.Query(ctx, `SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`, oids)
	if err != nil {
		return nil, fmt.Errorf("read names of tables: %w", err)
	}
	out := map[uint32]cdc.Table{}
	var oid uint32
	var t cdc.Table
	if _, err := pgx.ForEachRow(rows, []any{&oid, &t.Schema, &t.Name}, func() error {
		out[oid] = t
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read names of tables: %w", err)
	}
	return out, nil
}

// route sees to the publication and the routing: what the configuration says now.
func (c *Capture) route(ctx context.Context, conn *pgx.Conn, confirmed cdc.LSN) (*router, error) {
	if err := c.source.setPublication(ctx, conn); err != nil {
		return nil, err
	}
	p, err := c.source.readPublication(ctx, conn)
	if err != nil {
		return nil, err
	}
	tables, err := Tables(ctx, conn)
	if err != nil {
		return nil, err
	}
	want := cdc.Routing{BulkAfter: uint64(c.source.options.BulkAfter), Publication: p.OID}
	for i := range tables {
		t := &tables[i]
		lanes, ok := c.source.options.Tables[t.Table]
		if member := p.table(t.OID); ok && member != nil {
			want.Tables = append(want.Tables, cdc.RoutedTable{OID: t.OID, Name: t.Table, Lane: lanes.Lane, Rules: lanes.Rules,
				Member: member.Member, Key: t.untold()})
		}
	}
	return newRouter(ctx, c.log, want, confirmed, c.source.options.CompileRules)
}

// start begins the stream where the server says the slot was confirmed. It waits
// for a slot that is held: by another capture of this bridge for as long as that
// lives, by anybody else for SlotWait, unless it was ours before.
func (c *Capture) start(ctx context.Context, repl *pgconn.PgConn) error {
	conn, err := c.source.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	deadline := time.Now().Add(c.source.options.SlotWait)
	told := int32(0)
	for {
		// Asked for first: to try for a slot that is held is an error in the
		// server's log each time.
		pid, holder, err := c.source.holder(ctx, conn)
		if err != nil {
			return err
		}
		if pid == 0 {
			if err = c.startReplication(ctx, repl); err == nil || !isCode(err, objectInUse) {
				return err
			}
		}
		if err := c.mayWait(pid, holder, deadline); err != nil {
			return err
		}
		if pid != told && pid != 0 {
			told = pid
			c.source.logger.Info("waiting for the slot", "slot", c.source.options.Slot, "held_by_pid", pid, "application", holder,
				"another_capture_of_this_bridge", holder == c.source.applicationName())
		}
		c.state(Standby)
		if err := cdc.Sleep(ctx, slotPoll); err != nil {
			return err
		}
	}
}

// mayWait tells whether a slot that is held may be waited for.
func (c *Capture) mayWait(pid int32, holder string, deadline time.Time) error {
	if pid == 0 || c.streamed || holder == c.source.applicationName() || time.Now().Before(deadline) {
		return nil
	}
	return &cdc.SetupError{What: fmt.Sprintf("slot %s is in use by another process, pid %d, which calls itself %q", c.source.options.Slot, pid, holder),
		Hint: fmt.Sprintf("stop that process (SELECT * FROM pg_stat_activity WHERE pid = %d), or set postgres.slot to a name of its own", pid)}
}

func (c *Capture) startReplication(ctx context.Context, repl *pgconn.PgConn) error {
	o := c.source.options
	err := pglogrepl.StartReplication(ctx, repl, cdc.QuoteIdent(o.Slot), 0, pglogrepl.StartReplicationOptions{
		Mode: pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "messages 'true'",
			"publication_names '" + cdc.QuoteIdent(o.Publication) + "'"},
	})
	if err != nil {
		return fmt.Errorf("start replication from slot %s: %w", o.Slot, err)
	}
	return nil
}

// isCode tells whether the server gave an error of a code.
func isCode(err error, code string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == code
}

// slotPoll is how often a slot that is held is asked for: there is no event.
const slotPoll = 300 * time.Millisecond

// holder tells which process holds the slot, and what it calls itself; zero if
// none does.
func (s *Source) holder(ctx context.Context, conn *pgx.Conn) (pid int32, name string, err error) {
	err = conn.QueryRow(ctx, `SELECT s.active_pid, COALESCE(a.application_name, '') FROM pg_catalog.pg_replication_slots s
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1 AND s.active_pid IS NOT NULL`,
		s.options.Slot).Scan(&pid, &name)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("read holder of slot: %w", err)
	}
	return pid, name, nil
}
