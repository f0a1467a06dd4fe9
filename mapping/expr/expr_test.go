package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

var columns = []Column{
	{Name: "id", Type: "bigint"}, {Name: "name", Type: "character varying(80)"}, {Name: "stage", Type: "deal_stage"}, {Name: "email", Type: "text"},
	{Name: "amount", Type: "numeric(12,2)"}, {Name: "discount", Type: "numeric"}, {Name: "rate", Type: "double precision"}, {Name: "quantity", Type: "integer"},
	{Name: "active", Type: "boolean"}, {Name: "won", Type: "boolean"}, {Name: "close_date", Type: "date"}, {Name: "custom", Type: "jsonb"}, {Name: "tags", Type: "text[]"},
	{Name: "note", Type: "text"}, {Name: "Close Date", Type: "date"}, {Name: "big", Type: "bigint"},
}

var row = map[string]string{
	"id": "42", "name": `" Ada \"L\" Ünsal "`, "stage": `"Won"`, "email": `"Ada@Example.com"`,
	"amount": "12345678901234567.89", "discount": "null", "rate": "1e-7", "quantity": "3",
	"active": "true", "won": "null", "close_date": `"2026-02-03"`, "custom": `{"a": [1, 2]}`, "tags": `["x"]`,
	"note": "null", "Close Date": `"2026-01-01"`, "big": "9223372036854775807",
}

// noEnv is an environment without variables.
func noEnv(string) (string, bool) { return "", false }

