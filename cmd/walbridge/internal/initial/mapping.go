package initial

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/mapping/format"
	"github.com/walbridge/walbridge/mapping/schema"
)

// large is from how many bytes on a value is called a large one.
const large = 2000

// mappingFile writes the mapping file of a table.
func mappingFile(path, name, to string, t *Table) ([]byte, error) {
	key, err := t.keyExpression()
	if err != nil {
		return nil, err
	}
	w := &mappingWriter{table: t, columns: exprColumns(t.sent()), taken: map[string]bool{}}
	keyField := w.keyField()
	w.add("# yaml-language-server: $schema=../%s\n", schema.File)
	target, _, _ := strings.Cut(to, "/")
	w.add("# Rows of %s become records of %s.", oneLine(t.Name.String()), target)
	w.add("# Left of each colon stands a field of the target, as it calls it; right of it an expression")
	w.add("# over the columns of the table, such as trim(name). Take out what is not to be sent.")
	w.add("name: %s\nfrom: %s", format.Scalar(name), format.Scalar(t.Name.String()))
	w.when()
	w.add("to: %s", format.Scalar(to))
	w.add("# What identifies the record at the target.\nkey: {%s: %s}\nfields:", format.Scalar(keyField), format.Scalar(key))
	w.fields(keyField)
	w.add("\n# What a deleted row becomes: delete, archive, ignore, or {set: {Field: a constant}}.\ndelete: delete")
	w.add("# How urgent it is: urgent, normal or bulk.\n# lane: urgent")
	w.add("# A new mapping sends the rows that are there first; with now, only what changes from then on.\n# start: now")
	w.add("# How long changes of a row are gathered before its record is sent.\n# coalesce: {quiet: 200ms, max_delay: 2s, max_batch: 200}")
	w.tests()
	text, err := format.Source(path, []byte(w.b.String()))
	if err != nil {
		return nil, fmt.Errorf("write the mapping of %s: %w", t.Name, err)
	}
	return text, t.compiles(path, text)
}

// compiles holds a mapping file against its table, as a bridge would.
func (t *Table) compiles(path string, text []byte) error {
	f, err := mapping.Parse(path, text)
	if err == nil {
		_, err = mapping.Compile(f, &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{t.Name: t.sent()}})
	}
	if err != nil {
		return fmt.Errorf("write a mapping of %s that is right: %w", t.Name, err)
	}
	return nil
}

type mappingWriter struct {
	b       strings.Builder
	table   *Table
	columns []expr.Column
	taken   map[string]bool // names of fields
}

func (w *mappingWriter) add(text string, args ...any) { fmt.Fprintf(&w.b, text+"\n", args...) }

// keyField names the field of the key: as its column, which is no field then. A key of
// several columns has a name of its own, and so has one beside which there is nothing to
// send but its column.
func (w *mappingWriter) keyField() string {
	columns := w.table.Columns
	more := slices.ContainsFunc(columns, func(c Column) bool { return !c.Key && w.reason(c) == "" })
	if key := w.table.Key(); len(key) == 1 && more && strings.TrimSpace(key[0]) != "" {
		return key[0]
	}
	name := "external_id"
	for n := 2; slices.ContainsFunc(columns, func(c Column) bool { return c.Name == name }); n++ {
		name = fmt.Sprintf("external_id_%d", n)
	}
	return name
}

// when shows how rows are left out.
func (w *mappingWriter) when() {
	for _, c := range w.table.Columns {
		e, _ := columnExpression(c.Name, w.columns)
		if w.sends(c) && !c.Key && expr.TypeOf(c.Type) != expr.JSON {
			w.add("# Only rows for which this holds are sent, such as:\n# when: %s", format.Scalar(e+" != nil"))
			return
		}
	}
}

// fields writes a line for each column but those of the key, which are fields of their own
// if the key is made of several, or is all there is.
func (w *mappingWriter) fields(keyField string) {
	for i, c := range w.table.Columns {
		if c.Key && c.Name == keyField {
			continue
		}
		name := c.Name
		if strings.TrimSpace(name) == "" {
			name = fmt.Sprintf("column_%d", i+1)
		}
		for w.taken[name] || name == keyField {
			name += "_"
		}
		w.taken[name] = true
		e, _ := columnExpression(c.Name, w.columns)
		if reason := w.reason(c); reason != "" {
			if e = oneLine(format.Scalar(e)); !w.sends(c) {
				e = "…"
			}
			w.add("  # %s: %s  # %s: %s", oneLine(format.Scalar(name)), e, oneLine(c.Type), reason)
			continue
		}
		about := oneLine(c.Type)
		if c.NotNull {
			about += ", not null"
		}
		if c.Comment != "" {
			about += "; " + oneLine(c.Comment)
		}
		w.add("  %s: %s # %s", format.Scalar(name), format.Scalar(e), about)
	}
}

// sends tells whether an expression can name the column.
func (w *mappingWriter) sends(c Column) bool {
	_, ok := columnExpression(c.Name, w.columns)
	return ok && !c.Generated
}

// reason says why a column is better not sent; empty if it is.
func (w *mappingWriter) reason(c Column) string {
	switch {
	case c.Generated:
		return "generated, and PostgreSQL does not send such columns: compute it here"
	case !w.sends(c):
		return "its name cannot be written in an expression: rename it"
	case c.Key:
		return ""
	case strings.HasPrefix(c.Type, "bytea"):
		return "bytes, which would be sent as hex text"
	case c.Most >= large:
		return fmt.Sprintf("large, up to %s in the rows that were looked at: every record would carry it", sizeText(c.Most))
	}
	return ""
}

func sizeText(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}

// tests shows how a test looks.
func (w *mappingWriter) tests() {
	var row []string
	for _, c := range w.table.Columns {
		if c.Key {
			row = append(row, format.Scalar(c.Name)+": "+sample(c.Type))
		}
	}
	w.add("# Tests are run by walbridge test, which writes with --update what is expected.")
	w.add("# tests:\n#   - name: a new row\n#     given: {after: {%s}}", oneLine(strings.Join(row, ", ")))
}

// sample gives a value of a type.
func sample(pg string) string {
	switch expr.TypeOf(pg) {
	case expr.Int:
		return "1"
	case expr.Decimal:
		return "1.5"
	case expr.Bool:
		return "true"
	case expr.JSON:
		return "[]"
	}
	return "a"
}

// objectOf names the object as the table.
func objectOf(t cdc.Table) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return '_'
		}
		return r
	}, t.Name)
}

// freeObject gives an object that no other table has: rows of two tables with the same key
// would be one record.
func freeObject(t cdc.Table, taken map[string]bool) string {
	name := objectOf(t)
	if taken[name] {
		name = objectOf(cdc.Table{Name: t.Schema + "_" + t.Name})
	}
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s_%d", objectOf(t), n)
	}
	taken[name] = true
	return name
}

// oneLine makes a text one that a comment can have, and not a long one.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r == 0x2028 || r == 0x2029 || r == 0xFEFF {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	const most = 120
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
