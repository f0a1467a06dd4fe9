package expr

import (
	"strings"
)

// listFunctions are those of lists.
func listFunctions() []*function {
	const g = "lists"
	return []*function{
		{Function: Function{"join", g, "join(list, ';')", "one text of a list's items, nulls left out, with a separator between", "join(tags, ';')", `"smb;partner"`}, params: []Type{aList, Text}, least: 2, make: join},
		{Function: Function{"first", g, "first(list)", "the first item; null if there is none", "first(tags)", `"smb"`}, params: []Type{aList}, least: 1, make: atEnd(0)},
		{Function: Function{"last", g, "last(list)", "the last item", "last(tags)", `"partner"`}, params: []Type{aList}, least: 1, make: atEnd(-1)},
		{Function: Function{"distinct", g, "distinct(list)", "each item once, in the order of the first", "distinct(split('b,a,b', ','))", `["b","a"]`}, params: []Type{aList}, least: 1, make: distinct},
		{Function: Function{"items", g, "items(json)", "the list of texts that a JSON array has", "items(custom.regions)", `["emea","apac"]`}, params: []Type{anyValue}, least: 1, make: items},
	}
}

func join(c *compiler, k *call) (typed, error) {
	t := k.args[0].typ.Item()
	if t == JSON {
		return typed{}, c.jsonError(k.args[0])
	}
	by, err := k.text(c, 1, "")
	return k.one(Text, func(v value) (value, failed) {
		var parts []string
		size := 0
		for _, x := range v.list {
			if x.set {
				parts = append(parts, asText(t, x))
				size += len(parts[len(parts)-1]) + len(by)
			}
		}
		if size > maxText {
			return value{}, "the result is too long"
		}
		return textOf(strings.Join(parts, by)), ""
	}), err
}

func atEnd(i int) func(*compiler, *call) (typed, error) {
	return func(_ *compiler, k *call) (typed, error) { return item(k.args[0], i, k.at), nil }
}

func distinct(_ *compiler, k *call) (typed, error) {
	t := k.args[0].typ
	return k.one(t, func(v value) (value, failed) {
		seen := make(map[string]bool, len(v.list))
		out := []value{}
		for _, x := range v.list {
			key := string(appendJSON(nil, t.Item(), x))
			if x.set && t.Item() != JSON {
				key = "=" + mapKeyOf(t.Item(), x) // 1.0 is 1.00
			}
			if !seen[key] {
				seen[key] = true
				out = append(out, x)
			}
		}
		return listOf(out), ""
	}), nil
}

func items(c *compiler, k *call) (typed, error) {
	if t := k.args[0].typ; t != JSON && t != Nil {
		return typed{}, c.fail(k.args[0].at, k.f.Name, "the function is for json and jsonb columns and their parts", "the function needs JSON, not %s:", t)
	}
	return k.one(ListOf(Text), func(v value) (value, failed) {
		if v.text[0] != '[' {
			return value{}, "the JSON is not a list"
		}
		out, bad := decodeList(Text, v.text)
		if bad != "" {
			return value{}, "the JSON is not a list of plain values"
		}
		return out, ""
	}), nil
}
