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

// readKeys fills a chunk with the rows of some keys. One that has no row is a delete.
func (r *chunkReader) readKeys(ctx context.Context, c *chunk) error {
	s := r.shape
	var record, on, own []string
	for _, col := range s.columns {
		i := slices.IndexFunc(s.keys, func(k keyColumn) bool { return k.name == col.Name })
		if i < 0 {
			continue
		}
		k := s.keys[i]
		record = append(record, quote(k.name)+" "+k.full)
		on = append(on, fmt.Sprintf("t.%s %s r.%[1]s", quote(k.name), k.equal))
		own = append(own, "r."+quote(k.name))
	}
	query := fmt.Sprintf(`SELECT pg_current_snapshot()::text, t.tableoid IS NOT NULL, %s, %s
FROM unnest($1::text[]) AS k(key) CROSS JOIN LATERAL jsonb_to_record(k.key::jsonb) AS r(%s) LEFT JOIN %s AS t ON %s`,
		strings.Join(own, ", "), s.list("t"), strings.Join(record, ", "), s.source(), strings.Join(on, " AND "))
	list, err := r.conn.TypeMap().Encode(textArrayOID, pgx.TextFormatCode, c.part.keys, nil)
	if err != nil {
		return fmt.Errorf("encode keys: %w", err)
	}
	res := r.conn.PgConn().ExecParams(ctx, query, [][]byte{list}, nil, nil, nil)
	for res.NextRow() {
		v := res.Values()
		if c.snap.xmax == 0 {
			if c.snap, err = parseSnapshot(string(v[0])); err != nil {
				break
			}
		}
		e := &cdc.Entry{Op: cdc.OpDelete}
		if v[1][0] == 't' {
			e, err = r.rows.Encode(v[2+len(own):])
		} else {
			e.Key, err = r.rows.EncodeKey(v[2 : 2+len(own)])
		}
		if err != nil {
			break
		}
		c.rows.add(e)
	}
	_, cerr := res.Close()
	return errors.Join(err, cerr)
}

// CheckKeys tells which of some keys, JSON objects, the server does not take for one of the
// table's.
func CheckKeys(ctx context.Context, conn *pgx.Conn, t TableInfo, keys []string) error {
	var record, types []string
	for _, c := range t.Columns {
		if c.Key {
			record, types = append(record, quote(c.Name)+" "+c.Type), append(types, c.Name+" "+c.Type)
		}
	}
	taken := func(keys ...string) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("SELECT count(r) FROM unnest($1::text[]) AS k(key) CROSS JOIN LATERAL jsonb_to_record(k.key::jsonb) AS r(%s)",
			strings.Join(record, ", ")), keys)
		return err
	}
	unfit := func(err error) bool {
		var pe *pgconn.PgError
		return errors.As(err, &pe) && strings.HasPrefix(pe.Code, "22")
	}
	err := taken(keys...)
	for i := 0; unfit(err) && i < len(keys); i++ { // which it is the server does not say
		if one := taken(keys[i]); unfit(one) {
			return &cdc.SetupError{What: fmt.Sprintf("%s is no key of %s", keys[i], t.Table), Hint: "its columns are " + strings.Join(types, ", ")}
		}
	}
	if err != nil {
		return fmt.Errorf("check the keys: %w", withoutValues(err))
	}
	return nil
}

// textArrayOID is that of text[].
const textArrayOID = 1009
