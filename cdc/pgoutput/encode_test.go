package pgoutput

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestAppendValue(t *testing.T) {
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
		{"array of integers", Type{Kind: Number, Array: true}, "{1,NULL,-3}", "[1,null,-3]"},
		{"array with quotes", Type{Array: true}, `{plain,"with, comma","quo\"te","back\\slash","NULL",NULL}`, `["plain","with, comma","quo\"te","back\\slash","NULL",null]`},
		{"array of arrays", Type{Kind: Number, Array: true}, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
		{"array with bounds", Type{Kind: Number, Array: true}, "[0:1]={1,2}", "[1,2]"},
		{"empty array", Type{Array: true}, "{}", "[]"},
		{"array with another delimiter", Type{Array: true, Delim: ';'}, "{(1,1),(0,0);(3,3),(2,2)}", `["(1,1),(0,0)","(3,3),(2,2)"]`},
		{"array of timestamps", Type{Kind: Timestamp, Array: true}, `{"2026-03-01 10:00:00"}`, `["2026-03-01T10:00:00"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := AppendValue(nil, tc.typ, []byte(tc.text))
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
		{Type{Array: true}, "1,2", "begin with a brace"},
		{Type{Array: true}, "{1,2", "wants a comma or a brace"},
		{Type{Array: true}, "{,}", "empty element"},
		{Type{Array: true}, `{"a`, "quote that is not closed"},
		{Type{Array: true}, "{a}b", "bytes after its end"},
		{Type{Array: true}, "{{{{{{{1}}}}}}}", "more than 6 dimensions"},
		{Type{Array: true}, "[0:1]", "no elements"},
	} {
		_, err := AppendValue(nil, tc.typ, []byte(tc.text))
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
		got, err := AppendValue(nil, Type{Array: true}, append(text, '}'))
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

func FuzzAppendValue(f *testing.F) {
	f.Add(uint8(0), true, []byte(`{a,"b c",NULL}`))
	f.Add(uint8(Timestamptz), false, []byte("2026-01-01 00:00:00+00"))
	f.Fuzz(func(t *testing.T, kind uint8, array bool, text []byte) {
		typ := Type{Kind: Kind(kind % 7), Array: array}
		out, err := AppendValue(nil, typ, text)
		if err != nil {
			return
		}
		if len(out) > 6*len(text)+16 {
			t.Fatalf("%d bytes became %d", len(text), len(out))
		}
		if typ.Kind == Text && utf8.Valid(text) && !json.Valid(out) {
			t.Fatalf("%q became invalid JSON %q", text, out)
		}
	})
}
