package mapping

import (
	"fmt"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/expr"
	"github.com/walbridge/walbridge/mapping/nearest"
)

// reference is how a field finds the key of the record that another mapping makes of
// another row: from that row's own key alone, so that it needs neither the row nor what
// was delivered.
type reference struct {
	mapping string
	// columns are those of the other row's key, in the order of the change's own.
	columns []string
	keys    []*expr.Program // what gives them, of this row
	slots   []int           // of the columns in the other row; below zero where its key does not use one
	scope   *expr.Scope     // of the other table
	program *expr.Program   // the other mapping's key
	key     string          // the name of its key field
}

// reference finds what a field refers to; a mistake is noted.
func (c *compiler) reference(a *Assign, r *expr.Ref) *reference {
	fail := func(offset int, msg, value, hint string) *reference {
		c.fresh(a.doc).FailAt(a.node, offset, Error{Msg: msg, Value: value, Hint: hint})
		return nil
	}
	i := slices.IndexFunc(c.files, func(f *File) bool { return f.Name == r.Mapping })
	if i < 0 {
		names := make([]string, len(c.files))
		for j, f := range c.files {
			names[j] = f.Name
		}
		return fail(r.Offset, "unknown mapping", r.Mapping, nearest.Hint(r.Mapping, names, "mappings are "+nearest.List(names)))
	}
	other := c.files[i]
	if other.Target != c.f.Target {
		return fail(r.Offset, "the mapping leads to another target:", other.Target, "refer to a mapping to "+c.f.Target)
	}
	broken := func() *reference {
		return fail(r.Offset, "the mapping it refers to has mistakes:", other.Name, "mend "+other.Path)
	}
	columns, ok := c.cat.Columns(other.From)
	if !ok || other.bad {
		return broken()
	}
	var keys []Column
	for _, col := range columns {
		if col.Key {
			keys = append(keys, col)
		}
	}
	out := &reference{mapping: other.Name, keys: r.Keys, key: other.Key.Field, scope: expr.NewScope(exprColumns(columns), other.env)}
	for _, k := range keys {
		out.columns = append(out.columns, k.Name)
	}
	if len(keys) != len(r.Keys) {
		return fail(r.Offset, fmt.Sprintf("the key of %s has %d columns, but %d are given", other.From, len(keys), len(r.Keys)), "", "give "+strings.Join(out.columns, ", "))
	}
	for j, k := range keys {
		want := expr.TypeOf(k.Type)
		if got := r.Keys[j].Type(); got != want && got != expr.Nil {
			return fail(r.At[j], fmt.Sprintf("%s.%s is %s, not %s", other.From, k.Name, want, got), "", "name the column that refers to it")
		}
	}
	program, err := out.scope.Compile(other.Key.Source, expr.Any)
	if err != nil || program.Ref() != nil {
		return broken()
	}
	for _, name := range out.scope.Used() {
		if !slices.Contains(out.columns, name) {
			return fail(r.Offset, "the key of "+other.Name+" is made of a column that is not in its table's key:", name,
				"make it of "+strings.Join(out.columns, ", ")+" alone, or write the parent's key as an expression of this row")
		}
	}
	for _, name := range out.columns {
		out.slots = append(out.slots, slices.Index(out.scope.Used(), name))
	}
	out.program = program
	return out
}

// resolve gives the other row's own key as JSON and appends the key of the record made of
// it. A key that is null in any column refers to nothing.
func (r *reference) resolve(b []byte, row *expr.Row) (_ []byte, source string, null bool, err error) {
	theirs := r.scope.NewRow()
	object := []byte{'{'}
	for i, p := range r.keys {
		v, err := p.Eval(row)
		if err != nil || v.IsNull() {
			return append(b, "null"...), "", true, err
		}
		if i > 0 {
			object = append(object, ',')
		}
		object = append(append(expr.AppendText(object, r.columns[i]), ':'), v.JSON()...)
		if r.slots[i] >= 0 {
			theirs.Values[r.slots[i]] = v
		}
	}
	b, null, err = r.program.Append(b, theirs)
	return b, string(append(object, '}')), null, err
}
