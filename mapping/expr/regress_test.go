package expr

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

// What a review found, each with the input that showed it.
func TestFoundByReview(t *testing.T) {
	values := map[string]string{
		"name": `"Ada Lovelace"`, "tags": `["smb","partner"]`, "close_date": `"2026-02-03"`, "note": "null", "active": "true", "amount": "1.0",
	}
	for src, want := range map[string]string{
		`replace(name, '(\\w+) (\\w+)', '$2_$1')`: `"Lovelace_Ada"`, `replace(name, 'A', '$$')`: `"$da Lovelace"`, `replace(name, '(?P<x>A)', '<${x}>')`: `"<A>da Lovelace"`,
		"minor_units(12.34, 'RSD')": "1234", "money(1.5, 'RSD')": "1.50", "major_units(1234, 'COP')": "12.34", "minor_units(1, 'VES')": "100", "money(1.23456, 'clf')": "1.2346", "money(1, 'IQD')": "1.000",
		"year(date('0044-03-15 BC'))": "-44", "format_date(date('0044-03-15 BC'), 'YYYY-MM-DD YY')": `"0044-03-15 44"`,
		"close_date ?? '2026-01-01'": `"2026-02-03"`, "coalesce(nil, '2026-01-01', close_date)": `"2026-01-01"`, "active ? '2026-01-01' : close_date": `"2026-01-01"`,
		"least('2026-01-01', close_date)": `"2026-01-01"`, "['2026-01-01', close_date]": `["2026-01-01","2026-02-03"]`, "map(name, {'x': close_date}, '2026-12-31')": `"2026-12-31"`,
		"distinct([1.0, 1.00, 1])": "[1.0]", "last_name('van Beethoven')": `"van Beethoven"`, "last_name('Van Morrison')": `"Morrison"`, "first_name('Lovelace, Ada, PhD')": `"Ada"`,
		"amount in [1, 1.00]": "true", "2 in [1, 2.0]": "true", "'2026-02-03' in [close_date]": "true", "'2026-02-04' in [close_date, nil]": "null", "close_date in ['2026-02-03', nil]": "true", "nil in [1]": "null", "nil in []": "false",
	} {
		if got, err := once(src, values); err != nil || got.JSON() != want {
			t.Errorf("%s = %s, %v; want %s", src, got.JSON(), err, want)
		}
	}
	for src, want := range map[string]string{
		"map(name, {(upper(name)): 'x'}, 'y')": "written out", "map(tags, {'smb': ['a', 'b']})": "a list of lists", "replace(name, '(A)', '$2')": `no such group: "$2"`,
		"replace(name, 'A', '${x}')": "no such group", "replace(name, 'A', '5 $')": "no such group", "money(1, 'XAU')": "ISO 4217",
		"map(name, {(env('S')): 'b', (env('S')): 'c'})": "twice", "close_date ?? 'soon'": "not a date", "name matches '(ab?c?){400}'": "too large",
	} {
		_, err := NewScope(columns, func(string) (string, bool) { return "hunter2", true }).Compile(src, Any)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

// A number that is looked up in a map stays as it is: for the row's other expressions, and
// for others who use the same constant at the time (run with -race).
func TestMapLeavesNumbersAlone(t *testing.T) {
	const long = "12345678901234567890123456789012345678901234567890123456789.000"
	s := NewScope(columns, nil)
	look, err := s.Compile("map(amount, {1: 'one'}, 'other')", Any)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := s.Compile("amount + 0", Any)
	if err != nil {
		t.Fatal(err)
	}
	r := s.NewRow()
	s.Fill(r, map[string]string{"amount": long})
	if _, err := look.Eval(r); err != nil {
		t.Fatal(err)
	}
	if v, err := sum.Eval(r); err != nil || v.JSON() != long {
		t.Errorf("after a look at the map the amount is %s, %v", v.JSON(), err)
	}
	shared, err := s.Compile("map(amount ?? "+long+", {1: 'one'}, 'other')", Any)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			r := s.NewRow()
			for range 100 {
				s.Fill(r, map[string]string{"amount": "null"})
				if _, err := shared.Eval(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Local times become the instants that PostgreSQL has for them, also where the clock is put
// forward or back.
func TestLocalTimesAtTheTurn(t *testing.T) {
	cols := []Column{{Name: "x", Type: "timestamp without time zone"}}
	for _, c := range [][3]string{
		{"2026-03-08T02:30:00", "America/New_York", "2026-03-08T07:30:00+00:00"}, {"2026-11-01T01:30:00", "America/New_York", "2026-11-01T06:30:00+00:00"},
		{"2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00+00:00"}, {"2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T01:30:00+00:00"},
		{"2026-07-01T12:00:00", "Australia/Sydney", "2026-07-01T02:00:00+00:00"},
	} {
		s := NewScope(cols, nil)
		p, err := s.Compile("in_zone(x, '"+c[1]+"')", Any)
		if err != nil {
			t.Fatal(err)
		}
		r := s.NewRow()
		s.Fill(r, map[string]string{"x": `"` + c[0] + `"`})
		if v, err := p.Eval(r); err != nil || v.JSON() != `"`+c[2]+`"` {
			t.Errorf("%s in %s is %s, %v; want %s", c[0], c[1], v.JSON(), err, c[2])
		}
	}
}

// What has no bound of its own is refused before it is made, or run.
func TestBoundedWork(t *testing.T) {
	long := `"` + strings.Repeat("ab", 400_000) + `"`
	many := "[" + strings.Repeat(`"a",`, 20_000) + `"a"]`
	for src, values := range map[string]map[string]string{
		"extract(note, '(a|b|c)*d') in ['1', '2', '3']":                   {"note": long},
		"note matches '(a?b? ?){100}d' && note matches '(a?b? ?){101}d'":  {"note": long},
		"join(tags, '" + strings.Repeat("x", 10_000) + "')":               {"tags": many},
		"replace(note, '(a?b? ?){100}d', 'x') + replace(note, 'a', 'bb')": {"note": long},
	} {
		_, err := once(src, values)
		var e *Error
		if src[0] != 'e' && (!errors.As(err, &e) || !strings.Contains(err.Error(), "too long")) {
			t.Errorf("%.60s: %v", src, err)
		}
	}
}

// A scope whose values must last takes nothing that is kept up to date elsewhere.
func TestLastingScope(t *testing.T) {
	cols := append(columns[:len(columns):len(columns)], Column{Name: "at", Type: "timestamp with time zone"})
	for src, ok := range map[string]bool{
		"amount > 1000": true, "date(at) > '2026-01-01'": true, "upper(name) == 'X'": true, "date(at, 'Europe/Berlin') > '2026-01-01'": false,
		"phone(name, 'DE') != nil": false, "money(amount, 'EUR') > 1": false, "title(name) == 'X'": false, "env('X', 'y') == 'y'": false, "year(in_zone(at, 'UTC')) > 1": true,
	} {
		_, err := NewScope(cols, noEnv).Lasting().Compile(src, Bool)
		if (err == nil) != ok {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// An enum is compared with its labels only, as in PostgreSQL.
func TestLabels(t *testing.T) {
	cols := []Column{{Name: "stage", Type: "deal_stage", Labels: []string{"draft", "open", "won"}}, {Name: "note", Type: "text"}}
	for src, want := range map[string]string{
		"stage != 'drfat'": `the enum stage has no such label: "drfat"; did you mean draft?`, "'x' == stage": "its labels are draft, open, won", "stage in ['open', 'lost']": `"lost"`,
		"map(stage, {'opn': 1}, 0)": `"opn"`, "stage == 'won'": "", "stage in ['open', note]": "", "map(stage, {'open': 1}, 0)": "", "upper(stage) == 'X'": "", "stage == note": "", "stage startsWith 'x'": "",
	} {
		_, err := NewScope(cols, nil).Compile(src, Any)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}
