package pgsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
)

// Facts are what the server says of itself and of what is walbridge's in it.
type Facts struct {
	SystemID string
	Timeline int32
	// Version is as server_version_num has it.
	Version int
	// XID is a transaction id of about now.
	XID uint64
	// Now is where the server's WAL ends.
	Now cdc.LSN

	HasSlot bool
	// Making tells that a slot is being made still: it has no confirmed LSN yet.
	Making bool
	// Confirmed is the slot's confirmed LSN, Restart where it needs WAL from.
	Confirmed, Restart cdc.LSN
	// Active is the process that holds the slot, zero if none; Holder is what that
	// calls itself.
	Active int32
	Holder string
	// WALStatus is reserved, extended, unreserved or lost; Invalidation says why it
	// is lost, on servers that tell (17 and newer).
	WALStatus, Invalidation string
	// Retained are the bytes of WAL that the slot keeps the server from removing.
	Retained int64
	// Safe are the bytes that may still be written until the slot is lost; negative
	// if there is no limit.
	Safe int64
	// Failover tells that the slot is copied to standbys (17 and newer).
	Failover bool

	Publication Publication
}

// slotQuery reads the slot. Columns that older servers lack are taken from the
// row as JSON.
const slotQuery = `
SELECT s.plugin::text, s.database::text, COALESCE(s.confirmed_flush_lsn, '0/0')::text, COALESCE(s.restart_lsn, '0/0')::text,
       COALESCE(s.active_pid, 0), COALESCE(a.application_name, ''), COALESCE(s.wal_status, ''),
       COALESCE(to_jsonb(s) ->> 'invalidation_reason', ''), COALESCE(s.safe_wal_size, -1),
       COALESCE(pg_current_wal_lsn() - s.restart_lsn, 0)::bigint, COALESCE((to_jsonb(s) ->> 'failover')::bool, false)
FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
WHERE s.slot_name = $1`

// errStandbyServer is about a server where nothing can be written, so neither slot
// nor heartbeat: it may be the primary soon.
var errStandbyServer = errors.New("the server is a standby, in recovery: changes are captured from the primary")

