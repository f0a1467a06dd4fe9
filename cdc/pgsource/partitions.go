package pgsource

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// leaves are the partitions with rows of partitioned tables, by the tables' OIDs. Each
// has a number that changes when its rows may have without the server sending it:
//
//   - that of its file, which TRUNCATE changes. So do VACUUM FULL, CLUSTER and an ALTER
//     that writes the rows anew, which cannot be told from it: the row counts of a
//     truncated partition are those of any other as soon as it was analyzed;
//   - the transactions that attached it and what it is a part of: one that was detached,
//     changed and attached again between two looks is the same table with the same file.
type leaves map[uint32]map[uint32]uint64

// leafQuery reads them.
const leafQuery = `
SELECT r.oid, c.oid, c.relfilenode::bigint << 32 | (SELECT sum(i.xmin::text::bigint)::bigint & x'FFFFFFFF'::bigint
  FROM pg_catalog.pg_partition_ancestors(c.oid) a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.relid)
FROM unnest($1::oid[]) AS r(oid)
CROSS JOIN LATERAL pg_catalog.pg_partition_tree(r.oid::regclass) t JOIN pg_catalog.pg_class c ON c.oid = t.relid
WHERE t.isleaf AND c.relkind = 'r' AND c.relispartition`

// leavesNote is the name under which the log keeps the leaves.
const leavesNote = "leaves"

// readLeaves reads those of tables. One that has none has an empty list.
func readLeaves(ctx context.Context, conn *pgx.Conn, tables []uint32) (leaves, error) {
	rows, err := conn.Query(ctx, leafQuery, tables)
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	now := leaves{}
	for _, t := range tables {
		now[t] = map[uint32]uint64{}
	}
	var root, leaf uint32
	var state int64
	if _, err := pgx.ForEachRow(rows, []any{&root, &leaf, &state}, func() error {
		now[root][leaf] = uint64(state)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	return now, nil
}

// noteLeaves notes the partitions of tables that are new to the log, before anything of
// them comes into it: what happens to them from then on is noticed, also if the first look
// is late.
func (c *Capture) noteLeaves(ctx context.Context, conn *pgx.Conn, tables []uint32) error {
	noted, err := c.notedLeaves(ctx)
	if err != nil {
		return err
	}
	tables = slices.DeleteFunc(tables, func(t uint32) bool { return noted[t] != nil })
	if len(tables) == 0 {
		return nil
	}
	now, err := readLeaves(ctx, conn, tables)
	if err != nil {
		return err
	}
	maps.Copy(noted, now)
	return c.setLeaves(ctx, noted)
}

func (c *Capture) setLeaves(ctx context.Context, l leaves) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode partitions: %w", err)
	}
	return c.log.SetNote(ctx, leavesNote, string(text))
}

// watchLeaves looks for what PostgreSQL does not publish of partitioned tables: a
// TRUNCATE, DETACH or DROP of a partition takes rows away, an ATTACH brings some.
func (a *attendant) watchLeaves(ctx context.Context, conn *pgx.Conn) error {
	now, err := readLeaves(ctx, conn, slices.Collect(maps.Keys(a.known)))
	if err != nil {
		return err
	}
	if a.leaves == nil {
		noted, err := a.capture.notedLeaves(ctx)
		if err != nil {
			return err // a.leaves stays unknown: the next look reads the note again
		}
		a.leaves = noted
	}
	if maps.EqualFunc(a.leaves, now, maps.Equal) {
		return nil
	}
	fills, err := a.fillsFor(ctx, conn, now)
	if err != nil {
		return err
	}
	if fills, err = a.without(ctx, fills); err != nil {
		return err
	}
	if err := a.capture.log.AddBackfills(ctx, fills); err != nil {
		return err
	}
	if err := a.capture.setLeaves(ctx, now); err != nil {
		return err
	}
	a.leaves = now
	return nil
}

func (c *Capture) notedLeaves(ctx context.Context) (leaves, error) {
	text, err := c.log.Note(ctx, leavesNote)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return leaves{}, nil
	}
	var out leaves
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("read partitions that the log knows: %w", err)
	}
	return out, nil
}

// fillsFor says what has to be read again, given the leaves of now.
func (a *attendant) fillsFor(ctx context.Context, conn *pgx.Conn, now leaves) ([]cdc.Backfill, error) {
	var out []cdc.Backfill
	for root, list := range now {
		old, known := a.leaves[root]
		if !known {
			continue // the whole of it is read, or is not wanted
		}
		table, ok := a.nameInLog(root)
		if !ok {
			continue
		}
		gone := 0
		for leaf, state := range old {
			if list[leaf] != state {
				gone++
			}
		}
		if gone > 0 {
			a.capture.source.logger.Warn("a partition was truncated, rewritten, detached or dropped, which PostgreSQL does not publish: the table is read again",
				"table", table.String(), "partitions", gone)
			out = append(out, cdc.Backfill{ID: cdc.NewBackfillID(), Table: table, Generation: true, Reason: "partition_gone", Created: time.Now().UTC()})
			continue
		}
		brought, err := withRows(ctx, conn, list, old)
		if err != nil {
			return nil, err
		}
		if len(brought) > 0 {
			a.capture.source.logger.Info("a partition with rows was attached, which PostgreSQL does not publish: it is read", "table", table.String(), "partitions", len(brought))
			out = append(out, cdc.Backfill{ID: cdc.NewBackfillID(), Table: table, Reason: "partition_attached", Created: time.Now().UTC(),
				Where: "tableoid IN (" + strings.Join(brought, ", ") + ")"})
		}
	}
	return out, nil
}

// withRows gives those of new leaves that have rows.
func withRows(ctx context.Context, conn *pgx.Conn, list, old map[uint32]uint64) (out []string, err error) {
	for leaf := range list {
		if _, known := old[leaf]; known {
			continue
		}
		var size int64
		if err := conn.QueryRow(ctx, "SELECT COALESCE(pg_relation_size($1::oid::regclass), 0)", leaf).Scan(&size); err != nil {
			return nil, fmt.Errorf("read size of partition: %w", err)
		}
		if size > 0 {
			out = append(out, fmt.Sprint(leaf))
		}
	}
	return out, nil
}

// nameInLog gives the log's name of a captured table.
func (a *attendant) nameInLog(oid uint32) (cdc.Table, bool) {
	for name, of := range a.stream.tables {
		if of == oid {
			return name, true
		}
	}
	return cdc.Table{}, false
}

// without leaves out generations of tables for which one waits that has not begun: it
// will read what is there by then.
func (a *attendant) without(ctx context.Context, fills []cdc.Backfill) ([]cdc.Backfill, error) {
	if len(fills) == 0 {
		return nil, nil
	}
	list, err := a.capture.log.Backfills(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(fills, func(f cdc.Backfill) bool {
		return f.Generation && slices.ContainsFunc(list, func(b cdc.BackfillStatus) bool {
			return b.Table == f.Table && b.Generation && len(b.For) == 0 && b.Progress.State == cdc.BackfillWaiting && b.Wish == cdc.WishRun
		})
	}), nil
}
