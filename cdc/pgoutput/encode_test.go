package pgoutput

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func vector(oid uint32) Type {
	t, _ := Builtin(oid)
	return t
}

func TestAppendValue(t *testing.T) {
	numbers, int2vector := arrayOf(Number), vector(22)
	for _, tc := range []struct {
		name string
		typ  Type
		text string
		want string
	}{
		{"integer", Type{Kind: Number}, "-42", "-42"},
		{"numeric keeps its scale", Type{Kind: Decimal}, "100.00", "100.00"},
		{"numeric of any size", Type{Kind: Decimal}, "123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"},
		{"NaN is a string", Type{Kind: Decimal}, "NaN", `"NaN"`},
		{"infinity is a string", Type{Kind: Decimal}, "Infinity", `"Infinity"`},
		{"minus infinity is a string", Type{Kind: Decimal}, "-Infinity", `"-Infinity"`},
		{"true", Type{Kind: Bool}, "t", "true"},
		{"false", Type{Kind: Bool}, "f", "false"},
		{"json as it is", Type{Kind: JSON}, `{"a" : [1, 2]}`, `{"a" : [1, 2]}`},
		{"timestamp", Type{Kind: Timestamp}, "2026-03-01 10:00:00.5", `"2026-03-01T10:00:00.5"`},
		{"timestamp BC", Type{Kind: Timestamp}, "0044-03-15 10:00:00 BC", `"0044-03-15T10:00:00 BC"`},
		{"timestamp infinity", Type{Kind: Timestamp}, "infinity", `"infinity"`},
		{"timestamptz", Type{Kind: Timestamptz}, "2026-03-01 10:00:00+00", `"2026-03-01T10:00:00+00:00"`},
		{"timestamptz with minutes", Type{Kind: Timestamptz}, "2026-03-01 10:00:00+05:30", `"2026-03-01T10:00:00+05:30"`},
		{"timestamptz BC", Type{Kind: Timestamptz}, "0044-03-15 10:00:00+00 BC", `"0044-03-15T10:00:00+00:00 BC"`},
		{"text with all that is escaped", Type{}, "a\"b\\c\nd\te\rf\x01g", `"a\"b\\c\nd\te\rf\u0001g"`},
		{"text in other alphabets", Type{}, "Zürich 東京", `"Zürich 東京"`},
		{"empty text", Type{}, "", `""`},
		{"array of integers", arrayOf(Number), "{1,NULL,-3}", "[1,null,-3]"},
		{"array with quotes", arrayOf(Text), `{plain,"with, comma","quo\"te","back\\slash","NULL",NULL}`, `["plain","with, comma","quo\"te","back\\slash","NULL",null]`},
		{"array of arrays", arrayOf(Number), "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
		{"array with bounds", arrayOf(Number), "[0:1]={1,2}", "[1,2]"},
		{"empty array", arrayOf(Text), "{}", "[]"},
		{"array with another delimiter", ArrayOf(&Type{}, ';'), "{(1,1),(0,0);(3,3),(2,2)}", `["(1,1),(0,0)","(3,3),(2,2)"]`},
		{"array of json", arrayOf(JSON), `{"{\"a\": [1, \"x\"]}",null,NULL}`, `[{"a": [1, "x"]},null,null]`},
		{"array in six dimensions", arrayOf(Number), "{{{{{{1}}}}}}", "[[[[[[1]]]]]]"},
		{"array of arrays with bounds", arrayOf(Number), "[-1:0][5:6]={{1,2},{3,4}}", "[[1,2],[3,4]]"},
		{"array of a domain over arrays", ArrayOf(&numbers, ','), `{"{1,2}",NULL,"{}"}`, `[[1,2],null,[]]`},
		{"int2vector", vector(22), "1 -2 3", "[1,-2,3]"},
		{"oidvector", vector(30), "23 25", `["23","25"]`},
		{"empty vector", vector(22), "", "[]"},
		{"array of vectors", ArrayOf(&int2vector, ','), `{"1 2",3,""}`, `[[1,2],[3],[]]`},
		{"array of timestamps", arrayOf(Timestamp), `{"2026-03-01 10:00:00"}`, `["2026-03-01T10:00:00"]`},
		{"hstore", Type{Kind: HStore}, `"a"=>"1", "b"=>NULL, "c\"\\"=>"x=>\"y\", z", ""=>"NULL"`, `{"a":"1","b":null,"c\"\\":"x=>\"y\", z","":"NULL"}`},
		{"empty hstore", Type{Kind: HStore}, "", "{}"},
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

func TestAppendValueRefuses(t *testing.T) {
	for _, tc := range []struct {
		typ        Type
		text, want string
	}{
		{Type{Kind: Bool}, "yes", "want t or f"},
		{Type{Kind: Number}, "", "empty text"},
		{Type{Kind: Decimal}, "", "empty text"},
		{arrayOf(Text), "1,2", "begin with a brace"},
		{arrayOf(Text), "{1,2", "wants a comma or a brace"},
		{arrayOf(Text), "{,}", "empty element"},
		{arrayOf(Text), `{"a`, "quote that is not closed"},
		{arrayOf(Text), "{a}b", "bytes after its end"},
		{arrayOf(Text), "{{{{{{{1}}}}}}}", "more than 6 dimensions"},
		{arrayOf(Text), "[0:1]", "no elements"},
	} {
		_, err := AppendValue(nil, &tc.typ, []byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q", tc.text, err, tc.want)
		}
	}
}

// Any text comes back from its JSON as it was.
func TestStringsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Filter(utf8.ValidString).Draw(t, "text")
		var back string
		if err := json.Unmarshal(appendString(nil, []byte(s)), &back); err != nil || back != s {
			t.Fatalf("%q came back as %q (%v)", s, back, err)
		}
	})
}

