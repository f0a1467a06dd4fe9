package wire

import (
	"strings"
	"testing"
)

func TestVerifiedWrite(t *testing.T) {
	v := &Verified{Mappings: []MappingVerified{
		{Mapping: "deals-to-crm", Target: "crm", Object: "Däl", Rows: 48210, Right: 48203, ReadBack: true},
		{Mapping: "a", Target: "crm", Object: "Account", Rows: 7, Right: 7, ReadBack: true},
	}}
	var b strings.Builder
	if err := v.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `  mapping       target        rows  right  missing  stale  different  orphans  unmapped  in flight
  deals-to-crm  crm/Däl      48210  48203        0      0          0        0         0          0
  a             crm/Account      7      7        0      0          0        0         0          0
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}
