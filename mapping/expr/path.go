package expr

import (
	"encoding/json"
	"strconv"

	"github.com/expr-lang/expr/ast"

	"github.com/walbridge/walbridge/cdc"
)

// member compiles a.b, a['b'] and a[0]: a path into JSON, or an item of a list. What is
// not there is null, as with PostgreSQL's -> and its arrays.
func (c *compiler) member(n *ast.MemberNode) (typed, error) {
	x, err := c.compile(n.Node)
	if err != nil {
		return typed{}, err
	}
	at := x.at
	key, err := c.compile(n.Property)
	if err != nil {
		return typed{}, err
	}
	switch {
	case x.typ.IsList() && key.wholeLiteral != nil:
		return item(x, *key.wholeLiteral, at), nil
	case x.typ.IsList():
		return typed{}, c.fail(key.at, "", "write tags[0] for the first, tags[-1] for the last", "the place in a list must be a number, written out")
	case x.typ != JSON:
		return typed{}, c.fail(at, x.path, "only json and jsonb columns have parts, and arrays have items such as tags[0]", "%s has no parts", x.typ)
	case key.wholeLiteral != nil:
		return jsonPart(x, strconv.Itoa(*key.wholeLiteral), at, func(raw string) (string, bool) { return jsonItem(raw, *key.wholeLiteral) }), nil
	case key.textLiteral == nil:
		return typed{}, c.fail(key.at, "", "write custom.tier, custom['odd name'] or custom.items[0]", "a part of JSON must be written out")
	}
	name := *key.textLiteral
	return jsonPart(x, name, at, func(raw string) (string, bool) { return jsonField(raw, name) }), nil
}

// item takes an item of a list, from the end where the number is below zero.
func item(x typed, i, at int) typed {
	return typed{typ: x.typ.Item(), at: at, eval: func(row *Row) (value, error) {
		v, err := x.eval(row)
		if err != nil || !v.set {
			return value{}, err
		}
		return itemOf(v.list, i), nil
	}}
}

func itemOf(list []value, i int) value {
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return value{}
	}
	return list[i]
}

func jsonPart(x typed, key string, at int, part func(raw string) (string, bool)) typed {
	long := &Error{Offset: at, Msg: tooMuch}
	t := typed{typ: JSON, at: at, eval: func(row *Row) (value, error) {
		v, err := x.eval(row)
		if err != nil || !v.set {
			return value{}, err
		}
		if !row.spend(len(v.text)) {
			return value{}, long
		}
		raw, ok := part(v.text)
		if !ok || raw == "null" {
			return value{}, nil
		}
		return textOf(raw), nil
	}}
	if x.path != "" {
		t.path = x.path + "." + key
	}
	return t
}

// jsonField gives a field of an object; false where it is none, or has no such field.
// Of a name that is there twice, as json columns may have, the last counts.
func jsonField(raw, name string) (out string, ok bool) {
	if raw == "" || raw[0] != '{' {
		return "", false
	}
	err := cdc.EachColumn(raw, func(n string, v cdc.Value) bool {
		if n == name {
			out, ok = v.JSON(), true
		}
		return true
	})
	return out, ok && err == nil
}

func jsonItem(raw string, i int) (string, bool) {
	if raw == "" || raw[0] != '[' {
		return "", false
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		return "", false // what PostgreSQL sends is JSON
	}
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return "", false
	}
	return string(list[i]), true
}

// list compiles a list that is written out.
func (c *compiler) list(n *ast.ArrayNode) (typed, error) {
	at := n.Location().From
	items := make([]typed, len(n.Nodes))
	for i, node := range n.Nodes {
		x, err := c.compile(node)
		if err != nil {
			return typed{}, err
		}
		if x.typ.IsList() {
			return typed{}, c.fail(x.at, "", "", "a list within a list cannot be written")
		}
		items[i] = x
	}
	t, err := c.common("the items of a list", items...)
	if err != nil {
		return typed{}, err
	}
	for i := range items {
		items[i] = as(t, items[i])
	}
	return typed{typ: ListOf(t), at: at, notNull: true, eval: func(row *Row) (value, error) {
		out := make([]value, len(items))
		for i, x := range items {
			v, err := x.eval(row)
			if err != nil {
				return value{}, err
			}
			out[i] = v
		}
		return listOf(out), nil
	}}, nil
}
