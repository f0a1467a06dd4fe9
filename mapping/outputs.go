package mapping

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Output is a field of the records that a mapping makes, as far as that is known without
// a row.
type Output struct {
	Name string
	// Key tells that it is the field that identifies a record.
	Key bool
	// Type is a word of expr.Type: boolean, integer, decimal, text, date, timestamptz,
	// timestamp, list, json, null; reference for the key of another record.
	Type string
	// Columns are those that it is made of.
	Columns []string
	// Constant is its JSON where it is always the same; else nil.
	Constant json.RawMessage
	// MaxLen is the most characters that a text has, where that is known; else zero.
	MaxLen int
	// NotNull tells that it is never null.
	NotNull bool
	Write   Write
	// SQLType is the database's own type, where it is a column that is passed on.
	SQLType string
	// Words are all texts that it can be, where it is one of a few that are written out.
	Words []string
	// Source is its expression as the file has it; empty for a constant.
	Source string
	// File, Line and Column are where it is in the file.
	File         string
	Line, Column int
}

// Outputs gives what the mapping's records are made of, the key first.
func (m *Mapping) Outputs() []Output { return m.outputs }

// Sets gives the constants that a record is given when its row is gone.
func (m *Mapping) Sets() []Output { return m.sets }

func (c *compiler) setOutputs(m *Mapping) (out []Output) {
	for i, s := range m.set {
		a := &c.f.Delete.Set[i]
		out = append(out, c.output(&field{name: s.name, constant: json.RawMessage(s.json), slot: -1}, a))
	}
	return out
}

// outputs describes a mapping's fields, which are those of its file.
func (c *compiler) outputs(m *Mapping) []Output {
	out := []Output{c.output(&m.key, &c.f.Key)}
	out[0].Key = true
	for i := range m.fields {
		out = append(out, c.output(&m.fields[i], &c.f.Fields[i]))
	}
	return out
}

func (c *compiler) output(f *field, a *Assign) Output {
	o := Output{Name: f.name, Write: f.write, Columns: c.columnsOf(f), Source: a.Source, File: a.doc.File, Line: a.key.Line, Column: a.key.Column}
	switch {
	case f.constant != nil:
		o.Constant = f.constant
		o.Type = constantType(f.constant)
	case f.ref != nil:
		o.Type, o.NotNull = "reference", f.program.NotNull()
		return o
	case f.program.IsConstant():
		v, err := f.program.Eval(c.scope.NewRow())
		if err == nil { // a constant was evaluated when it was compiled
			o.Constant = json.RawMessage(v.JSON())
		}
		o.Type = f.program.Type().Word()
	default:
		o.Type = f.program.Type().Word()
	}
	if o.Constant != nil {
		o.NotNull = string(o.Constant) != "null"
		var text string
		if json.Unmarshal(o.Constant, &text) == nil {
			o.MaxLen = len([]rune(text))
		}
		return o
	}
	o.NotNull = f.program.NotNull()
	if f.program.Type() == expr.Text {
		o.MaxLen, o.Words = f.program.MaxLen(), f.program.Words()
	}
	if columns, _ := c.cat.Columns(c.f.From); f.slot >= 0 {
		for _, col := range columns {
			if col.Name == o.Columns[0] {
				o.SQLType = col.Type
			}
		}
	}
	return o
}

func (c *compiler) columnsOf(f *field) []string {
	var out []string
	names := c.scope.Used()
	for _, slot := range f.inputs {
		out = append(out, names[slot])
	}
	return out
}

func constantType(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return expr.Text.Word()
	case 't', 'f':
		return expr.Bool.Word()
	case 'n':
		return expr.Nil.Word()
	}
	if _, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return expr.Int.Word()
	}
	return expr.Decimal.Word()
}

// Place is where a mistake about the mapping as a whole is told: its table, its target or
// its condition.
type Place struct {
	File         string
	Line, Column int
}

// String gives file:line:column, or only the file.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func placeOf(file string, n *yamldoc.Node) Place {
	if n == nil {
		return Place{File: file, Line: 1, Column: 1}
	}
	return Place{File: file, Line: n.Line, Column: n.Column}
}

// From is where the file names the table.
func (m *Mapping) From() Place { return m.fromAt }

// To is where the file names the target.
func (m *Mapping) To() Place { return m.toAt }

// StartAt is where Start is written.
func (m *Mapping) StartAt() Place { return m.startAt }

// Deletes tells whether a row that goes does anything to its record.
func (m *Mapping) Deletes() bool { return m.action != IgnoreDelete }

// Delete is what becomes of the record of a row that goes.
func (m *Mapping) Delete() Action { return m.action }

// Needed gives the columns without which a change has no record: those of the condition,
// the key and references, and of fields that are made of several. A field made of one alone
// is left as it is where that column was not sent (I5).
func (m *Mapping) Needed() []string {
	var out []string
	add := func(f *field) {
		for _, slot := range f.inputs {
			if name := m.names[slot]; !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	add(&m.when)
	add(&m.key)
	for i := range m.fields {
		if f := &m.fields[i]; f.ref != nil || len(f.inputs) > 1 {
			add(f)
		}
	}
	return out
}

// Columns gives the columns that the mapping reads, for its condition too.
func (m *Mapping) Columns() []string { return m.names }
