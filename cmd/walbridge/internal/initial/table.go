package initial

import (
	"fmt"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/mapping/nearest"
)

// Table is a table of the database.
type Table struct {
	Name cdc.Table
	// Rows is an estimate; below zero if there is none.
	Rows int64
	// Root is the table that it is a partition of; zero if it is none.
	Root cdc.Table
	// Columns are all columns in their order.
	Columns []Column
	// Trouble says what keeps it from being captured, and Mend how that is mended; both
	// are empty if nothing does.
	Trouble, Mend string
}

// Column is a column of a table.
type Column struct {
	mapping.Column
	// Generated ones are computed by the server, which does not send them.
	Generated bool
	// Large tells that its values can be kept outside of the row; Most is the size in
	// bytes of the greatest that was seen, zero if none was.
	Large   bool
	Most    int
	Comment string
}

// sent are the columns that come with changes.
func (t *Table) sent() (out []mapping.Column) {
	for _, c := range t.Columns {
		if !c.Generated {
			out = append(out, c.Column)
		}
	}
	return out
}

// Key are the names of the columns that identify a row.
func (t *Table) Key() (names []string) {
	for _, c := range t.Columns {
		if c.Key {
			names = append(names, c.Name)
		}
	}
	return names
}

// LargeColumns are the names of the columns whose values are worth to be measured.
func (t *Table) LargeColumns() (names []string) {
	for _, c := range t.Columns {
		if c.Large && !c.Generated {
			names = append(names, c.Name)
		}
	}
	return names
}

// Refusal says why a table cannot be mapped and what to do; both are empty if it can.
func (t *Table) Refusal() (trouble, mend string) {
	if t.Trouble != "" {
		return t.Trouble, t.Mend
	}
	if t.Root != (cdc.Table{}) {
		return fmt.Sprintf("table %s is a partition", t.Name), fmt.Sprintf("choose %s, whose rows are those of all its partitions", t.Root)
	}
	if _, err := t.keyExpression(); err != nil {
		return fmt.Sprintf("the key of table %s cannot be that of a record: %s", t.Name, err),
			fmt.Sprintf("give it a unique index on NOT NULL columns of text or numbers, then ALTER TABLE %s REPLICA IDENTITY USING INDEX …;", t.Name.SQL())
	}
	return "", ""
}

// keyExpression makes one value of the columns of the key.
func (t *Table) keyExpression() (string, error) {
	columns := exprColumns(t.sent())
	var parts []string
	for _, name := range t.Key() {
		e, ok := columnExpression(name, columns)
		if !ok {
			return "", fmt.Errorf("column %q cannot be named in an expression", name)
		}
		parts = append(parts, e)
	}
	if len(parts) == 0 {
		return "", fmt.Errorf("it has none")
	}
	text := parts[0]
	if len(parts) > 1 {
		text = "string(" + strings.Join(parts, `) + "-" + string(`) + ")"
	}
	p, err := expr.NewScope(columns, nil).Compile(text, expr.Any)
	switch {
	case err != nil:
		return "", err
	case p.Type() == expr.JSON || p.Type().IsList():
		return "", fmt.Errorf("it is a json, jsonb or array column")
	}
	return text, nil
}

func exprColumns(columns []mapping.Column) (out []expr.Column) {
	for _, c := range columns {
		out = append(out, expr.Column{Name: c.Name, Type: c.Type})
	}
	return out
}

// columnExpression names a column in an expression: by itself, or with col where it would
// be something else; false if neither can.
func columnExpression(name string, columns []expr.Column) (string, bool) {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(name)
	for _, e := range []string{name, `col("` + escaped + `")`} {
		scope := expr.NewScope(columns, nil)
		if p, err := scope.Compile(e, expr.Any); err == nil && strings.TrimSpace(e) == e {
			if slot, ok := p.IsColumn(); ok && scope.Used()[slot] == name {
				return e, true
			}
		}
	}
	return "", false
}

// Choose gives the tables of these names, or all that can be mapped. A name that is none,
// and a table that cannot be mapped, is an error.
func Choose(tables []Table, names []string, all bool) (chosen []Table, err error) {
	for _, t := range tables {
		if trouble, _ := t.Refusal(); all && trouble == "" {
			chosen = append(chosen, t)
		}
	}
	for _, name := range names {
		want, err := cdc.ParseTable(name)
		if err != nil {
			return nil, fmt.Errorf("--table %s: not a table; write schema.table, such as public.deals", name)
		}
		i := slices.IndexFunc(tables, func(t Table) bool { return t.Name == want })
		if i < 0 {
			return nil, fmt.Errorf("--table %s: no such table; %s", name, nearest.Hint(want.String(), tableNames(tables), "walbridge init without --table lists them"))
		}
		if trouble, mend := tables[i].Refusal(); trouble != "" {
			return nil, fmt.Errorf("--table %s: %s; %s", name, trouble, mend)
		}
		if !slices.ContainsFunc(chosen, func(t Table) bool { return t.Name == want }) {
			chosen = append(chosen, tables[i])
		}
	}
	return chosen, nil
}

func tableNames(tables []Table) (names []string) {
	for _, t := range tables {
		names = append(names, t.Name.String())
	}
	return names
}
