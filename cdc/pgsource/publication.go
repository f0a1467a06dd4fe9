package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
)

// Publication is walbridge's publication as the server has it.
type Publication struct {
	Exists bool
	OID    uint32
	// Changed says what somebody set about it that keeps rows back; empty if nothing.
	Changed string
	// All tells that it publishes all tables, which cannot be altered.
	All    bool
	Tables []PublishedTable
}

// PublishedTable is a table of the publication.
type PublishedTable struct {
	OID uint32
	// Member is the OID of its membership: another one if it was taken out and put in
	// again.
	Member uint32
	Name   cdc.Table
	// Lost says why its rows cannot be told apart any more, so that the server may
	// refuse the application's updates; empty if they can.
	Lost string
}

func (p *Publication) table(oid uint32) *PublishedTable {
	i := slices.IndexFunc(p.Tables, func(t PublishedTable) bool { return t.OID == oid })
	if i < 0 {
		return nil
	}
	return &p.Tables[i]
}

// publicationQuery tells what of a publication keeps rows back.
const publicationQuery = `
SELECT oid, concat_ws(', ', CASE WHEN NOT (pubinsert AND pubupdate AND pubdelete AND pubtruncate) THEN 'it does not publish all kinds of changes' END,
  CASE WHEN NOT pubviaroot THEN 'it does not publish via partition roots' END,
  CASE WHEN puballtables THEN 'it publishes all tables' END), puballtables
FROM pg_catalog.pg_publication WHERE pubname = $1`

// lack says why rows of a captured table may be missing, as of its membership, which
// is zero where it was not noted; empty if none are.
func (p *Publication) lack(oid, member uint32, name cdc.Table) string {
	switch now := p.table(oid); {
	case now == nil:
		return fmt.Sprintf("table %s is not in the publication any more: it was dropped, or somebody took it out", name)
	case member != 0 && now.Member != member:
		return fmt.Sprintf("table %s was taken out of the publication and put in again: what changed in between is lost", name)
	}
	return ""
}

// loss says what of a slot's publication keeps rows back; nil if nothing.
func (p *Publication) loss(slot string) *Loss {
	switch {
	case !p.Exists:
		return &Loss{Reason: LossPublicationGone, What: fmt.Sprintf("the publication of slot %s was dropped; the WAL from before it is made again cannot be decoded", slot)}
	case p.Changed != "":
		return &Loss{Reason: LossPublicationChanged, What: fmt.Sprintf("the publication of slot %s was changed by somebody: %s", slot, p.Changed)}
	}
	return nil
}

// remade says that a publication is not the one of a slot any more, but has its name.
func remade(slot string) *Loss {
	return &Loss{Reason: LossPublicationGone, What: fmt.Sprintf("the publication of slot %s was dropped and made again: what changed in between is lost", slot)}
}

// Lacks says what of a routing the publication does not have, or not any more in
// the way it had: of these rows may be missing.
func (p *Publication) Lacks(slot string, r *cdc.Routing) (findings []string) {
	if r.Publication != 0 && r.Publication != p.OID {
		return []string{remade(slot).What}
	}
	for i := range r.Tables {
		t := &r.Tables[i]
		if what := p.lack(t.OID, t.Member, t.AtSource()); what != "" {
			findings = append(findings, what)
		}
	}
	return findings
}

// identityTrouble says, of a table c, why its rows cannot be told apart in the
// stream; null if they can. The server wants an identity of each leaf, and takes
// the columns of the old key from the leaf's, while it describes the root.
const identityTrouble = `
(SELECT format('%s has no usable replica identity', l.oid::regclass) FROM pg_catalog.pg_class l
  WHERE (l.oid = c.oid AND c.relkind = 'r' OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) WHERE isleaf))
    AND l.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = l.oid AND i.indimmediate AND i.indisvalid
      AND CASE l.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END) LIMIT 1),
(SELECT format('%s has no primary key or other usable replica identity', c.oid::regclass)
  WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid
    AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END)),
(SELECT format('%s has REPLICA IDENTITY FULL and generated columns, and PostgreSQL from 18 on refuses updates of such a table', l.oid::regclass)
  FROM pg_catalog.pg_class l WHERE (l.oid = c.oid OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)))
    AND current_setting('server_version_num')::int >= 180000 AND l.relreplident = 'f'
    AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = l.oid AND a.attgenerated <> '') LIMIT 1),
(SELECT format('column %I of the key of %s is generated, and PostgreSQL does not send it', a.attname, c.oid::regclass)
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])
  WHERE i.indrelid = c.oid AND a.attgenerated <> '' AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END LIMIT 1),
(SELECT format('the replica identity of partition %s lacks column %I of the key of %s', l.oid::regclass, a.attname, c.oid::regclass)
  FROM pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid
  JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])
  WHERE t.isleaf AND c.relkind = 'p' AND l.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index li
    JOIN pg_catalog.pg_attribute la ON la.attrelid = l.oid AND la.attnum = ANY (li.indkey::int2[])
    WHERE li.indrelid = l.oid AND la.attname = a.attname
      AND CASE l.relreplident WHEN 'i' THEN li.indisreplident ELSE li.indisprimary END) LIMIT 1)`