// An array of any texts, quoted as PostgreSQL quotes them, comes back whole.
func TestArraysRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOf(rapid.String().Filter(utf8.ValidString)).Draw(t, "elements")
		text := []byte{'{'}
		for i, s := range in {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(text, '"')
			text = append(text, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)...)
			text = append(text, '"')
		}
		typ := arrayOf(Text)
		got, err := AppendValue(nil, &typ, append(text, '}'))
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		if err := json.Unmarshal(got, &out); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if len(in) != len(out) {
			t.Fatalf("%d elements became %d", len(in), len(out))
		}
		for i := range in {
			if in[i] != out[i] {
				t.Fatalf("element %d: %q became %q", i, in[i], out[i])
			}
		}
	})
}

// fuzzShapes are types whose texts are parsed. The JSON of those that are checked
// is valid whatever the text; numbers, json and timestamps of a column's own type
// are passed through as the server sent them.
func fuzzShapes() (types []Type, checked []bool) {
	text := &Type{}
	inner := CompositeOf(Field{"n", &Type{Kind: Number}}, Field{"d", &Type{Kind: Decimal}}, Field{"j", &Type{Kind: JSON}},
		Field{"t", &Type{Kind: Timestamp}}, Field{"z", &Type{Kind: Timestamptz}}, Field{"b", &Type{Kind: Bool}}, Field{"s", text})
	rows, numbers, vec, hstore := ArrayOf(&inner, ','), arrayOf(Number), vector(22), &Type{Kind: HStore}
	outer := CompositeOf(Field{"r", &inner}, Field{"a", &rows}, Field{"n", &numbers}, Field{"v", &vec}, Field{"h", hstore})
	add := func(sure bool, list ...Type) {
		for _, t := range list {
			types, checked = append(types, t), append(checked, sure)
		}
	}
	add(true, *text, Type{Kind: Bool}, *hstore, arrayOf(Text), arrayOf(Bool), arrayOf(HStore), ArrayOf(text, ';'), vector(30),
		inner, rows, outer, CompositeOf(), CompositeOf(Field{"x", text}))
	add(false, Type{Kind: Number}, Type{Kind: Decimal}, Type{Kind: JSON}, Type{Kind: Timestamp}, Type{Kind: Timestamptz},
		vec, numbers, arrayOf(Timestamptz), ArrayOf(&numbers, ','))
	return types, checked
}

func FuzzAppendValue(f *testing.F) {
	types, checked := fuzzShapes()
	for i := range types {
		for _, seed := range []string{`{a,"b c",NULL}`, "2026-01-01 00:00:00+00", `"a"=>"1", "b"=>NULL`, "1 2 3", "t", "()", `(x)`,
			`(1,2.5,"{""a"": 1}","2026-01-01 00:00:00","2026-01-01 00:00:00+00",t,"a ""b"" \\\\")`,
			`{"(1,NaN,1,infinity,infinity,f,)","(,,,,,,)"}`,
			`("(1,,,,,,)","{""(1,,,,,,\\""\\"")""}","{1,2}","1 2","""a""=>""1""")`} {
			f.Add(uint8(i), []byte(seed))
		}
	}
	const levels = 4 // of quotes in the deepest shape
	f.Fuzz(func(t *testing.T, shape uint8, text []byte) {
		i := int(shape) % len(types)
		var e encoder
		out, err := e.value(nil, &types[i], text)
		if e.strict || len(e.scratch) > 0 {
			t.Fatalf("%q left something for the next value", text)
		}
		if cap(e.scratch) > 2*levels*len(text)+64 { // it grows to twice of what it holds
			t.Fatalf("%d bytes took a scratch of %d", len(text), cap(e.scratch))
		}
		if len(out) > 12*len(text)+16 {
			t.Fatalf("%d bytes became %d", len(text), len(out))
		}
		if err == nil && checked[i] && !json.Valid(out) {
			t.Fatalf("%q became invalid JSON %q", text, out)
		}
	})
}