// once compiles an expression over the columns and evaluates it on a row.
func once(src string, row map[string]string) (cdc.Value, error) {
	s := NewScope(columns, nil)
	p, err := s.Compile(src, Any)
	if err != nil {
		return cdc.Value{}, err
	}
	r := s.NewRow()
	s.Fill(r, row)
	return p.Eval(r)
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
		// dates
		"close_date > '2026-02-02'": "true", "close_date in ['2026-02-03']": "true", "string(close_date) + '!'": `"2026-02-03!"`,
		"year(close_date)": "2026", "days_between(col('Close Date'), close_date)": "33", "greatest(close_date, '2027-01-01')": `"2027-01-01"`,
		"fiscal_quarter(date('2026-02-01'), 2)": "1", "fiscal_year(date('2026-01-31'), 2)": "2026", "fiscal_year(close_date, 1)": "2026",
		"end_of(date('2028-02-10'), 'month')": `"2028-02-29"`, "start_of(close_date, 'week')": `"2026-02-02"`, "end_of(close_date, 'quarter')": `"2026-03-31"`,
		"add_months(date('2026-03-31'), -1)": `"2026-02-28"`, "date('0044-03-15 BC')": `"0044-03-15 BC"`, "date('infinity')": `"infinity"`,
		"in_zone(in_zone(timestamp('2026-07-01T12:00:00Z'), 'Europe/Berlin'), 'UTC')": `"2026-07-01T14:00:00+00:00"`,
		"date(timestamp('2026-07-01T23:00:00Z'), 'Europe/Berlin')":                    `"2026-07-02"`, "epoch(timestamp('1969-12-31T23:59:59.5Z'))": "-1",
		"format_date(timestamp('2026-07-01T23:05:06.789Z'), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS', 'Asia/Tokyo')": `"2026-07-02T08:05:06.789"`,
		"date(note)": "null", "date('')": "null",
		// lists and JSON
		"tags[0]": `"x"`, "tags[5]": "null", "tags[-1]": `"x"`, "'x' in tags": "true", "'y' in tags": "false", "tags contains 'x'": "true", "nil in tags": "null",
		"tags ?? ['none']": `["x"]`, "length(tags)": "1", "['a', stage]": `["a","Won"]`, "[1, 2.5]": "[1,2.5]", "[]": "[]", "[nil]": "[null]",
		"map(tags, {'x': 'X'})": `["X"]`, "map(['x', 'q'], {'x': 'X'}, '?')": `["X","?"]`, "join([1, nil, 2], '-')": `"1-2"`,
		"custom.a[1]": "2", "custom.a[-1]": "2", "custom['a']": "[1, 2]", "custom.b.c": "null", "custom.b?.c": "null", "int(custom.a[0]) + 1": "2", "string(custom.b)": "null",
		"items(custom.a)": `["1","2"]`, "custom.a != nil": "true", "custom.zz == nil": "true",
		// picklists
		"map(stage, {'Won': 'Closed Won'})": `"Closed Won"`, "map(stage, {Won: 1, Lost: 0}, -1)": "1", "map(quantity, {3: 'three'}, 'other')": `"three"`,
		"map(active, {true: 'Y', false: 'N'})": `"Y"`, "map(1.50, {1.5: 'x'})": `"x"`, "map(note, {'a': 'b'})": "null", "map(close_date, {'2026-02-03': 1})": "1",
		"map(stage, {'Won': amount, 'Lost': 0})": "12345678901234567.89",
		// numbers
		"round(2.5, 0, 'half_even')": "2", "round(-2.5, 0, 'down')": "-2", "round(2.51, 1, 'ceiling')": "2.6", "floor(amount)": "12345678901234567", "ceil(-0.5)": "0",
		"minor_units(12.345, 'EUR')": "1235", "minor_units(10, 'JPY')": "10", "major_units(1234, 'EUR')": "12.34", "money(1.5, 'CLF')": "1.5000",
		"int('12')": "12", "int(' ')": "null", "int(2.0)": "2", "int(true)": "1", "decimal('1e2')": "100", "bool('No')": "false", "least(3, 2.5, nil)": "2.5",
		// persons
		"last_name('Lovelace, Ada')": `"Lovelace"`, "first_name('Lovelace, Ada')": `"Ada"`, "last_name('Martin Luther King Jr.')": `"King Jr."`, "last_name('Cher')": `"Cher"`,
		"first_name('Cher')": "null", "email('nobody')": "null", "email('Ada <ada@x.com>')": "null", "domain('ada@Mail.Example.com')": `"mail.example.com"`,
		"domain('acme.com/x?y=1')": `"acme.com"`, "domain('acme')": "null", "phone('+44 20 7946 0018', 'DE')": `"+442079460018"`, "phone('12', 'DE')": "null",
		// texts
		"email matches '^Ada@'": "true", "email matches 'x$'": "false", "replace('a1b22', '[0-9]+', '<$0>')": `"a<1>b<22>"`, "extract('a-b', '-(.)')": `"b"`, "extract('ab', 'x')": "null",
		"truncate('Ünsal', 2)": `"Ün"`, "truncate('ab', 5, '…')": `"ab"`, "pad('123456789', 3, '0')": `"123456789"`, "squeeze(name)": `"Ada \"L\" Ünsal"`,
		"hash('')": `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`, "split('', ',')": "[]",
		// choice
		"won ? 'y' : 'n'": `"n"`, "active ? quantity : 0.5": "3", "active ? nil : 1": "null", "discount ?? 0.0": "0.0", "note ?? nil ?? 'z'": `"z"`,
		"discount ?? quantity": "3", "active ? (stage == 'Won' ? 1 : 2) : 3": "1",
	} {
		got, err := once(src, row)
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
		got, err := once(c.src, map[string]string{"amount": c.amount})
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
		{"now()", Any, 0, []string{`unknown function "now"`, "no clock"}},
		{"frobnicate(name)", Any, 0, []string{"known functions are upper"}},
		{"len(name)", Any, 0, []string{`unknown function "len"`, "length(x)"}},
		{"filter(tags, true)", Any, 0, []string{`unknown function "filter"`}},
		{"sum(amount)", Any, 0, []string{`unknown function "sum"`}},
		{"if(active, 1, 2)", Any, 0, []string{`unknown function "if"`}},
		{"amount > 'x'", Any, 7, []string{"a decimal cannot be compared with text", "quotes"}},
		{"stage > 0", Any, 6, []string{"text cannot be compared"}},
		{"stage + 1", Any, 6, []string{"string("}},
		{"active + 1", Any, 7, []string{"a boolean cannot be calculated with"}},
		{"name.a", Any, 0, []string{`text has no parts "name"`}},
		{"custom[id]", Any, 7, []string{"written out"}},
		{"tags['x']", Any, 5, []string{"must be a number"}},
		{"tags[0:1]", Any, -1, []string{"one item"}},
		{"custom == 'x'", Any, 0, []string{"a JSON value cannot be calculated with", "send it as it is"}},
		{"custom.tier == 'x'", Any, 0, []string{"string(custom.tier)"}},
		{"upper(custom)", Any, 6, []string{"JSON"}},
		{"tags == tags", Any, 0, []string{"a list cannot be compared"}},
		{"upper(tags)", Any, 6, []string{"join(tags, ';')"}},
		{"close_date > 'soon'", Any, 13, []string{`not a date: "soon"`, "2026-01-31"}},
		{"close_date > 5", Any, 11, []string{"a date cannot be compared with a whole number"}},
		{"close_date + 5", Any, 11, []string{"add_days"}},
		{"upper(close_date)", Any, 6, []string{"string(x) makes text"}},
		{"quarter(name)", Any, 8, []string{"needs a date or timestamp, not text", "date(x)"}},
		{"format_date(close_date, 'YYYY-XX')", Any, 24, []string{`unknown in a pattern for dates: "XX"`}},
		{"format_date(close_date, 'HH24')", Any, 24, []string{"no time of day"}},
		{"fiscal_quarter(close_date, 13)", Any, 27, []string{"1 to 12"}},
		{"date(name, 'Mars/Olympus')", Any, 11, []string{"unknown time zone"}},
		{"date(name, 'UTC')", Any, 11, []string{"only an instant"}},
		{"replace(name, '(', '')", Any, 14, []string{"not a regular expression", "missing closing )"}},
		{"name matches stage", Any, 13, []string{"written out"}},
		{"money(amount, 'EURO')", Any, 14, []string{"ISO 4217"}},
		{"phone(name, 'Germany')", Any, 12, []string{"ISO 3166"}},
		{"round(amount, 2, 'bankers')", Any, 17, []string{"half_even"}},
		{"map(stage, stage)", Any, 0, []string{"written out"}},
		{"map(stage, {'a': 1, 'b': 'x'})", Any, -1, []string{"different types"}},
		{"map(stage, {'a': 1, 'a': 2})", Any, 20, []string{"twice"}},
		{"map(custom, {'a': 1})", Any, 4, []string{"JSON"}},
		{"env('NOT_THERE')", Any, 4, []string{"not set", "env('NOT_THERE', 'default')"}},
		{"upper(ref('m', id))", Any, 6, []string{"stands alone"}},
		{"ref(name, id)", Any, 4, []string{"written out"}},
		{"ref('m')", Any, 0, []string{"arguments, 1"}},
		{"ref('m', custom)", Any, 9, []string{"cannot be a key"}},
		{"[1, 'a']", Any, 4, []string{"different types"}},
		{"[[1]]", Any, 1, []string{"list within a list"}},
		{"amount", Bool, 0, []string{"a decimal, but a boolean is wanted"}},
		{"active && amount", Any, 10, []string{"a decimal cannot stand beside", "amount != nil"}},
		{"!amount", Any, 0, []string{"needs a boolean"}},
		{"amount ? 1 : 2", Any, 0, []string{"the condition before ?"}},
		{"active ? 1 : 'x'", Any, 13, []string{"different types", "string(x)"}},
		{"amount ?? 'x'", Any, 10, []string{"different types"}},
		{"round(amount, quantity)", Any, 14, []string{"written out"}},
		{"round(amount, 99)", Any, 14, []string{"0 to 30"}},
		{"round(name)", Any, 6, []string{"needs a number"}},
		{"upper()", Any, 0, []string{"arguments, 0", "upper(x)"}},
		{"col(name)", Any, 4, []string{"written out"}},
		{"col('Close Dat')", Any, 4, []string{"did you mean Close Date?"}},
		{"stage in 'Won'", Any, 6, []string{"after in stands a list"}},
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
		{"{a: 1}", Any, 0, []string{"only within map"}},
		{"é + amount", Any, 0, []string{`unknown column "é"`}},
		{"stage == 'ü' && amout > 1", Any, 16, []string{"did you mean amount?"}},
		{strings.Repeat("1+", 9000) + "1", Any, 0, []string{"16 KiB"}},
		{strings.Repeat("1+", 2000) + "1", Any, -1, []string{"1000 parts"}},
		{strings.Repeat("(", 16000), Any, -1, nil},
		{strings.Repeat("(", 300) + "won" + strings.Repeat(" ?: won)", 300), Any, -1, []string{"too many parts"}},
	} {
		_, err := NewScope(columns, noEnv).Compile(c.src, c.want)
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
		{"map(name, {'a': 'b'})", "name", `"secret"`, "not among the keys"},
		{"int(name)", "name", `"secret"`, "not a whole number"},
		{"date(name)", "name", `"secret"`, "not a date"},
		{"year(close_date)", "close_date", `"infinity"`, "infinite"},
		{"year(close_date)", "close_date", `"secret"`, "not a date"},
		{"tags[0]", "tags", `"secret"`, "not a list"},
		{"tags[0]", "tags", `[["secret"]]`, "plain values"},
		{"string(custom)", "custom", `{"secret": 1}`, "an object or a list"},
		{"name + name", "name", `"` + strings.Repeat("secret", 100_000) + `"`, "1 MiB"},
	} {
		v, err := once(c.src, map[string]string{c.column: c.raw})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s gave %q, %v; want an error with %q", c.src, v.JSON(), err, c.want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "99999") {
			t.Errorf("%s: the error shows the value: %.100s", c.src, err)
		}
	}
}