// publishedQuery lists the tables. Row filters and column lists are columns that
// only servers from 15 on have.
const publishedQuery = `
SELECT c.oid, r.oid, n.nspname, c.relname, COALESCE(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NOT NULL,
  COALESCE(` + identityTrouble + `, '')
FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.pubname = $1 ORDER BY n.nspname, c.relname`

func (s *Source) readPublication(ctx context.Context, conn *pgx.Conn) (p Publication, err error) {
	err = conn.QueryRow(ctx, publicationQuery, s.options.Publication).Scan(&p.OID, &p.Changed, &p.All)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read publication: %w", err)
	}
	p.Exists = true
	rows, err := conn.Query(ctx, publishedQuery, s.options.Publication)
	if err != nil {
		return p, fmt.Errorf("read publication: %w", err)
	}
	var t PublishedTable
	var part bool
	_, err = pgx.ForEachRow(rows, []any{&t.OID, &t.Member, &t.Name.Schema, &t.Name.Name, &part, &t.Lost}, func() error {
		p.Tables = append(p.Tables, t)
		if part && p.Changed == "" {
			p.Changed = fmt.Sprintf("it has a row filter or a column list for %s", t.Name)
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("read publication: %w", err)
	}
	return p, nil
}

// publicationPlan gives the statements after which the publication has what is mapped;
// none if it has.
func (s *Source) publicationPlan(p *Publication) (statements []string, err error) {
	name, want := cdc.QuoteIdent(s.options.Publication), s.tables()
	const options = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"
	switch {
	case p.All:
		return nil, &cdc.SetupError{What: fmt.Sprintf("publication %s was made for all tables, which cannot be altered", s.options.Publication),
			Hint: "run DROP PUBLICATION " + name + "; walbridge makes it again"}
	case !p.Exists:
		return []string{fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (%s)", name, names(want), options)}, nil
	case p.Changed != "":
		return []string{fmt.Sprintf("ALTER PUBLICATION %s SET (%s)", name, options),
			fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s", name, names(want))}, nil
	case !p.has(want):
		return []string{fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s", name, names(want))}, nil
	}
	return nil, nil
}

// setPublication makes the publication, or gives it the tables that are mapped. It
// is never dropped: it must be there at every LSN that the slot decodes.
func (s *Source) setPublication(ctx context.Context, conn *pgx.Conn) error {
	p, err := s.readPublication(ctx, conn)
	if err != nil {
		return err
	}
	statements, err := s.publicationPlan(&p)
	if err != nil || len(statements) == 0 {
		return err
	}
	for _, sql := range statements {
		if err := s.publish(ctx, conn, sql); err != nil {
			return err
		}
	}
	s.logger.Info("publication set up", "publication", s.options.Publication, "tables", len(s.tables()))
	return nil
}

// publish runs a statement about the publication.
func (s *Source) publish(ctx context.Context, conn *pgx.Conn, statement string) error {
	_, err := conn.Exec(ctx, statement)
	var pe *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pe) && pe.Code == forbidden:
		return s.mayNotPublish(statement, errors.New(pe.Message))
	case errors.As(err, &pe) && pe.Code == duplicateObject && strings.HasPrefix(statement, "CREATE"):
		return nil // another capture of this bridge was faster
	}
	return fmt.Errorf("set up publication %s: %w", s.options.Publication, err)
}

// mayNotPublish says who can run the statements that the role cannot.
func (s *Source) mayNotPublish(statements string, cause error) *cdc.SetupError {
	return &cdc.SetupError{What: fmt.Sprintf("role %s may not make or change publication %s", s.config.User, s.options.Publication),
		Err: cause, Hint: "run as the owner of the tables: " + statements}
}

// hasTable tells whether it has a table.
func (p *Publication) hasTable(t cdc.Table) bool {
	return slices.ContainsFunc(p.Tables, func(x PublishedTable) bool { return x.Name == t })
}

func (p *Publication) has(want []cdc.Table) bool {
	if len(p.Tables) != len(want) {
		return false
	}
	return !slices.ContainsFunc(p.Tables, func(t PublishedTable) bool { return !slices.Contains(want, t.Name) })
}
