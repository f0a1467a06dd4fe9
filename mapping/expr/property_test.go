package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
)

func eval(t rapid.TB, src string, row map[string]string) string {
	t.Helper()
	v, err := once(src, row)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return v.JSON()
}

func decimal(t *rapid.T, label string) string {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,12})?`).Draw(t, label)
}

// Arithmetic agrees with rational numbers, which are exact.
func TestDecimalsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimal(t, "a"), decimal(t, "b")
		row := map[string]string{"amount": a, "discount": b}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		for op, want := range map[string]*big.Rat{
			"+": new(big.Rat).Add(x, y), "-": new(big.Rat).Sub(x, y), "*": new(big.Rat).Mul(x, y),
		} {
			got, ok := new(big.Rat).SetString(eval(t, "amount "+op+" discount", row))
			if !ok || got.Cmp(want) != 0 {
				t.Fatalf("%s %s %s = %v, want %v", a, op, b, got, want)
			}
		}
		for op, want := range map[string]bool{"<": x.Cmp(y) < 0, "==": x.Cmp(y) == 0, ">=": x.Cmp(y) >= 0} {
			if got := eval(t, "amount "+op+" discount", row); got != fmt.Sprint(want) {
				t.Fatalf("%s %s %s = %s", a, op, b, got)
			}
		}
		if b[0] != '-' && strings.Contains(b, ".") && eval(t, b, nil) != b {
			t.Fatalf("the literal %s became %s", b, eval(t, b, nil))
		}
	})
}

// Whole numbers either agree with big ones or say that they do not fit.
func TestIntsDoNotWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		row := map[string]string{"id": fmt.Sprint(a), "big": fmt.Sprint(b)}
		x, y := big.NewInt(a), big.NewInt(b)
		for op, want := range map[string]*big.Int{
			"+": new(big.Int).Add(x, y), "-": new(big.Int).Sub(x, y), "*": new(big.Int).Mul(x, y),
		} {
			v, err := once("id "+op+" big", row)
			if want.IsInt64() != (err == nil) || err == nil && v.JSON() != want.String() {
				t.Fatalf("%d %s %d = %s, %v; want %v", a, op, b, v.JSON(), err, want)
			}
		}
	})
}

// Three-valued logic obeys De Morgan's laws, and != is the negation of ==.
func TestThreeValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any3 := rapid.SampledFrom([]string{"true", "false", "null"})
		row := map[string]string{"active": any3.Draw(t, "a"), "won": any3.Draw(t, "b")}
		for _, law := range [][2]string{
			{"!(active && won)", "!active || !won"}, {"!(active || won)", "!active && !won"},
			{"active && won", "won && active"}, {"active || won", "won || active"}, {"active != won", "!(active == won)"},
		} {
			if l, r := eval(t, law[0], row), eval(t, law[1], row); l != r {
				t.Fatalf("%v: %s = %s but %s = %s", row, law[0], l, law[1], r)
			}
		}
	})
}

// Any text comes out of an expression as it went in.
func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		in, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		out := eval(t, "note + ''", map[string]string{"note": string(in)})
		var back string
		if err := json.Unmarshal([]byte(out), &back); err != nil || back != s {
			t.Fatalf("%q became %s, %v", s, out, err)
		}
	})
}

func FuzzCompileEval(f *testing.F) {
	for _, s := range []string{
		"amount * 0.1 + quantity", "upper(trim(name)) ?? 'x'", "stage in ['a', nil] && !won", "round(rate, 2) > 1e3 ? nil : -id",
		"custom.a[1:2]", "let x = 1; x", "name | lower()", "a ?: b ?: c", "1..3", `col("Close Date")`, "'\\u00", "`x`", "b'x'", "x?.y", "{a: 1}", "#", "$env", "00E000000100",
	} {
		f.Add(s, "12.5")
	}
	for _, fn := range Functions() {
		f.Add(strings.NewReplacer("updated_at", "close_date", "custom.tier", "custom.a", "custom.seats", "custom.a[0]").Replace(fn.Example), `"2026-01-31"`)
	}
	f.Fuzz(func(t *testing.T, src, raw string) {
		// What takes seconds at a few kilobytes has no bound.
		defer time.AfterFunc(8*time.Second, func() { panic(fmt.Sprintf("it takes too long: %q over %q", src, raw)) }).Stop()
		s := NewScope(columns, nil)
		p, err := s.Compile(src, Any)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Msg == "" {
				t.Fatalf("Compile(%q) gave %#v", src, err)
			}
			return
		}
		if p.Ref() != nil {
			return
		}
		all, nulls := map[string]string{}, map[string]string{}
		for _, c := range columns {
			all[c.Name], nulls[c.Name] = raw, "null"
		}
		r := s.NewRow()
		for _, values := range []map[string]string{row, nil, nulls, all} {
			s.Fill(r, values)
			v, err := p.Eval(r)
			// What is passed on, or is a part of JSON, is as the row has it.
			if _, pass := p.IsColumn(); err == nil && !pass && !json.Valid([]byte(v.JSON())) && json.Valid([]byte(raw)) {
				t.Fatalf("%q gave %q, which is not JSON", src, v.JSON())
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := NewScope(columns, nil).Compile("stage != 'Prospecting' && amount > 0", Bool); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	for _, src := range []string{"name", "amount > 0", "amount * quantity", "upper(email)", "stage != 'Prospecting' && amount > 0"} {
		b.Run(src, func(b *testing.B) {
			s := NewScope(columns, nil)
			p, err := s.Compile(src, Any)
			if err != nil {
				b.Fatal(err)
			}
			r := s.NewRow()
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				s.Fill(r, row)
				if buf, _, err = p.Append(buf[:0], r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// valuesOf gives the columns of a row's JSON.
func valuesOf(t testing.TB, row string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := cdc.EachColumn(row, func(name string, v cdc.Value) bool {
		out[name] = v.JSON()
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}
