package hubspot

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for _, tc := range []struct{ typ, value, want, code string }{
		{TypeString, "Ünïcode", "Ünïcode", ""},
		{TypeString, strings.Repeat("ü", longest), strings.Repeat("ü", longest), ""},
		{TypeString, strings.Repeat("u", longest+1), "", "INVALID_LENGTH"},
		{TypeNumber, "12345678901234567890.05", "12345678901234567890.05", ""},
		{TypeNumber, "-1e3", "-1e3", ""},
		{TypeNumber, ".5", ".5", ""},
		{TypeNumber, "1,000", "", "INVALID_NUMBER"},
		{TypeNumber, "NaN", "", "INVALID_NUMBER"},
		{TypeDate, "2026-01-31", "2026-01-31", ""},
		{TypeDate, "1769817600000", "2026-01-31", ""},
		{TypeDate, "2026-01-31T00:00:00Z", "2026-01-31", ""},
		{TypeDate, "2026-01-31T02:00:00+02:00", "2026-01-31", ""},
		{TypeDate, "1769817600001", "", "INVALID_DATE"},
		{TypeDate, "2026-01-31T00:00:00+02:00", "", "INVALID_DATE"},
		{TypeDate, "31.01.2026", "", "INVALID_LONG"},
		{TypeDate, "2026-02-30", "", "INVALID_LONG"},
		{TypeDateTime, "2026-01-31T10:00:00.5+01:00", "2026-01-31T09:00:00.500Z", ""},
		{TypeDateTime, "1769850000500", "2026-01-31T09:00:00.500Z", ""},
		{TypeDateTime, "2026-01-31", "2026-01-31T00:00:00.000Z", ""},
		{TypeDateTime, "soon", "", "INVALID_LONG"},
		{TypeEnum, "b", "b", ""},
		{TypeEnum, "B", "", "INVALID_OPTION"},
		{TypeEnum, "a;b", "", "INVALID_OPTION"},
		{TypeBool, "true", "true", ""},
		{TypeBool, "yes", "", "INVALID_OPTION"},
	} {
		p := Property{Name: "p", Type: tc.typ, Options: []string{"a", "b"}}
		kept, bad := p.normalize(tc.value)
		switch {
		case bad == nil && tc.code != "" || bad != nil && bad.code != tc.code:
			t.Errorf("%s %.40q: %v, want code %q", tc.typ, tc.value, bad, tc.code)
		case kept != tc.want:
			t.Errorf("%s %.40q is kept as %.40q, want %.40q", tc.typ, tc.value, kept, tc.want)
		}
		if kept, bad := p.normalize(""); kept != "" || bad != nil {
			t.Errorf("%s cannot be cleared: %v", tc.typ, bad)
		}
	}
}

func TestNormalizeOfPropertiesOfOwnKind(t *testing.T) {
	several := Property{Name: "p", Type: TypeEnum, FieldType: "checkbox", Options: []string{"a", "b"}}
	if kept, bad := several.normalize("a;b"); kept != "a;b" || bad != nil {
		t.Errorf("several options: %q, %v", kept, bad)
	}
	if _, bad := several.normalize("a;c"); bad == nil || bad.message != "c was not one of the allowed options: [a, b]" {
		t.Errorf("a wrong one of several options: %v", bad)
	}
	email := Property{Name: "email", Type: TypeString, email: true}
	if kept, bad := email.normalize("Ada.L@Example.com"); kept != "ada.l@example.com" || bad != nil {
		t.Errorf("email: %q, %v", kept, bad)
	}
	for _, wrong := range []string{"ada", "ada@", "@b.c", "a b@c.d", "a@b", "a@b..c"} {
		if _, bad := email.normalize(wrong); bad == nil || bad.code != "INVALID_EMAIL" {
			t.Errorf("email %q: %v", wrong, bad)
		}
	}
	for _, p := range []Property{{Name: "p", ReadOnly: true}, {Name: "p", Calculated: true}} {
		for _, value := range []string{"1", ""} {
			if _, bad := p.normalize(value); bad == nil || bad.code != "READ_ONLY_VALUE" {
				t.Errorf("%+v took %q", p, value)
			}
		}
	}
	date := Property{Name: "p", Type: TypeDate}
	if _, bad := date.normalize("1579179660000"); bad == nil || bad.message != "1579179660000 is at 13:1:0.0 UTC, not midnight!" {
		t.Errorf("the recorded text of a date that is no midnight: %v", bad)
	}
}
