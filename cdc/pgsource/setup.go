package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

const oldestVersion = 140000

// Check finds what would keep the capture from working, before anything is made.
func (s *Source) Check(ctx context.Context, conn *pgx.Conn) error {
	if err := s.checkServer(ctx, conn); err != nil {
		return err
	}
	wrong, err := s.checkTables(ctx, conn)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range s.tables() {
		if e := wrong[t]; e != nil {
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}

func (s *Source) checkServer(ctx context.Context, conn *pgx.Conn) error {
	aspects, err := s.serverAspects(ctx, conn)
	if err != nil {
		return err
	}
	for _, a := range aspects {
		if a.Trouble != nil {
			return a.Trouble
		}
	}
	return nil
}

// Aspect is something that was looked at.
type Aspect struct {
	// Good says that it is as it has to be, where there is no trouble.
	Good    string
	Trouble *cdc.SetupError
}

// serverAspects looks at what every capture needs of the server.
func (s *Source) serverAspects(ctx context.Context, conn *pgx.Conn) ([]Aspect, error) {
	var version int
	var level string
	var may bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('wal_level'),
COALESCE((SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false)
OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(current_user, oid, 'member'))`).
		Scan(&version, &level, &may)
	if err != nil {
		return nil, fmt.Errorf("read settings of postgres: %w", err)
	}
	out := []Aspect{
		{Good: fmt.Sprintf("version %d.%d at %s", version/10000, version%10000, s.where)},
		{Good: "wal_level is logical"},
		{Good: fmt.Sprintf("role %s may replicate", s.config.User)},
	}
	if version < oldestVersion {
		out[0].Trouble = &cdc.SetupError{What: fmt.Sprintf("postgres at %s is version %d", s.where, version/10000), Hint: "walbridge needs 14 or newer"}
	}
	if level != "logical" {
		out[1].Trouble = &cdc.SetupError{What: fmt.Sprintf("postgres at %s has wal_level = %s", s.where, level),
			Hint: "run ALTER SYSTEM SET wal_level = logical; and restart the server (on a managed one, set it in its parameters: rds.logical_replication = 1, cloudsql.logical_decoding = on)"}
	}
	if !may {
		out[2].Trouble = &cdc.SetupError{What: fmt.Sprintf("role %s may not replicate", s.config.User),
			Hint: fmt.Sprintf("run ALTER ROLE %s REPLICATION as a superuser (on RDS: GRANT rds_replication TO %[1]s)", cdc.QuoteIdent(s.config.User))}
	}
	return out, nil
}

// checkTables tells what is wrong with each captured table of which something is.
func (s *Source) checkTables(ctx context.Context, conn *pgx.Conn) (map[cdc.Table]*cdc.SetupError, error) {
	return s.wrongWith(ctx, conn, s.tables())
}

// wrongWith tells what keeps tables from being captured, of each of which something does.
func (s *Source) wrongWith(ctx context.Context, conn *pgx.Conn, tables []cdc.Table) (map[cdc.Table]*cdc.SetupError, error) {
	all, err := Tables(ctx, conn)
	if err != nil {
		return nil, err
	}
	troubles, err := identityTroubles(ctx, conn, tables)
	if err != nil {
		return nil, err
	}
	within, err := s.within(ctx, conn, tables)
	if err != nil {
		return nil, err
	}
	wrong := map[cdc.Table]*cdc.SetupError{}
	for _, t := range tables {
		i := slices.IndexFunc(all, func(i TableInfo) bool { return i.Table == t })
		switch {
		case i < 0:
			wrong[t] = &cdc.SetupError{What: fmt.Sprintf("table %s does not exist in %s", t, s.where),
				Hint: "check the table's name and schema in the mapping file"}
		case !all[i].Logged:
			wrong[t] = &cdc.SetupError{What: fmt.Sprintf("table %s is unlogged, so its changes are not in the WAL", t),
				Hint: fmt.Sprintf("run ALTER TABLE %s SET LOGGED", t)}
		case all[i].Identity == pgoutput.IdentityNothing:
			wrong[t] = &cdc.SetupError{What: fmt.Sprintf("table %s has REPLICA IDENTITY NOTHING, so its rows cannot be told apart", t),
				Hint: fmt.Sprintf("run ALTER TABLE %s REPLICA IDENTITY DEFAULT, and ALTER TABLE %[1]s ADD PRIMARY KEY (…) if it has none", t)}
		case !all[i].Keyed():
			wrong[t] = &cdc.SetupError{What: fmt.Sprintf("table %s has no primary key, so its rows cannot be told apart", t),
				Hint: fmt.Sprintf("run ALTER TABLE %s ADD PRIMARY KEY (…), not a deferrable one, or ALTER TABLE %[1]s REPLICA IDENTITY USING INDEX … with a unique index of NOT NULL columns", t)}
		case troubles[t] != "":
			wrong[t] = &cdc.SetupError{What: fmt.Sprintf("changes of table %s cannot be captured: %s", t, troubles[t]),
				Hint: "give the table and each partition a primary key that is not deferrable, or a REPLICA IDENTITY USING INDEX with the same columns"}
		case within[t] != cdc.Table{}:
			wrong[t] = &cdc.SetupError{What: fmt.Sprintf("table %s is a partition of %s, which is mapped too: PostgreSQL sends its changes as those of %[2]s only", t, within[t]),
				Hint: fmt.Sprintf("map %s in its place, with a when: that takes the rows of this partition", within[t])}
		}
	}
	return wrong, nil
}

// identityTroubles looks at tables with their partitions, and at no others: a database
// may have many thousands.
func identityTroubles(ctx context.Context, conn *pgx.Conn, tables []cdc.Table) (map[cdc.Table]string, error) {
	schemas, relations := apart(tables)
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname, COALESCE(`+identityTrouble+`, '') FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[]))`, schemas, relations)
	if err != nil {
		return nil, fmt.Errorf("read replica identities: %w", err)
	}
	out := map[cdc.Table]string{}
	var t cdc.Table
	var trouble string
	if _, err = pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &trouble}, func() error {
		out[t] = trouble
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read replica identities: %w", err)
	}
	return out, nil
}

// within tells of partitions which table above them is mapped as well. Their changes
// come under the name of the highest table of the publication.
func (s *Source) within(ctx context.Context, conn *pgx.Conn, tables []cdc.Table) (map[cdc.Table]cdc.Table, error) {
	schemas, relations := apart(tables)
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname, rn.nspname, r.relname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.pg_partition_ancestors(c.oid) a JOIN pg_catalog.pg_class r ON r.oid = a.relid
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.relispartition AND r.oid <> c.oid AND (n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[]))`, schemas, relations)
	if err != nil {
		return nil, fmt.Errorf("read the tables above partitions: %w", err)
	}
	out := map[cdc.Table]cdc.Table{}
	var t, above cdc.Table
	if _, err = pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &above.Schema, &above.Name}, func() error {
		if s.mapped(above) {
			out[t] = above
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the tables above partitions: %w", err)
	}
	return out, nil
}

// mapped tells whether mappings want a table, stopped or not.
func (s *Source) mapped(t cdc.Table) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.options.Tables[t]
	return ok
}

// tables lists the captured tables in a fixed order, without those that were
// stopped.
func (s *Source) tables() []cdc.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []cdc.Table
	for t := range s.options.Tables {
		if !s.stopped[t] {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b cdc.Table) int { return strings.Compare(a.String(), b.String()) })
	return out
}
