package expr

import "github.com/expr-lang/expr/ast"

// refName is the function that refers to another mapping's record.
const refName = "ref"

// refCall gives the call of ref that an expression is; nil if it is anything else.
func refCall(tree ast.Node) *ast.CallNode {
	call, ok := tree.(*ast.CallNode)
	if !ok {
		return nil
	}
	if callee, ok := call.Callee.(*ast.IdentifierNode); !ok || callee.Value != refName {
		return nil
	}
	return call
}

// ref compiles a reference, whose keys are programs of their own.
func (c *compiler) ref(n *ast.CallNode, want Type) (*Program, error) {
	at, f := n.Location().From, byName[refName]
	if len(n.Arguments) < f.least {
		return nil, c.fail(at, f.Name, "write "+f.Usage, "wrong number of arguments, %d, for", len(n.Arguments))
	}
	if want != Any {
		return nil, c.fail(at, f.Name, wantHint(want), "%s is wanted here, not a reference:", want)
	}
	name, ok := n.Arguments[0].(*ast.StringNode)
	if !ok {
		return nil, c.fail(n.Arguments[0].Location().From, f.Name, "write "+f.Usage, "the mapping's name must be written out, in")
	}
	r := &Ref{Mapping: name.Value, Offset: name.Location().From}
	p := &Program{column: -1, ref: r, notNull: true}
	for _, a := range n.Arguments[1:] {
		part := &compiler{src: c.src, scope: c.scope}
		x, err := part.compile(a)
		if err != nil {
			return nil, err
		}
		if x.typ == JSON || x.typ.IsList() {
			return nil, c.fail(x.at, x.path, "name the columns that hold the other row's key", "%s cannot be a key:", x.typ)
		}
		key, err := part.program(x, Any)
		if err != nil {
			return nil, err
		}
		r.Keys, r.At = append(r.Keys, key), append(r.At, x.at)
		p.notNull = p.notNull && key.notNull
		for _, slot := range key.inputs {
			p.inputs = appendNew(p.inputs, slot)
		}
	}
	return p, nil
}

func appendNew(list []int, n int) []int {
	for _, have := range list {
		if have == n {
			return list
		}
	}
	return append(list, n)
}

// misplacedRef is ref within another expression.
func misplacedRef(c *compiler, k *call) (typed, error) {
	return typed{}, c.fail(k.at, refName, "make it a field of its own; a key that is null gives null", "a reference stands alone, not within another expression:")
}
