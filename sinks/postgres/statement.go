package postgres

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// part is a statement with the records that it writes.
type part struct {
	sql string
	// rows have the texts of the columns, and at where each row's record is in the batch.
	rows [][][]byte
	at   []int
	// deletes tells that it deletes them.
	deletes bool
}

// params are those of the statement: a list of texts for each column.
func (p *part) params() (values [][]byte, oids []uint32, formats []int16) {
	for n := range p.rows[0] {
		values = append(values, arrayParam(p.rows, n))
		oids = append(oids, textArrayOID)
		formats = append(formats, 1)
	}
	return values, oids, formats
}

// pieces is in how many parts a statement is sent again that was refused for one of its rows:
// 1000 rows are 63, 4 and then 1.
const pieces = 16

// split makes smaller parts.
func (p *part) split() (out []*part) {
	size := (len(p.rows) + pieces - 1) / pieces
	for i := 0; i < len(p.rows); i += size {
		end := min(i+size, len(p.rows))
		out = append(out, &part{sql: p.sql, rows: p.rows[i:end], at: p.at[i:end], deletes: p.deletes})
	}
	return out
}

// sort puts the rows in the order of their keys, so that two statements at once do not wait for
// each other.
func (p *part) sort() {
	order := make([]int, len(p.rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(bytes.Compare(p.rows[a][0], p.rows[b][0]), cmp.Compare(a, b))
	})
	rows, at := make([][][]byte, len(order)), make([]int, len(order))
	for i, from := range order {
		rows[i], at[i] = p.rows[from], p.at[from]
	}
	p.rows, p.at = rows, at
}

// parts makes the statements of a batch. What cannot be written is refused in the results; the
// error is about all records.
func (t *table) parts(records []sinks.Record, results []sinks.Result) ([]*part, error) {
	var out []*part
	byShape := make(map[string]*part)
	var columns []*column
	for i := range records {
		r := &records[i]
		if r.Op != sinks.Upsert && r.Op != sinks.Delete {
			results[i].Err = &sinks.Rejected{Err: fmt.Errorf("a row cannot be %sd", r.Op), Code: sinks.CodeNoDelete}
			continue
		}
		shape := shapeOf(r)
		p := byShape[shape]
		if p == nil {
			names := fieldNames(r)
			if err := t.unfit(r.Key.Name, names); err != nil {
				return nil, err
			}
			p = &part{sql: t.statement(r.Op, r.Key.Name, names), deletes: r.Op == sinks.Delete}
			byShape[shape] = p
			out = append(out, p)
		}
		columns = t.columnsOf(r, columns[:0])
		row, err := rowOf(r, columns)
		if err != nil {
			results[i].Err = &sinks.Rejected{Err: fmt.Errorf("write the record: %w", err), Code: "encode"}
			continue
		}
		p.rows, p.at = append(p.rows, row), append(p.at, i)
	}
	out = slices.DeleteFunc(out, func(p *part) bool { return len(p.rows) == 0 })
	for _, p := range out {
		p.sort()
	}
	return out, nil
}

// shapeOf is what records have in common that go into one statement.
func shapeOf(r *sinks.Record) string {
	var b strings.Builder
	b.WriteString(r.Op.String())
	b.WriteByte(0)
	b.WriteString(r.Key.Name)
	if r.Op == sinks.Upsert {
		for i := range r.Fields {
			b.WriteByte(0)
			b.WriteString(r.Fields[i].Name)
		}
	}
	return b.String()
}

// fieldNames are those of the columns that a record writes beside its key.
func fieldNames(r *sinks.Record) (names []string) {
	if r.Op != sinks.Upsert {
		return nil
	}
	for i := range r.Fields {
		if r.Fields[i].Name != r.Key.Name {
			names = append(names, r.Fields[i].Name)
		}
	}
	return names
}

