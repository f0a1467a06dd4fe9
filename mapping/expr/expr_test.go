package expr

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

var columns = []Column{
	{"id", "bigint"}, {"name", "character varying(80)"}, {"stage", "deal_stage"}, {"email", "text"},
	{"amount", "numeric(12,2)"}, {"discount", "numeric"}, {"rate", "double precision"}, {"quantity", "integer"},
	{"active", "boolean"}, {"won", "boolean"}, {"close_date", "date"}, {"custom", "jsonb"}, {"tags", "text[]"},
	{"note", "text"}, {"Close Date", "date"}, {"big", "bigint"},
}

var row = map[string]string{
	"id": "42", "name": `" Ada \"L\" Ünsal "`, "stage": `"Won"`, "email": `"Ada@Example.com"`,
	"amount": "12345678901234567.89", "discount": "null", "rate": "1e-7", "quantity": "3",
	"active": "true", "won": "null", "close_date": `"2026-02-03"`, "custom": `{"a": [1, 2]}`, "tags": `["x"]`,
	"note": "null", "Close Date": `"2026-01-01"`, "big": "9223372036854775807",
}

func getter(row map[string]string) func(string) cdc.Value {
	return func(name string) cdc.Value {
		raw, ok := row[name]
		if !ok {
			return cdc.Value{}
		}
		return cdc.ValueOf(raw)
	}
}

func TestEval(t *testing.T) {
	for src, want := range map[string]string{
		// passed on untouched
		"name": row["name"], "custom": row["custom"], "tags": row["tags"], "rate": "1e-7", "(amount)": row["amount"],
		"discount": "null", `col("Close Date")`: `"2026-01-01"`,
		// constants
		"'walbridge'": `"walbridge"`, "5": "5", "-5": "-5", "0.10": "0.10", "true": "true", "nil": "null", "null": "null",
		"1_000.50": "1000.50", "123456789012345678901234567890.5": "123456789012345678901234567890.5", "0x10": "16",
		// exact numbers
		"0.1 + 0.2": "0.3", "amount * 2": "24691357802469135.78", "amount * quantity": "37037036703703703.67",
		"amount - 0.01": "12345678901234567.88", "amount * 1.000000000000000000001": "12345678901234567.89001234567890123456789",
		"1 / 4": "0.25", "1 / 3": "0.3333333333333333333333333333333333", "quantity % 2": "1", "-amount": "-12345678901234567.89",
		"rate * 10": "0.0000010", "quantity + 1": "4", "quantity - 5": "-2", "quantity * 1.5": "4.5",
		// functions
		"upper(email)": `"ADA@EXAMPLE.COM"`, "lower(email)": `"ada@example.com"`, "trim(name)": `"Ada \"L\" Ünsal"`,
		"round(2.5)": "3", "round(-2.5)": "-3", "round(1.005, 2)": "1.01", "round(1, 2)": "1.00", "round(amount, 1)": "12345678901234567.9",
		"round(0.999, 2)": "1.00", "string(amount)": `"12345678901234567.89"`, "string(id)": `"42"`, "string(active)": `"true"`,
		"string(stage)": `"Won"`, "coalesce(note, email, 'x')": `"Ada@Example.com"`, "coalesce(discount, 0)": "0",
		"name | trim() | upper()": `"ADA \"L\" ÜNSAL"`,
		// joining
		"stage + '-' + string(id)": `"Won-42"`, `'a' + "\n\t\u0001\\"`: `"a\n\t\u0001\\"`, "stage + note": "null",
		// comparison
		"amount > 0": "true", "amount > quantity": "true", "quantity == 3.0": "true", "stage == 'Won'": "true", "stage != 'Won'": "false",
		"close_date >= '2026-01-01'": "true", "active == true": "true", "rate < 0.1": "true", "1.50 == 1.5": "true", "'b' <= 'a'": "false",
		"1 < quantity < 5":         "true",
		"stage in ['Lost', 'Won']": "true", "stage not in ['Won']": "false", "quantity in [1, 3.0]": "true", "quantity in []": "false",
		"email contains '@'": "true", "email startsWith 'x'": "false", "email endsWith '.com'": "true",
		// null
		"discount * 2": "null", "discount > 0": "null", "discount == nil": "true", "discount != nil": "false", "amount != null": "true",
		"custom != nil": "true", "upper(note)": "null", "round(discount, 2)": "null", "string(note)": "null", "!won": "null",
		"won && true": "null", "won && false": "false", "false && won": "false", "won || true": "true", "true || won": "true", "won || false": "null",
		"won or active": "true", "not active": "false", "active and true": "true",
		"stage in ['Lost', nil]": "null", "stage in ['Won', nil]": "true", "note in ['x']": "null", "note contains 'x'": "null",
		// choice
		"won ? 'y' : 'n'": `"n"`, "active ? quantity : 0.5": "3", "active ? nil : 1": "null", "discount ?? 0.0": "0.0", "note ?? nil ?? 'z'": `"z"`,
		"discount ?? quantity": "3", "active ? (stage == 'Won' ? 1 : 2) : 3": "1",
	} {
		p, err := Compile(src, columns, Any)
		if err != nil {
			t.Errorf("Compile(%q): %v", src, err)
			continue
		}
		got, err := p.Eval(getter(row))
		if err != nil || got.JSON() != want {
			t.Errorf("%s = %s, %v; want %s", src, got.JSON(), err, want)
		}
	}
}

