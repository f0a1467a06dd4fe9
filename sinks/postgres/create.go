package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/sinks"
)

// statements are those that make what a table lacks, in the order to run them; none if it lacks
// nothing that is known.
func (t *table) statements(want Table, found bool) (out []string) {
	if !found {
		if len(want.Columns) == 0 {
			return nil // nobody said what it is like
		}
		var columns []string
		for _, c := range want.Columns {
			def := quote(c.Name) + " " + c.Type
			if c.Name == want.Key {
				def += " PRIMARY KEY"
			}
			columns = append(columns, def)
		}
		columns = append(columns, quote(t.position)+" "+positionType)
		return []string{fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS %s", quote(t.schema)),
			fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s)", t.quoted(), strings.Join(columns, ", "))}
	}
	for _, c := range append(append([]Column{}, want.Columns...), Column{t.position, positionType}) {
		if t.column(c.Name) == nil {
			out = append(out, fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s", t.quoted(), quote(c.Name), c.Type))
		}
	}
	return out
}

// makingLock is the advisory lock under which tables are made, so that two processes do not make
// the same one.
const makingLock = 0x77616c62 // walb

// create makes what a table lacks, and tells whether it did. A schema that is there is left
// alone: to ask for it needs rights that to write to it does not.
func (t *Target) create(ctx context.Context, c *pgx.Conn, object string, tab *table) (bool, error) {
	list := tab.statements(t.expected(object), len(tab.columns) > 0)
	if len(list) == 0 {
		return false, nil
	}
	var there bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", pgx.QueryExecModeExec, tab.schema).Scan(&there); err != nil {
		return false, t.failed(err, false)
	}
	if there && len(tab.columns) == 0 {
		list = list[1:]
	}
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", pgx.QueryExecModeExec, int64(makingLock)); err != nil {
			return err
		}
		for _, sql := range list {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, t.failed(err, false) // no record was sent yet
	}
	return true, nil
}

// Mend gives the statements that make what an object's table lacks of its Options.Tables: the held
// schema is what Describe gave of it, nil if there is no such table.
func Mend(o Options, object string, held *sinks.Schema) []string {
	o.defaults()
	tab := &table{position: o.Position}
	tab.schema, tab.name = o.name(object)
	if held == nil {
		return tab.statements(o.Tables[object], false)
	}
	tab.columns = append(tab.columns, column{Name: o.Position}) // Describe has looked for it
	for _, f := range held.Fields {
		tab.columns = append(tab.columns, column{Name: f.Name})
	}
	return tab.statements(o.Tables[object], true)
}
