package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/sinks"
)

// ReadBack gives the rows with some keys. Values are what to_jsonb makes of them.
func (t *Target) ReadBack(ctx context.Context, object, key string, values []json.RawMessage, fields []string) ([]sinks.Held, error) {
	ctx, cancel := context.WithTimeout(ctx, t.o.Timeout)
	defer cancel()
	c, err := t.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	tab, err := t.load(ctx, c.Conn(), object)
	if err != nil {
		return nil, err
	}
	if err := tab.unfit(key, fields); err != nil {
		return nil, err
	}
	param := make([][][]byte, len(values))
	for i, v := range values {
		text, err := textOf(v, tab.column(key))
		if err != nil {
			return nil, &sinks.Rejected{Err: fmt.Errorf("read back: %w", err), Code: "encode"}
		}
		param[i] = [][]byte{text}
	}
	if len(param) == 0 {
		return nil, nil
	}
	names := append([]string{key}, fields...)
	r := c.Conn().PgConn().ExecParams(ctx, tab.selects(names), [][]byte{arrayParam(param, 0)}, []uint32{textArrayOID}, []int16{1}, nil)
	var out []sinks.Held
	for r.NextRow() {
		row := r.Values()
		h := sinks.Held{Key: held(row[0]), Fields: make(map[string]json.RawMessage, len(fields))}
		for i, name := range fields {
			h.Fields[name] = held(row[i+1])
		}
		out = append(out, h)
	}
	if _, err := r.Close(); err != nil {
		if err := t.failed(err, false); !one(err) {
			return nil, err
		}
		return nil, &sinks.Rejected{Err: errors.New("read back: a key does not fit its column"), Code: "key"}
	}
	return out, nil
}

// held copies a value, since the row's buffer is used again.
func held(v []byte) json.RawMessage {
	if v == nil {
		return json.RawMessage("null")
	}
	return append(json.RawMessage{}, v...)
}

func (t *table) selects(names []string) string {
	var columns []string
	for _, name := range names {
		columns = append(columns, fmt.Sprintf("to_jsonb(t.%s)::text", pgx.Identifier{name}.Sanitize()))
	}
	return fmt.Sprintf("SELECT %s FROM %s AS t WHERE t.%s IN (SELECT x::%s FROM unnest($1::text[]) AS x)",
		strings.Join(columns, ", "), t.quoted(), quote(names[0]), t.column(names[0]).Type)
}
