package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"amount", "stage", "close_date", "id", "Owner"}
	for in, want := range map[string]string{
		"amout": "amount", "amuont": "amount", "AMOUNT": "amount", "stge": "stage",
		"closedate": "close_date", "owner": "Owner", "zzzzzz": "", "ix": "id", "amount": "",
	} {
		if got := Name(in, names); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Hint("nothing_like_it", names, "know id"); got != "know id" {
		t.Errorf("Hint fell on %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ü", "u", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
