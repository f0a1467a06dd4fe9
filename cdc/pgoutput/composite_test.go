package pgoutput

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// pair is a composite of a number and a text, and trio of one field more.
func pair() Type { return CompositeOf(Field{"n", &Type{Kind: Number}}, Field{"s", &Type{}}) }
func trio() Type {
	return CompositeOf(Field{"n", &Type{Kind: Number}}, Field{"s", &Type{}}, Field{"more", &Type{}})
}

func TestComposites(t *testing.T) {
	p := pair()
	rows, flat := ArrayOf(&p, ','), arrayOf(Text)
	nested := CompositeOf(Field{"p", &p}, Field{"list", &rows}, Field{"h", &Type{Kind: HStore}}, Field{"j", &Type{Kind: JSON}})
	for _, tc := range []struct {
		name string
		typ  Type
		text string
		want string
	}{
		{"plain", p, "(1,a)", `{"n":1,"s":"a"}`},
		{"nothing is null, quotes are empty", p, `(,"")`, `{"n":null,"s":""}`},
		{"all null", p, `(,)`, `{"n":null,"s":null}`},
		{"doubled quotes and backslashes", p, `(1,"a ""b"" \\ , (c)")`, `{"n":1,"s":"a \"b\" \\ , (c)"}`},
		{"NULL is a text", p, `(1,NULL)`, `{"n":1,"s":"NULL"}`},
		{"line ends stay", p, "(1,\"a\nb\")", `{"n":1,"s":"a\nb"}`},
		{"no fields", CompositeOf(), "()", `{}`},
		{"one null field", CompositeOf(Field{"x", &Type{}}), "()", `{"x":null}`},
		{"name that needs quotes", CompositeOf(Field{`a "b"`, &Type{}}), "(1)", `{"a \"b\"":"1"}`},
		{"numbers keep their digits", CompositeOf(Field{"x", &Type{Kind: Decimal}}), "(12345678901234567890.10)", `{"x":12345678901234567890.10}`},
		{"NaN", CompositeOf(Field{"x", &Type{Kind: Decimal}}), "(NaN)", `{"x":"NaN"}`},
		{"timestamps", CompositeOf(Field{"x", &Type{Kind: Timestamp}}, Field{"y", &Type{Kind: Timestamptz}}),
			`("2026-03-01 10:00:00 BC",infinity)`, `{"x":"2026-03-01T10:00:00 BC","y":"infinity"}`},
		{"bool and array", CompositeOf(Field{"x", &Type{Kind: Bool}}, Field{"y", &flat}), `(t,"{a,""b c""}")`, `{"x":true,"y":["a","b c"]}`},
		{"nested", nested, `("(1,""x y"")","{""(2,\\""q\\\\\\""\\"")"",NULL}","""k""=>NULL","{""a"" : 1}")`,
			`{"p":{"n":1,"s":"x y"},"list":[{"n":2,"s":"q\""},null],"h":{"k":null},"j":{"a" : 1}}`},
		{"array of composites", rows, `{"(1,a)","(,)",NULL}`, `[{"n":1,"s":"a"},{"n":null,"s":null},null]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := AppendValue(nil, &tc.typ, []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// Whatever is wrong within a composite is a misfit, and nothing that is not JSON
// passes for it, though numbers and the like are not checked elsewhere.
func TestMisfits(t *testing.T) {
	of := func(k Kind) Type { return CompositeOf(Field{"x", &Type{Kind: k}}) }
	p, numbers := pair(), arrayOf(Number)
	for _, tc := range []struct {
		typ        Type
		text, want string
	}{
		{p, "", "begin with a parenthesis"},
		{p, "x", "begin with a parenthesis"},
		{p, "1,a)", "begin with a parenthesis"},
		{p, "(1)", "has 1 fields, its type 2"},
		{p, "(1,a,b)", "more than the 2 fields"},
		{p, "(1,a", "ends within a field"},
		{p, "(1,", "ends within a field"},
		{p, `(1,"a`, "quote that is not closed"},
		{p, `(1,"a\`, "quote that is not closed"},
		{p, `(1,a"b")`, "without the quotes it needs"},
		{p, "(1,a)x", "does not end with a parenthesis"},
		{p, `(1,"a"x)`, "does not end with a parenthesis"},
		{CompositeOf(), "(1)", "does not end with a parenthesis"},
		{p, "(one,a)", "not of the type"},
		{p, `("1,""s"":2",a)`, "not of the type"},
		{of(Number), "(NaN)", "not of the type"},
		{of(Decimal), "(Monday)", "not of the type"},
		{of(Bool), "(x)", "want t or f"},
		{of(JSON), "(x)", "not of the type"},
		{of(Timestamp), "(x)", "not of the type"},
		{of(Timestamp), `("1 "",""y"":""")`, "not of the type"},
		{of(Timestamptz), `("1 ü")`, "not of the type"},
		{CompositeOf(Field{"x", &numbers}), `("{1,x}")`, "not of the type"},
		{CompositeOf(Field{"x", &numbers}), `(1)`, "begin with a brace"},
		{CompositeOf(Field{"x", &p}), `("(1)")`, "has 1 fields, its type 2"},
		{ArrayOf(&p, ','), `{"(1,a)","(1)"}`, "has 1 fields, its type 2"},
	} {
		_, err := AppendValue(nil, &tc.typ, []byte(tc.text))
		var misfit *MisfitError
		if !errors.As(err, &misfit) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want a misfit with %q", tc.text, err, tc.want)
		}
	}
	if _, err := AppendValue(nil, &numbers, []byte("{1")); errors.As(err, new(*MisfitError)) {
		t.Errorf("an array that cannot be decoded is %v, not a misfit", err)
	}
}

// shape is a type with a writer of its values, as the server writes them.
type shape struct {
	typ *Type
	// draw gives a value's text and what its JSON is read back as.
	draw func(t *rapid.T) (text string, want any)
}

func drawShape(t *rapid.T, depth int) shape {
	kinds := []Kind{Text, Number, Bool, HStore, Vector}
	if depth > 0 {
		kinds = append(kinds, Array, Composite, Composite)
	}
	switch k := rapid.SampledFrom(kinds).Draw(t, "kind"); k {
	case Number:
		return shape{&Type{Kind: k}, func(t *rapid.T) (string, any) {
			n := fmt.Sprint(rapid.Int64().Draw(t, "number"))
			return n, json.Number(n)
		}}
	case Bool:
		return shape{&Type{Kind: k}, func(t *rapid.T) (string, any) {
			b := rapid.Bool().Draw(t, "bool")
			return fmt.Sprint(b)[:1], b
		}}
	case HStore:
		return shape{&Type{Kind: k}, drawHStore}
	case Vector:
		return shape{&Type{Kind: k, elem: &Type{Kind: Number}}, func(t *rapid.T) (string, any) {
			words, want := []string{}, []any{}
			for _, n := range rapid.SliceOfN(rapid.Int16(), 0, 4).Draw(t, "vector") {
				words, want = append(words, fmt.Sprint(n)), append(want, json.Number(fmt.Sprint(n)))
			}
			return strings.Join(words, " "), want
		}}
	case Array:
		return arrayShape(drawShape(t, depth-1))
	case Composite:
		return rowShape(t, depth)
	}
	return shape{&Type{}, func(t *rapid.T) (string, any) {
		s := drawText(t)
		return s, s
	}}
}

// drawText likes what has to be quoted.
func drawText(t *rapid.T) string {
	return rapid.OneOf(rapid.StringOf(rapid.RuneFrom([]rune(`ab"\(){},; =>NUL`+"\n\t'"))), rapid.String()).
		Filter(utf8.ValidString).Draw(t, "text")
}

func drawHStore(t *rapid.T) (string, any) {
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	var pairs []string
	want := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "pairs") {
		k, v := drawText(t), drawText(t)
		if _, ok := want[k]; ok {
			continue
		}
		if want[k] = v; rapid.Bool().Draw(t, "null") {
			want[k] = nil
			pairs = append(pairs, quote(k)+"=>NULL")
		} else {
			pairs = append(pairs, quote(k)+"=>"+quote(v))
		}
	}
	return strings.Join(pairs, ", "), want
}

// arrayShape writes as array_out does.
func arrayShape(el shape) shape {
	typ := ArrayOf(el.typ, ',')
	return shape{&typ, func(t *rapid.T) (string, any) {
		parts, want := []string{}, []any{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			if rapid.Bool().Draw(t, "null") {
				parts, want = append(parts, "NULL"), append(want, nil)
				continue
			}
			s, w := el.draw(t)
			if s == "" || strings.EqualFold(s, "NULL") || strings.ContainsAny(s, "\"\\{}, \t\n\r\v\f") {
				s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
			}
			parts, want = append(parts, s), append(want, w)
		}
		return "{" + strings.Join(parts, ",") + "}", want
	}}
}

// rowShape writes as record_out does.
func rowShape(t *rapid.T, depth int) shape {
	var fields []shape
	var named []Field
	for i := range rapid.IntRange(1, 3).Draw(t, "fields") {
		fields = append(fields, drawShape(t, depth-1))
		named = append(named, Field{fmt.Sprintf(`f"%d`, i), fields[i].typ})
	}
	typ := CompositeOf(named...)
	return shape{&typ, func(t *rapid.T) (string, any) {
		var parts []string
		want := map[string]any{}
		for i, f := range fields {
			if want[named[i].Name] = nil; rapid.Bool().Draw(t, "null") {
				parts = append(parts, "")
				continue
			}
			s, w := f.draw(t)
			if s == "" || strings.ContainsAny(s, "\"\\(), \t\n\r\v\f") {
				s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `""`).Replace(s) + `"`
			}
			parts, want[named[i].Name] = append(parts, s), w
		}
		return "(" + strings.Join(parts, ",") + ")", want
	}}
}

// Any value of any type of composites, arrays, hstores and vectors in one
// another, written as the server writes it, comes back as it was; and an encoder
// is as good as new after it.
func TestNestedValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e encoder
		s := drawShape(t, 3)
		for range 3 {
			text, want := s.draw(t)
			out, err := e.value(nil, s.typ, []byte(text))
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			var got any
			d := json.NewDecoder(strings.NewReader(string(out)))
			d.UseNumber()
			if err := d.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q became %s, want %v (%v)", text, out, want, err)
			}
		}
	})
}