func TestNonFinite(t *testing.T) {
	for _, c := range []struct{ amount, src, want string }{
		{`"NaN"`, "amount", `"NaN"`}, {`"NaN"`, "amount * 2", `"NaN"`}, {`"NaN"`, "amount > 1000000", "true"},
		{`"NaN"`, "amount == amount", "true"}, {`"Infinity"`, "-amount", `"-Infinity"`}, {`"-Infinity"`, "amount < 0", "true"},
		{`"Infinity"`, "round(amount, 2)", `"Infinity"`}, {`"NaN"`, "string(amount)", `"NaN"`}, {"-0.00", "amount * 1", "0.00"},
	} {
		p, err := Compile(c.src, columns, Any)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Eval(getter(map[string]string{"amount": c.amount}))
		if err != nil || got.JSON() != c.want {
			t.Errorf("%s with %s = %s, %v; want %s", c.src, c.amount, got.JSON(), err, c.want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct {
		src    string
		want   Type
		offset int
		text   []string
	}{
		{"", Any, 0, []string{"empty"}},
		{"amout * 2", Any, 0, []string{`unknown column "amout"`, "did you mean amount?"}},
		{"1 + walbridge", Any, 4, []string{`unknown column "walbridge"`, "quotes"}},
		{"uper(name)", Any, 0, []string{`unknown function "uper"`, "did you mean upper?"}},
		{"now()", Any, 0, []string{`unknown function "now"`}},
		{"len(name)", Any, 0, []string{`unknown function "len"`, "known functions are upper"}},
		{"filter(tags, true)", Any, 0, []string{`unknown function "filter"`}},
		{"sum(amount)", Any, 0, []string{`unknown function "sum"`}},
		{"if(active, 1, 2)", Any, 0, []string{`unknown function "if"`}},
		{"amount > 'x'", Any, 7, []string{"a decimal cannot be compared with text", "quotes"}},
		{"stage > 0", Any, 6, []string{"text cannot be compared"}},
		{"stage + 1", Any, 6, []string{"string("}},
		{"active + 1", Any, 7, []string{"a boolean cannot be calculated with"}},
		{"custom.a", Any, 7, []string{"parts of a value"}},
		{"custom == 'x'", Any, 0, []string{"json, jsonb or array column", "send it as it is"}},
		{"upper(custom)", Any, 6, []string{"json"}},
		{"tags ?? nil", Any, 0, []string{"json"}},
		{"amount", Bool, 0, []string{"a decimal, but a boolean is wanted"}},
		{"active && amount", Any, 10, []string{"a decimal cannot stand beside", "amount != nil"}},
		{"!amount", Any, 0, []string{"needs a boolean"}},
		{"amount ? 1 : 2", Any, 0, []string{"the condition before ?"}},
		{"active ? 1 : 'x'", Any, 13, []string{"different types", "string(x)"}},
		{"amount ?? 'x'", Any, 10, []string{"different types"}},
		{"round(amount, quantity)", Any, 14, []string{"written out"}},
		{"round(amount, 99)", Any, 14, []string{"0 to 30"}},
		{"round(name)", Any, 6, []string{"needs a number"}},
		{"upper()", Any, 0, []string{"arguments, 0", "upper(name)"}},
		{"col(name)", Any, 4, []string{"written out"}},
		{"col('Close Dat')", Any, 4, []string{"did you mean Close Date?"}},
		{"stage in 'Won'", Any, 6, []string{"after in stands a list"}},
		{"['a']", Any, 0, []string{"a list stands only after in"}},
		{"let x = 1; x", Any, 4, []string{"variables"}},
		{"amount = 1", Any, 7, []string{"compare with =="}},
		{"amount <> 1", Any, 8, []string{"!="}},
		{"amount ** 2", Any, 7, []string{"unknown operator"}},
		{"nil < 1", Any, 4, []string{"nil has no order"}},
		{"'abc", Any, 4, []string{"quote"}},
		{"id == 10000000000000000000", Any, -1, []string{"64 bits", "10000000000000000000.0"}},
		{"1 +", Any, 2, []string{"missing at the end"}},
		{"1 / 0", Any, 2, []string{"division by zero"}},
		{"9223372036854775807 + 1", Any, 20, []string{"64 bits"}},
		{"{a: 1}", Any, 0, []string{"not part of the language"}},
		{"é + amount", Any, 0, []string{`unknown column "é"`}},
		{"stage == 'ü' && amout > 1", Any, 16, []string{"did you mean amount?"}},
		{strings.Repeat("1+", 9000) + "1", Any, 0, []string{"16 KiB"}},
		{strings.Repeat("1+", 2000) + "1", Any, -1, []string{"1000 parts"}},
		{strings.Repeat("(", 16000), Any, -1, nil},
		{strings.Repeat("(", 300) + "won" + strings.Repeat(" ?: won)", 300), Any, -1, []string{"too many parts"}},
	} {
		_, err := Compile(c.src, columns, c.want)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Compile(%.40q) gave %v, want an *Error", c.src, err)
			continue
		}
		if c.offset >= 0 && e.Offset != c.offset {
			t.Errorf("Compile(%.40q): offset %d, want %d (%v)", c.src, e.Offset, c.offset, e)
		}
		for _, text := range c.text {
			if !strings.Contains(e.Error(), text) {
				t.Errorf("Compile(%.40q): %q lacks %q", c.src, e, text)
			}
		}
	}
}

func TestEvalErrorsHoldNoValues(t *testing.T) {
	for _, c := range []struct{ src, column, raw, want string }{
		{"amount * 2", "amount", `"secret"`, "column amount: its value is not a number"},
		{"amount * 2", "amount", "nan", "not a number"},
		{"amount * 2", "amount", strings.Repeat("9", 4000), "too many digits"},
		{"amount * amount * amount", "amount", strings.Repeat("9", 1500), "too many digits"},
		{"big + 1", "big", "9223372036854775807", "64 bits"},
		{"big * big", "big", "9223372036854775807", "64 bits"},
		{"-1 * big", "big", "-9223372036854775808", "64 bits"},
		{"big * -1", "big", "-9223372036854775808", "64 bits"},
		{"1 / quantity", "quantity", "0", "division by zero"},
		{"5 % quantity", "quantity", "0", "division by zero"},
		{"quantity + 1", "quantity", "1.5", "not a whole number"},
		{"upper(name)", "name", `{"secret": 1}`, "JSON object"},
		{"upper(name)", "name", `"\z"`, "not valid JSON"},
		{"!active", "active", `"t"`, "not a boolean"},
		{"amount - amount", "amount", `"Infinity"`, "not a number"},
		{"name + name", "name", `"` + strings.Repeat("secret", 100_000) + `"`, "1 MiB"},
	} {
		p, err := Compile(c.src, columns, Any)
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.Eval(getter(map[string]string{c.column: c.raw}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s gave %q, %v; want an error with %q", c.src, v.JSON(), err, c.want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "99999") {
			t.Errorf("%s: the error shows the value: %.100s", c.src, err)
		}
	}
}

func TestAbsent(t *testing.T) {
	p, err := Compile("upper(note)", columns, Any)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Eval(getter(nil)); err == nil {
		t.Errorf("an absent input gave %q", v.JSON())
	}
	p, err = Compile("note", columns, Any)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Eval(getter(nil)); err != nil || !v.IsAbsent() {
		t.Errorf("an absent column gave %q, %v; want absent", v.JSON(), err)
	}
}

func TestProgram(t *testing.T) {
	p, err := Compile("name + upper(email) + name + (note ?? '')", columns, Text)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Columns(); !slices.Equal(got, []string{"name", "email", "note"}) {
		t.Errorf("columns %v", got)
	}
	if _, ok := p.IsColumn(); ok || p.IsConstant() || p.Type() != Text {
		t.Error("it is neither a column nor a constant, and is text")
	}
	p, err = Compile("amount", columns, Decimal)
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := p.IsColumn(); !ok || name != "amount" {
		t.Errorf("IsColumn gave %q, %v", name, ok)
	}
	p, err = Compile("'x' + 'y'", columns, Any)
	if err != nil || !p.IsConstant() || len(p.Columns()) != 0 {
		t.Errorf("want a constant, got %v, %v", p, err)
	}
}

func TestTypeOf(t *testing.T) {
	for pg, want := range map[string]Type{
		"bigint": Int, "int4": Int, "numeric(12,2)": Decimal, "double precision": Decimal, "boolean": Bool, "jsonb": JSON,
		"integer[]": JSON, "character varying(80)": Text, "timestamp(3) with time zone": Text, "deal_stage": Text, "uuid": Text, "money": Text,
	} {
		if got := TypeOf(pg); got != want {
			t.Errorf("TypeOf(%q) = %v, want %v", pg, got, want)
		}
	}
}