func TestAbsent(t *testing.T) {
	if v, err := once("upper(note)", nil); err == nil {
		t.Errorf("an absent input gave %q", v.JSON())
	}
	if v, err := once("note", nil); err != nil || !v.IsAbsent() {
		t.Errorf("an absent column gave %q, %v; want absent", v.JSON(), err)
	}
}

func TestProgram(t *testing.T) {
	s := NewScope(columns, nil)
	p, err := s.Compile("name + upper(email) + name + (note ?? '')", Text)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Used(); !slices.Equal(got, []string{"name", "email", "note"}) || !slices.Equal(p.Inputs(), []int{0, 1, 2}) {
		t.Errorf("columns %v, slots %v", got, p.Inputs())
	}
	if _, ok := p.IsColumn(); ok || p.IsConstant() || p.Type() != Text {
		t.Error("it is neither a column nor a constant, and is text")
	}
	p, err = s.Compile("amount", Decimal)
	if err != nil {
		t.Fatal(err)
	}
	if slot, ok := p.IsColumn(); !ok || s.Used()[slot] != "amount" {
		t.Errorf("IsColumn gave %d, %v", slot, ok)
	}
	p, err = s.Compile("'x' + 'y'", Any)
	if err != nil || !p.IsConstant() || len(p.Inputs()) != 0 {
		t.Errorf("want a constant, got %v, %v", p, err)
	}
}