// columnsOf are the columns of a record's texts: the key and the fields.
func (t *table) columnsOf(r *sinks.Record, columns []*column) []*column {
	columns = append(columns, t.column(r.Key.Name))
	for _, name := range fieldNames(r) {
		columns = append(columns, t.column(name))
	}
	return columns
}

func rowOf(r *sinks.Record, columns []*column) ([][]byte, error) {
	row := make([][]byte, 0, len(columns)+1)
	key, err := textOf(r.Key.Value, columns[0])
	if err != nil {
		return nil, err
	}
	row = append(row, key)
	for i := 0; r.Op == sinks.Upsert && i < len(r.Fields); i++ {
		if r.Fields[i].Name == r.Key.Name {
			continue
		}
		v, err := textOf(r.Fields[i].Value, columns[len(row)])
		if err != nil {
			return nil, err
		}
		row = append(row, v)
	}
	return append(row, positionText(r.Position)), nil
}

// statement writes the upsert or delete of rows that unnest makes of its parameters: the key, the
// fields and the Position.
func (t *table) statement(op sinks.Op, key string, fields []string) string {
	k, pos := quote(key), quote(t.position)
	names := append([]string{key}, fields...)
	var from, cols, casts []string
	for i, name := range names {
		cols = append(cols, quote(name))
		casts = append(casts, fmt.Sprintf("x.c%d::%s", i, t.column(name).Type))
		from = append(from, fmt.Sprintf("$%d::text[]", i+1))
	}
	n := len(names)
	from = append(from, fmt.Sprintf("$%d::text[]", n+1))
	var alias []string
	for i := range from {
		alias = append(alias, fmt.Sprintf("c%d", i))
	}
	rows := fmt.Sprintf("unnest(%s) AS x(%s)", strings.Join(from, ", "), strings.Join(alias, ", "))
	if op == sinks.Delete {
		return fmt.Sprintf("DELETE FROM %s AS t USING %s WHERE t.%s = x.c0::%s AND (t.%s IS NULL OR t.%s <= x.c1::numeric)",
			t.quoted(), rows, k, t.column(key).Type, pos, pos)
	}
	cols, casts = append(cols, pos), append(casts, fmt.Sprintf("x.c%d::numeric", n))
	set := func(of string) string {
		var sets []string
		for _, c := range cols[1:] {
			sets = append(sets, fmt.Sprintf("%s = %s.%s", c, of, c))
		}
		return strings.Join(sets, ", ")
	}
	values := fmt.Sprintf("SELECT %s FROM %s", strings.Join(casts, ", "), rows)
	conflict := fmt.Sprintf("ON CONFLICT (%s) DO UPDATE SET %s WHERE t.%s IS NULL OR t.%s <= excluded.%s", k, set("excluded"), pos, pos, pos)
	insert := fmt.Sprintf("INSERT INTO %s AS t (%s)", t.quoted(), strings.Join(cols, ", "))
	if !t.lacks(names) {
		return fmt.Sprintf("%s %s %s", insert, values, conflict)
	}
	// A row to insert is refused for want of a value before it is found that there is one to
	// update, so the update comes first.
	return fmt.Sprintf(`WITH v(%s) AS (%s), u AS (UPDATE %s AS t SET %s FROM v WHERE t.%s = v.%s AND (t.%s IS NULL OR t.%s <= v.%s))
%s SELECT * FROM v WHERE NOT EXISTS (SELECT FROM %s AS o WHERE o.%s = v.%s) %s`,
		strings.Join(cols, ", "), values, t.quoted(), set("v"), k, k, pos, pos, pos, insert, t.quoted(), k, k, conflict)
}

// lacks tells whether columns without which there can be no row are not among some.
func (t *table) lacks(names []string) bool {
	return slices.ContainsFunc(t.columns, func(c column) bool {
		return c.NotNull && !c.Default && !c.ReadOnly && c.Name != t.position && !slices.Contains(names, c.Name)
	})
}
