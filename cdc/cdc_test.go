package cdc

import (
	"encoding/json"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestPositionsRoundTripAndOrder(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) Position {
		return Position{LSN: LSN(rapid.Uint64().Draw(t, "lsn")), Ordinal: rapid.Uint64().Draw(t, "ordinal")}
	})
	rapid.Check(t, func(t *rapid.T) {
		p, q := gen.Draw(t, "p"), gen.Draw(t, "q")
		back, err := ParsePosition(p.String())
		if err != nil || back != p {
			t.Fatalf("%v came back as %v (%v)", p, back, err)
		}
		lsn, err := ParseLSN(p.LSN.String())
		if err != nil || lsn != p.LSN {
			t.Fatalf("%v came back as %v (%v)", p.LSN, lsn, err)
		}
		if p.Compare(q) != -q.Compare(p) || p.Before(q) != (p.Compare(q) < 0) {
			t.Fatalf("order of %v and %v is not one", p, q)
		}
		if p.LSN < q.LSN && !p.Before(q) {
			t.Fatalf("%v is not before %v", p, q)
		}
	})
}

func TestParsePositionRefuses(t *testing.T) {
	for _, s := range []string{"", "12", "12-", "-1", "0/16B3748-1", "1-2-3", "18446744073709551616-0"} {
		if p, err := ParsePosition(s); err == nil {
			t.Errorf("ParsePosition(%q) = %v, want an error", s, p)
		}
	}
	for _, s := range []string{"", "16B3748", "G/1", "1/100000000"} {
		if l, err := ParseLSN(s); err == nil {
			t.Errorf("ParseLSN(%q) = %v, want an error", s, l)
		}
	}
}

func TestTablesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Table{Schema: rapid.StringN(1, 8, 32).Draw(t, "schema"), Name: rapid.StringN(1, 8, 32).Draw(t, "name")}
		out, err := ParseTable(in.String())
		if err != nil || out != in {
			t.Fatalf("%#v as %s came back as %#v (%v)", in, in, out, err)
		}
	})
}

func TestParseTable(t *testing.T) {
	for in, want := range map[string]string{
		"deals": "public.deals", "Sales.Deals": "sales.deals",
		`"Sales"."My ""best"" deals"`: `"Sales"."My ""best"" deals"`, `crm."a.b"`: `crm."a.b"`,
	} {
		got, err := ParseTable(in)
		if err != nil || got.String() != want {
			t.Errorf("ParseTable(%s) = %v (%v), want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", ".", "a.", "a.b.c", `"a`, `"a"b`, `""`} {
		if got, err := ParseTable(in); err == nil {
			t.Errorf("ParseTable(%q) = %v, want an error", in, got)
		}
	}
}

func TestValueHasThreeStates(t *testing.T) {
	var v Value
	if !v.IsAbsent() || v.IsNull() || v.JSON() != "" {
		t.Errorf("the zero Value is not absent: %+v", v)
	}
	if n := ValueOf("null"); !n.IsNull() || n.IsAbsent() || n.JSON() != "null" {
		t.Errorf("null is not null: %+v", n)
	}
	if s := ValueOf(`"null"`); s.IsNull() || s.IsAbsent() || s.JSON() != `"null"` {
		t.Errorf("a text is not set: %+v", s)
	}
}

// ParseRow gives of any object what the standard library gives.
func TestParseRowAgreesWithEncodingJSON(t *testing.T) {
	value := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int(), func(i int) any { return i }), rapid.Just[any](true),
		rapid.Just[any](map[string]any{"a": []any{1, "}\"", nil}}), rapid.Just[any]([]any{}),
	)
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.MapOf(rapid.String(), value).Draw(t, "row")
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		row, err := ParseRow(string(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if len(row) != len(want) {
			t.Fatalf("%s has %d columns, want %d", text, len(row), len(want))
		}
		for name, w := range want {
			if got := row.Get(name); got.JSON() != string(w) {
				t.Fatalf("%s: column %q is %s, want %s", text, name, got.JSON(), w)
			}
		}
	})
}

func TestParseRowRefuses(t *testing.T) {
	for _, s := range []string{"", "[]", "{", `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,}`, `{"a":1}x`, `{"a":"b}`, `{"a":[1}`, `{a:1}`, `{"a\`} {
		if row, err := ParseRow(s); err == nil {
			t.Errorf("ParseRow(%q) = %v, want an error", s, row)
		}
	}
}

func FuzzParseRow(f *testing.F) {
	f.Add(`{"id":1,"name":"a\"b","list":[1,{"x":null}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		row, err := ParseRow(s)
		if err == nil && len(row) > len(s) {
			t.Fatalf("%d columns from %d bytes", len(row), len(s))
		}
	})
}

// The partition of a key is part of the public contract: these never change.
func TestPartitionOfIsFixed(t *testing.T) {
	for _, tc := range []struct {
		table, key string
		n, want    int
	}{
		{"public.deals", `{"id":1}`, 8, 1}, {"public.deals", `{"id":2}`, 8, 2}, {"public.deals", `{"id":3}`, 256, 159},
	} {
		if got := PartitionOf(tc.table, []byte(tc.key), tc.n); got != tc.want {
			t.Errorf("PartitionOf(%s, %s, %d) = %d, want %d", tc.table, tc.key, tc.n, got, tc.want)
		}
	}
}

func TestPartitionsAreEven(t *testing.T) {
	const n, keys = 8, 80_000
	var count [n]int
	for i := range keys {
		count[PartitionOf("public.deals", []byte(`{"id":`+strconv.Itoa(i)+"}"), n)]++
	}
	for p, c := range count {
		if c < keys/n*9/10 || c > keys/n*11/10 {
			t.Errorf("partition %d has %d of %d keys", p, c, keys)
		}
	}
}