func TestTypeOf(t *testing.T) {
	for pg, want := range map[string]Type{
		"bigint": Int, "int4": Int, "numeric(12,2)": Decimal, "double precision": Decimal, "boolean": Bool, "jsonb": JSON,
		"integer[]": ListOf(Int), "numeric(5,2)[]": ListOf(Decimal), "character varying(80)": Text, "timestamp(3) with time zone": Timestamp,
		"timestamp without time zone": Local, "date": Date, "deal_stage": Text, "uuid": Text, "money": Text, "time without time zone": Text,
	} {
		if got := TypeOf(pg); got != want {
			t.Errorf("TypeOf(%q) = %v, want %v", pg, got, want)
		}
	}
}

// Each function's example gives what it says, and is told once.
func TestExamplesOfFunctions(t *testing.T) {
	columns, row := sample()
	seen := map[string]bool{}
	for _, f := range Functions() {
		if seen[f.Name] || f.About == "" || !strings.HasPrefix(f.Usage, f.Name+"(") {
			t.Errorf("%s is told badly: %+v", f.Name, f)
		}
		if seen[f.Name] = true; f.Name == refName {
			continue
		}
		if !strings.Contains(f.Example, f.Name+"(") {
			t.Errorf("%s: the example %q does not call it", f.Name, f.Example)
		}
		s := NewScope(columns, noEnv)
		p, err := s.Compile(f.Example, Any)
		if err != nil {
			t.Errorf("%s: %v", f.Example, err)
			continue
		}
		r := s.NewRow()
		s.Fill(r, row)
		if v, err := p.Eval(r); err != nil || v.JSON() != f.Gives {
			t.Errorf("%s = %s, %v; the table says %s", f.Example, v.JSON(), err, f.Gives)
		}
	}
}

// What is never null, and how long a text can be, is known where it follows from the
// expression.
func TestBounds(t *testing.T) {
	cols := append(slices.Clone(columns), Column{Name: "code", Type: "character varying(20)", NotNull: true}, Column{Name: "uid", Type: "uuid", NotNull: true}, Column{Name: "n", Type: "integer", NotNull: true})
	for src, want := range map[string]string{
		"name": "null 80", "code": "20", "uid": "36", "note": "null 0", "'abc'": "3", "upper(code)": "20", "truncate(note, 7)": "null 7", "truncate(note, 7) ?? 'none'": "7",
		"code + '-' + uid": "57", "code + note": "null 0", "note ?? code": "0", "active ? code : 'x'": "20", "won ? code : nil": "null 20", "pad(code, 30, '0')": "30", "hash(code)": "64",
		"string(n)": "11", "string(quarter(close_date))": "null 1", "string(won)": "null 5", "map(code, {'a': 'long', 'b': 'x'})": "4", "map(code, {'a': nil}, 'x')": "null 1",
		"format_date(col('Close Date'), 'YYYY-MM')": "null 7", "email(code)": "null 20", "phone(code, 'DE')": "null 16", "extract(code, 'x')": "null 0", "code ?? ''": "20",
		"n + 1": "0", "n > 1": "0", "n == nil": "0", "n > 1 && won": "null 0", "n in [1, 2]": "0", "n in [1, nil]": "null 0", "-n": "0", "!(n > 1)": "0", "greatest(n, quantity)": "0",
		"int(code)": "null 0", "round(n, 2)": "0", "[n]": "0", "tags[0]": "null 0", "code matches 'x'": "0", "date(code)": "null 0", "coalesce(note, 'x')": "0", "code == 'a' ? 1 : 2": "0",
	} {
		p, err := NewScope(cols, noEnv).Compile(src, Any)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		got := fmt.Sprint(p.MaxLen())
		if !p.NotNull() {
			got = "null " + got
		}
		if got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
}