// changingCatalog answers from a list, the last answer for ever.
type changingCatalog struct {
	fakeCatalog
	answers []Type
	asked   int
	err     error
}

func (c *changingCatalog) Type(uint32) (Type, error) { return c.answers[0], nil }
func (c *changingCatalog) Refresh(uint32) (Type, error) {
	c.asked++
	return c.answers[min(c.asked, len(c.answers)-1)], c.err
}

// A composite that does not fit has the catalog asked again, and is absent only
// if that does not help.
func TestDecodeMisfits(t *testing.T) {
	const oid = 16400
	describe := func(identity Identity, keys ...string) []byte {
		w := msg('R').u32(dealsOID).str("public").str("deals").u8(byte(identity)).u16(3)
		for i, name := range []string{"a", "id", "b"} {
			var flag byte
			if slices.Contains(keys, name) {
				flag = 1
			}
			w.u8(flag).str(name).u32([]uint32{oid, 20, oid}[i]).u32(0xffffffff)
		}
		return w.b
	}
	ins := func(cols ...any) []byte { return msg('I').u32(dealsOID).u8('N').tuple(cols...).b }
	byID := describe(IdentityDefault, "id")
	for _, tc := range []struct {
		name    string
		answers []Type
		rel     []byte
		msgs    [][]byte
		want    []string
		asked   int
		misfits []string
		err     string
	}{
		{"one that fits asks nothing", []Type{pair(), trio()}, byID, [][]byte{ins("(1,x)", "1", nil)},
			[]string{`1100-0 c public.deals key {"id":1} after {"a":{"n":1,"s":"x"},"id":1,"b":null} before  absent `}, 0, nil, ""},
		{"a changed type is asked for once", []Type{pair(), trio()}, byID, [][]byte{ins("(1,x,y)", "1", nil), ins("(2,x,y)", "2", nil)},
			[]string{
				`1100-0 c public.deals key {"id":1} after {"a":{"n":1,"s":"x","more":"y"},"id":1,"b":null} before  absent `,
				`1100-2 c public.deals key {"id":2} after {"a":{"n":2,"s":"x","more":"y"},"id":2,"b":null} before  absent `}, 1, nil, ""},
		{"a misfit is absent", []Type{pair()}, byID, [][]byte{ins("(1)", "1", "(2,y)"), ins("(1,x)", "2", "(2,y,z)"), ins("()", "3", "()")},
			[]string{
				`1100-0 c public.deals key {"id":1} after {"id":1,"b":{"n":2,"s":"y"}} before  absent ["a"]`,
				`1100-2 c public.deals key {"id":2} after {"a":{"n":1,"s":"x"},"id":2} before  absent ["b"]`,
				`1100-4 c public.deals key {"id":3} after {"id":3} before  absent ["a","b"]`}, 4,
			[]string{"public.deals a", "public.deals b", "public.deals a", "public.deals b"}, ""},
		{"a misfit beside unchanged TOAST", []Type{pair()}, byID, [][]byte{msg('U').u32(dealsOID).u8('N').tuple(unchanged, "1", "(2)").b},
			[]string{`1100-0 u public.deals key {"id":1} after {"id":1} before  absent ["a","b"]`}, 1, []string{"public.deals b"}, ""},
		{"a misfit of an old row is left out", []Type{pair()}, describe(IdentityFull), [][]byte{msg('D').u32(dealsOID).u8('O').tuple("(1)", "1", "(2,y)").b},
			[]string{`1100-0 d public.deals key {"id":1} after  before {"id":1,"b":{"n":2,"s":"y"}} absent `}, 1, []string{"public.deals a"}, ""},
		{"a misfit in the key is an error", []Type{pair()}, describe(IdentityIndex, "a"), [][]byte{ins("(1)", "1", nil)}, nil, 1, nil,
			"encode key column a of public.deals: composite does not fit the catalog: row has 1 fields, its type 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cat := &changingCatalog{fakeCatalog: fakeCatalog{primary: []string{"id"}}, answers: tc.answers}
			var misfits []string
			d := NewDecoder(Options{Catalog: cat, Base: 1000, Misfit: func(table, column string) { misfits = append(misfits, table+" "+column) }})
			r := &recorder{}
			var err error
			for _, m := range append([][]byte{begin(100, 7), tc.rel}, tc.msgs...) {
				if err = d.Decode(m, r); err != nil {
					break
				}
			}
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			if got := r.lines[1:]; !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if cat.asked != tc.asked || !slices.Equal(misfits, tc.misfits) {
				t.Errorf("asked %d times, misfits %q, want %d and %q", cat.asked, misfits, tc.asked, tc.misfits)
			}
		})
	}
}

// A catalog that does not answer is an error: the row is not taken for a misfit.
func TestDecodeNeedsTheCatalogForMisfits(t *testing.T) {
	cat := &changingCatalog{answers: []Type{pair()}, err: errors.New("gone")}
	d := NewDecoder(Options{Catalog: cat})
	rel := msg('R').u32(dealsOID).str("public").str("deals").u8('d').u16(2).u8(1).str("id").u32(20).u32(0).u8(0).str("a").u32(16400).u32(0).b
	for _, m := range [][]byte{begin(1, 1), rel} {
		if err := d.Decode(m, &recorder{}); err != nil {
			t.Fatal(err)
		}
	}
	err := d.Decode(msg('I').u32(dealsOID).u8('N').tuple("1", "(1)").b, &recorder{})
	if !errors.Is(err, cat.err) {
		t.Fatalf("error %v, want the catalog's", err)
	}
}
