package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
)

// Facts are what the server says of itself.
type Facts struct {
	// Confirmed is the slot's confirmed LSN; zero if there is no slot.
	Confirmed cdc.LSN
	HasSlot   bool
	// XID is a transaction id of about now.
	XID uint64
}

const oldestVersion = 140000

// Check finds what would keep the capture from working, before anything is made.
func (s *Source) Check(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var level string
	var may bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('wal_level'),
COALESCE((SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false)
OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(current_user, oid, 'member'))`).
		Scan(&version, &level, &may)
	if err != nil {
		return fmt.Errorf("read settings of postgres: %w", err)
	}
	if version < oldestVersion {
		return &cdc.SetupError{What: fmt.Sprintf("postgres at %s is version %d", s.where, version/10000), Hint: "walbridge needs 14 or newer"}
	}
	if level != "logical" {
		return &cdc.SetupError{What: fmt.Sprintf("postgres at %s has wal_level = %s", s.where, level),
			Hint: "run ALTER SYSTEM SET wal_level = logical; and restart the server (on a managed one, set it in its parameters: rds.logical_replication = 1, cloudsql.logical_decoding = on)"}
	}
	if !may {
		return &cdc.SetupError{What: fmt.Sprintf("role %s may not replicate", s.config.User),
			Hint: fmt.Sprintf("run ALTER ROLE %s REPLICATION as a superuser (on RDS: GRANT rds_replication TO %[1]s)", cdc.QuoteIdent(s.config.User))}
	}
	return s.checkTables(ctx, conn)
}

func (s *Source) checkTables(ctx context.Context, conn *pgx.Conn) error {
	all, err := Tables(ctx, conn)
	if err != nil {
		return err
	}
	var wrong []error
	for _, t := range s.tables() {
		i := slices.IndexFunc(all, func(i TableInfo) bool { return i.Table == t })
		switch {
		case i < 0:
			wrong = append(wrong, &cdc.SetupError{What: fmt.Sprintf("table %s does not exist in %s", t, s.where),
				Hint: "check the table's name and schema in the mapping file"})
		case !all[i].Logged:
			wrong = append(wrong, &cdc.SetupError{What: fmt.Sprintf("table %s is unlogged, so its changes are not in the WAL", t),
				Hint: fmt.Sprintf("run ALTER TABLE %s SET LOGGED", t)})
		case !all[i].Keyed():
			wrong = append(wrong, &cdc.SetupError{What: fmt.Sprintf("table %s has no primary key, so its rows cannot be told apart", t),
				Hint: fmt.Sprintf("run ALTER TABLE %s ADD PRIMARY KEY (…), or ALTER TABLE %[1]s REPLICA IDENTITY USING INDEX … with a unique index of NOT NULL columns", t)})
		}
	}
	return errors.Join(wrong...)
}

// tables lists the captured tables in a fixed order.
func (s *Source) tables() []cdc.Table {
	var out []cdc.Table
	for t := range s.options.Tables {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b cdc.Table) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// ensurePublication makes the publication, or changes its tables, never drops
// it: it must be there at every LSN that the slot decodes.
func (s *Source) ensurePublication(ctx context.Context, conn *pgx.Conn) error {
	name := cdc.QuoteIdent(s.options.Publication)
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1`, s.options.Publication)
	if err != nil {
		return fmt.Errorf("read publication: %w", err)
	}
	have, err := pgx.CollectRows(rows, pgx.RowToStructByPos[cdc.Table])
	if err != nil {
		return fmt.Errorf("read publication: %w", err)
	}
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1)`,
		s.options.Publication).Scan(&exists); err != nil {
		return fmt.Errorf("read publication: %w", err)
	}
	want := s.tables()
	var statement string
	switch {
	case !exists:
		statement = fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true)", name, names(want))
	case sameTables(have, want):
		return nil
	default:
		statement = fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s", name, names(want))
	}
	if _, err := conn.Exec(ctx, statement); err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == "42501" {
			return &cdc.SetupError{What: fmt.Sprintf("role %s may not make or change publication %s", s.config.User, s.options.Publication),
				Err: errors.New(pe.Message), Hint: "run as the owner of the tables: " + statement}
		}
		return fmt.Errorf("set up publication %s: %w", s.options.Publication, err)
	}
	s.logger.Info("publication set up", "publication", s.options.Publication, "tables", len(want))
	return nil
}

func sameTables(a, b []cdc.Table) bool {
	if len(a) != len(b) {
		return false
	}
	for _, t := range a {
		if !slices.Contains(b, t) {
			return false
		}
	}
	return true
}

// facts reads what the server says of itself and of the slot.
func (s *Source) facts(ctx context.Context, conn *pgx.Conn) (Facts, error) {
	var f Facts
	err := conn.QueryRow(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`).Scan(&f.XID)
	if err != nil {
		return f, fmt.Errorf("read transaction id: %w", err)
	}
	var confirmed, plugin, database, status *string
	err = conn.QueryRow(ctx, `SELECT confirmed_flush_lsn::text, plugin::text, database::text, wal_status FROM pg_catalog.pg_replication_slots
WHERE slot_name = $1`, s.options.Slot).Scan(&confirmed, &plugin, &database, &status)
	if errors.Is(err, pgx.ErrNoRows) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read slot: %w", err)
	}
	f.HasSlot = true
	if plugin == nil || *plugin != "pgoutput" || database == nil || *database != s.config.Database {
		return f, &cdc.SetupError{What: fmt.Sprintf("slot %s is not a pgoutput slot of database %s", s.options.Slot, s.config.Database),
			Hint: "set postgres.slot to another name"}
	}
	if status != nil && *status == "lost" {
		return f, &cdc.SetupError{What: fmt.Sprintf("data_loss: slot %s was invalidated by the server, which removed WAL that was not captured yet (max_slot_wal_keep_size)", s.options.Slot),
			Hint: fmt.Sprintf("SELECT pg_drop_replication_slot('%s'), give the bridge a new name and load the rows anew", s.options.Slot)}
	}
	if confirmed != nil {
		lsn, err := cdc.ParseLSN(*confirmed)
		if err != nil {
			return f, err
		}
		f.Confirmed = lsn
	}
	return f, nil
}

// createSlot makes the slot. It waits for the transactions that run now.
func (s *Source) createSlot(ctx context.Context) (cdc.LSN, error) {
	conn, err := s.connectReplication(ctx)
	if err != nil {
		return 0, err
	}
	defer closeConn(conn)
	s.logger.Info("making slot; this waits for running transactions to end", "slot", s.options.Slot)
	r, err := pglogrepl.CreateReplicationSlot(ctx, conn, cdc.QuoteIdent(s.options.Slot), "pgoutput",
		pglogrepl.CreateReplicationSlotOptions{SnapshotAction: "NOEXPORT_SNAPSHOT"})
	if err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == "53400" {
			return 0, &cdc.SetupError{What: "all replication slots of the server are in use", Hint: "raise max_replication_slots and restart the server, or drop slots that nobody reads: SELECT slot_name, active FROM pg_replication_slots"}
		}
		return 0, fmt.Errorf("create slot %s: %w", s.options.Slot, err)
	}
	lsn, err := cdc.ParseLSN(r.ConsistentPoint)
	if err != nil {
		return 0, fmt.Errorf("create slot %s: %w", s.options.Slot, err)
	}
	return lsn, nil
}
