package pgsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// Survey is what a server has for a capture that does not run yet: all that would keep
// it from working, and what would harm it later.
type Survey struct {
	// User is the role that walbridge connects as.
	User string
	// SystemID names the server; empty where it does not tell.
	SystemID string
	// Needs are what a start checks, and what it would run into.
	Needs []Aspect
	// HasSlot tells that the slot is made, Active that somebody reads it.
	HasSlot, Active bool
	// Slots and Senders are in use, of as many as the server has.
	Slots, MaxSlots, Senders, MaxSenders int
	// MaxKeep is how much WAL a slot may keep; negative if there is no bound.
	MaxKeep int64
	// SenderTimeout is when the server gives up a connection that is silent; zero for never.
	SenderTimeout time.Duration
	Tables        map[cdc.Table]TableSurvey
}

// TableSurvey is what the server has of a captured table.
type TableSurvey struct {
	// Trouble keeps it from being captured; nil if nothing does.
	Trouble *cdc.SetupError
	// Enter and Read tell whether we may use its schema, and read it.
	Enter, Read bool
	// Filtered tells that row level security hides rows of it from us.
	Filtered bool
	// Apart are columns that an update may leave out when it does not change them.
	Apart []string
	// Large tells that the table has values that are stored apart.
	Large bool
	// Generated are columns that PostgreSQL computes, with what of.
	Generated map[string]string
	// Unique has the columns of each unique index over all rows, the primary key first.
	Unique [][]string
}

// serverQuery reads what a slot and its reader take of the server.
const serverQuery = `
SELECT (SELECT count(*) FROM pg_catalog.pg_replication_slots), current_setting('max_replication_slots')::int,
  (SELECT count(*) FROM pg_catalog.pg_stat_replication), current_setting('max_wal_senders')::int,
  (SELECT CASE WHEN setting::bigint < 0 THEN -1 ELSE setting::bigint << 20 END FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'),
  (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'), pg_is_in_recovery()`