// Facts reads them. A slot of that name that is not ours is a SetupError.
func (s *Source) Facts(ctx context.Context, conn *pgx.Conn) (f Facts, err error) {
	sys, err := s.identify(ctx)
	if err != nil {
		return f, err
	}
	f.SystemID, f.Timeline = sys.SystemID, sys.Timeline
	var now string
	var recovery bool
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_snapshot_xmax(pg_current_snapshot())::text::bigint, r,
CASE WHEN r THEN '0/0' ELSE pg_current_wal_lsn()::text END FROM pg_is_in_recovery() r`).
		Scan(&f.Version, &f.XID, &recovery, &now)
	if err != nil {
		return f, fmt.Errorf("read state of postgres: %w", err)
	}
	if recovery {
		return f, errStandbyServer
	}
	if f.Now, err = cdc.ParseLSN(now); err != nil {
		return f, err
	}
	if err := s.readSlot(ctx, conn, &f); err != nil {
		return f, err
	}
	f.Publication, err = s.readPublication(ctx, conn)
	return f, err
}

func (s *Source) readSlot(ctx context.Context, conn *pgx.Conn, f *Facts) error {
	var plugin, database *string
	var confirmed, restart string
	err := conn.QueryRow(ctx, slotQuery, s.options.Slot).Scan(&plugin, &database, &confirmed, &restart,
		&f.Active, &f.Holder, &f.WALStatus, &f.Invalidation, &f.Safe, &f.Retained, &f.Failover)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read slot: %w", err)
	}
	f.HasSlot = true
	if err := s.ownSlot(plugin, database); err != nil {
		return err
	}
	if f.Confirmed, err = cdc.ParseLSN(confirmed); err != nil {
		return err
	}
	f.Making = f.Confirmed == 0
	f.Restart, err = cdc.ParseLSN(restart)
	return err
}

// ownSlot tells whether a slot of that name, of which the server says so, can be ours.
func (s *Source) ownSlot(plugin, database *string) error {
	if plugin == nil || *plugin != "pgoutput" || database == nil || *database != s.config.Database {
		return &cdc.SetupError{What: fmt.Sprintf("slot %s is not a pgoutput slot of database %s", s.options.Slot, s.config.Database),
			Hint: "give the bridge a name of its own (name: in the configuration), or the slot by postgres.slot"}
	}
	return nil
}

// checkSlot is about the slot alone, also of a standby. One of another database may be
// held for ever by the bridge that has our name.
func (s *Source) checkSlot(ctx context.Context, conn *pgx.Conn) error {
	var plugin, database *string
	err := conn.QueryRow(ctx, "SELECT plugin::text, database::text FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", s.options.Slot).Scan(&plugin, &database)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read slot: %w", err)
	}
	return s.ownSlot(plugin, database)
}

// DropSlot drops the slot, and with it what was not captured yet. One that is in
// use is an error.
func (s *Source) DropSlot(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", s.options.Slot)
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == objectInUse {
		return &cdc.SetupError{What: "slot " + s.options.Slot + " is in use", Err: errors.New(pe.Message), Hint: "stop the process that reads it first"}
	}
	if err != nil {
		return fmt.Errorf("drop slot %s: %w", s.options.Slot, err)
	}
	return nil
}

// The server's error codes that mean something to us.
const (
	objectInUse     = "55006"
	duplicateObject = "42710"
	undefinedObject = "42704"
	tooManySlots    = "53400"
	forbidden       = "42501"
)

// failoverVersion is the first that copies slots to standbys.
const failoverVersion = 170000

// createSlot makes the slot: one that standbys get too, where the server can. It
// waits for the transactions that run now, and says which.
func (s *Source) createSlot(ctx context.Context) (from cdc.LSN, err error) {
	conn, err := s.connectReplication(ctx)
	if err != nil {
		return 0, err
	}
	defer closeConn(conn)
	waiting, stop := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.tellWaits(waiting, conn.PID())
	}()
	point, err := s.makeSlot(ctx, conn)
	stop()
	<-told
	if err != nil {
		if conn.IsClosed() { // by the end of ctx: the server is being asked to give up
			select {
			case <-conn.CleanupDone():
			case <-time.After(connectTimeout):
			}
		}
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == tooManySlots {
			return 0, &cdc.SetupError{What: "all replication slots of the server are in use", Hint: "raise max_replication_slots and restart the server, or drop slots that nobody reads: SELECT slot_name, active FROM pg_replication_slots"}
		}
		return 0, fmt.Errorf("create slot %s: %w", s.options.Slot, err)
	}
	s.logger.Info("slot made", "slot", s.options.Slot, "from", point)
	return cdc.ParseLSN(point)
}

// makeSlot gives the slot's consistent point.
func (s *Source) makeSlot(ctx context.Context, conn *pgconn.PgConn) (string, error) {
	name := cdc.QuoteIdent(s.options.Slot)
	if majorVersion(conn)*10000 < failoverVersion {
		r, err := pglogrepl.CreateReplicationSlot(ctx, conn, name, "pgoutput",
			pglogrepl.CreateReplicationSlotOptions{SnapshotAction: "NOEXPORT_SNAPSHOT"})
		return r.ConsistentPoint, err
	}
	// The library has no option for it.
	results, err := conn.Exec(ctx, fmt.Sprintf("CREATE_REPLICATION_SLOT %s LOGICAL pgoutput (SNAPSHOT 'nothing', FAILOVER)", name)).ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < 2 {
		return "", errors.New("the answer has no consistent point")
	}
	return string(results[0].Rows[0][1]), nil
}

// majorVersion reads the version that a server told when it was connected to.
func majorVersion(conn *pgconn.PgConn) (major int) {
	for _, c := range conn.ParameterStatus("server_version") {
		if c < '0' || c > '9' {
			break
		}
		major = major*10 + int(c-'0')
	}
	return major
}

// waitQuery finds the transactions that the making of a slot waits for: those with
// an id of their own, the oldest first.
const waitQuery = `
SELECT pid, COALESCE(application_name, ''), COALESCE(state, ''), now() - xact_start FROM pg_catalog.pg_stat_activity
WHERE backend_xid IS NOT NULL AND pid <> $1 AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1`

// tellEvery is how often it is said what the making of a slot waits for.
const tellEvery = 10 * time.Second

// tellWaits says what the making of the slot waits for, first after a moment.
func (s *Source) tellWaits(ctx context.Context, self uint32) {
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if err := s.tellWait(ctx, self); err != nil && ctx.Err() == nil {
			s.logger.Warn("the making of the slot waits, and it cannot be told for what", "slot", s.options.Slot, "error", err)
		}
		wait.Reset(tellEvery)
	}
}

func (s *Source) tellWait(ctx context.Context, self uint32) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	var pid int32
	var name, state string
	var age *time.Duration
	err = conn.QueryRow(ctx, waitQuery, int32(self)).Scan(&pid, &name, &state, &age)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it has ended, or is a prepared one
	}
	if err != nil {
		return err
	}
	since := "unknown"
	if age != nil {
		since = age.Round(time.Second).String()
	}
	s.logger.Warn("the making of the slot waits for a transaction to end", "slot", s.options.Slot,
		"pid", pid, "application", name, "state", state, "age", since)
	return nil
}
