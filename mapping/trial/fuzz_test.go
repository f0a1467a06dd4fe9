package trial

import (
	"errors"
	"testing"

	"github.com/walbridge/walbridge/mapping"
)

// Whatever a file has in it, it is read or refused with places; what is read can
// be run; and what is recorded of it passes.
func FuzzParse(f *testing.F) {
	for _, c := range badTests {
		f.Add([]byte(c.text))
	}
	for _, name := range []string{"outcomes.yaml", "record.yaml", "record.golden"} {
		f.Add([]byte(read(f, name)))
	}
	m := compile(f, mappingText)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("m.yaml", data, subject())
		if err != nil {
			var errs mapping.Errors
			if !errors.As(err, &errs) || errs.Detail() == "" {
				t.Fatalf("got %#v, want Errors", err)
			}
			return
		}
		rec := s.Record(m, all)
		again, err := Parse("m.yaml", []byte(rec.Text), subject())
		if err != nil || len(again.Cases) != len(s.Cases) {
			t.Fatalf("%v of\n%s", err, rec.Text)
		}
		if twice := again.Record(m, all); twice.Text != rec.Text || len(twice.Recorded) > 0 {
			t.Fatalf("recorded twice:\n%s\n%s", rec.Text, twice.Text)
		}
	})
}