// Survey looks at the server and at the tables that were set. It changes nothing.
func (s *Source) Survey(ctx context.Context) (*Survey, error) {
	conn, err := s.firstConnection(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	v := &Survey{User: s.config.User}
	if v.Needs, err = s.serverAspects(ctx, conn); err != nil {
		return nil, err
	}
	may := v.Needs[len(v.Needs)-1].Trouble == nil
	var timeout int64
	var standby bool
	if err := conn.QueryRow(ctx, serverQuery).Scan(&v.Slots, &v.MaxSlots, &v.Senders, &v.MaxSenders, &v.MaxKeep, &timeout, &standby); err != nil {
		return nil, fmt.Errorf("read settings of postgres: %w", err)
	}
	v.SenderTimeout = time.Duration(timeout) * time.Millisecond
	if standby {
		v.Needs = append(v.Needs, Aspect{Trouble: &cdc.SetupError{What: errStandbyServer.Error(), Hint: "write the address of the primary into postgres.url"}})
	}
	if may {
		var a Aspect
		a, v.SystemID = s.replicationAspect(ctx)
		v.Needs = append(v.Needs, a)
	}
	if v.Tables, err = s.surveyTables(ctx, conn); err != nil {
		return nil, err
	}
	if standby {
		return v, nil // it has no slot, and can be given nothing
	}
	slot, err := s.slotAspect(ctx, conn, v)
	if err != nil {
		return nil, err
	}
	publication, err := s.publicationAspect(ctx, conn)
	if err != nil {
		return nil, err
	}
	v.Needs = append(v.Needs, slot...)
	v.Needs = append(v.Needs, publication...)
	return v, nil
}

// replicationAspect makes the connection that the capture reads from: another line of
// pg_hba.conf may be about it, or a pooler in between that passes it not on.
func (s *Source) replicationAspect(ctx context.Context) (a Aspect, systemID string) {
	sys, err := s.identify(ctx)
	if err == nil {
		return Aspect{Good: "a replication connection can be made"}, sys.SystemID
	}
	var se *cdc.SetupError
	if errors.As(err, &se) {
		return Aspect{Trouble: se}, ""
	}
	return Aspect{Trouble: &cdc.SetupError{What: "a replication connection cannot be made", Err: err,
		Hint: "allow it to the role in pg_hba.conf, and connect to the server itself: a pooler does not pass replication on"}}, ""
}

// slotAspect looks at the slot; none if it is not made yet.
func (s *Source) slotAspect(ctx context.Context, conn *pgx.Conn, v *Survey) ([]Aspect, error) {
	var f Facts
	err := s.readSlot(ctx, conn, &f)
	v.HasSlot, v.Active = f.HasSlot, f.Active != 0
	var se *cdc.SetupError
	switch {
	case errors.As(err, &se):
		return []Aspect{{Trouble: se}}, nil
	case err != nil:
		return nil, err
	case f.HasSlot:
		return []Aspect{{Good: fmt.Sprintf("slot %s is made", s.options.Slot)}}, nil
	}
	return nil, nil
}

// publishQuery tells whether we may make a publication of tables, or change one that
// exists: for that it has to be ours, and the tables too.
const publishQuery = `
SELECT CASE WHEN p.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE') ELSE pg_has_role(p.pubowner, 'USAGE') END
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname, c.relname) IN (SELECT * FROM unnest($2::text[], $3::text[])) AND NOT pg_has_role(c.relowner, 'USAGE'))
FROM (SELECT) AS one LEFT JOIN pg_catalog.pg_publication p ON p.pubname = $1`

// publicationAspect looks whether the publication has what is mapped, or can be given it;
// nothing if nothing is mapped.
func (s *Source) publicationAspect(ctx context.Context, conn *pgx.Conn) ([]Aspect, error) {
	schemas, relations := apart(s.tables())
	if len(schemas) == 0 {
		return nil, nil
	}
	p, err := s.readPublication(ctx, conn)
	if err != nil {
		return nil, err
	}
	name := s.options.Publication
	statements, err := s.publicationPlan(&p)
	var se *cdc.SetupError
	switch {
	case errors.As(err, &se):
		return []Aspect{{Trouble: se}}, nil
	case err != nil:
		return nil, err
	case len(statements) == 0:
		return []Aspect{{Good: fmt.Sprintf("publication %s has all that is mapped", name)}}, nil
	}
	var may bool
	if err := conn.QueryRow(ctx, publishQuery, name, schemas, relations).Scan(&may); err != nil {
		return nil, fmt.Errorf("read rights to publish: %w", err)
	}
	switch {
	case !may:
		return []Aspect{{Trouble: s.mayNotPublish(strings.Join(statements, "; "), nil)}}, nil
	case p.Exists:
		return []Aspect{{Good: fmt.Sprintf("publication %s lacks something, and may be changed: the start does it", name)}}, nil
	}
	return []Aspect{{Good: fmt.Sprintf("publication %s may be made: the start does it", name)}}, nil
}

// apart gives schemas and names of tables as two lists.
func apart(tables []cdc.Table) (schemas, relations []string) {
	for _, t := range tables {
		schemas, relations = append(schemas, t.Schema), append(relations, t.Name)
	}
	return schemas, relations
}

// surveyQuery looks at tables. What of a partitioned one is stored apart depends on its
// partitions; the columns of its identity are always sent.
const surveyQuery = `
SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid),
  ARRAY(SELECT DISTINCT a.attname::text FROM pg_catalog.pg_class l JOIN pg_catalog.pg_attribute a ON a.attrelid = l.oid
    WHERE (l.oid = c.oid AND c.relkind = 'r' OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) WHERE isleaf))
      AND l.relreplident <> 'f' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attstorage IN ('x', 'e')
      AND NOT (a.atttypid IN ('bpchar'::regtype, 'varchar'::regtype) AND a.atttypmod BETWEEN 5 AND 9) -- too short ever to be moved
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = l.oid AND a.attnum = ANY (i.indkey::int2[])
        AND CASE l.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END) ORDER BY 1),
  EXISTS (SELECT FROM pg_catalog.pg_class l WHERE (l.oid = c.oid OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)))
    AND l.reltoastrelid <> 0 AND pg_catalog.pg_relation_size(l.reltoastrelid) > 0),
  COALESCE((SELECT jsonb_object_agg(a.attname, pg_get_expr(d.adbin, d.adrelid)) FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped), '{}'),
  COALESCE((SELECT jsonb_agg(u.columns ORDER BY u.first DESC, u.columns::text) FROM (SELECT i.indisreplident OR i.indisprimary AS first,
      (SELECT jsonb_agg(a.attname ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts) AS columns
    FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) u), '[]')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[]))`

func (s *Source) surveyTables(ctx context.Context, conn *pgx.Conn) (map[cdc.Table]TableSurvey, error) {
	wrong, err := s.checkTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	schemas, relations := apart(s.tables())
	rows, err := conn.Query(ctx, surveyQuery, schemas, relations)
	if err != nil {
		return nil, fmt.Errorf("read privileges of tables: %w", err)
	}
	defer rows.Close()
	out := map[cdc.Table]TableSurvey{}
	for rows.Next() {
		var t cdc.Table
		var v TableSurvey
		if err := rows.Scan(&t.Schema, &t.Name, &v.Enter, &v.Read, &v.Filtered, &v.Apart, &v.Large, &v.Generated, &v.Unique); err != nil {
			return nil, fmt.Errorf("read privileges of tables: %w", err)
		}
		v.Trouble = wrong[t]
		out[t] = v
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read privileges of tables: %w", err)
	}
	return out, nil
}
