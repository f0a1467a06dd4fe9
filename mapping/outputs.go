package mapping

import (
	"encoding/json"
	"regexp"
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
		out = append(out, c.output(&field{name: s.name, constant: json.RawMessage(s.json), slot: -1}, a, nil))
	}
	return out
}

// outputs describes a mapping's fields, which are those of its file.
func (c *compiler) outputs(m *Mapping, columns []Column) []Output {
	out := []Output{c.output(&m.key, &c.f.Key, columns)}
	out[0].Key = true
	for i := range m.fields {
		out = append(out, c.output(&m.fields[i], &c.f.Fields[i], columns))
	}
	return out
}

func (c *compiler) output(f *field, a *Assign, columns []Column) Output {
	o := Output{Name: f.name, Write: f.write, Columns: c.columnsOf(f), Source: a.Source, File: a.doc.File, Line: a.key.Line, Column: a.key.Column}
	switch {
	case f.constant != nil:
		o.Constant = f.constant
		o.Type = constantType(f.constant)
	case f.ref != nil:
		o.Type = "reference"
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
	if f.slot < 0 {
		o.MaxLen = f.program.MaxLen()
		return o
	}
	for _, col := range columns {
		if col.Name == o.Columns[0] {
			o.NotNull = col.NotNull
			o.MaxLen = textLength(col.Type)
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

// boundedText are the types of text with a length.
var boundedText = regexp.MustCompile(`^(?:character varying|varchar|character|char|bpchar)\((\d+)\)$`)

// textLength gives the bound of a type of text; zero if it has none.
func textLength(pg string) int {
	m := boundedText.FindStringSubmatch(pg)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil { // longer than any length
		return 0
	}
	return n
}

// Place is where a mistake about the mapping as a whole is told: its table, its target or
// its condition.
type Place struct {
	File         string
	Line, Column int
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

// Columns gives the columns that the mapping reads, for its condition too.
func (m *Mapping) Columns() []string { return m.names }
