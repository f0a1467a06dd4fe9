package deliver

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

func TestAdditions(t *testing.T) {
	record := func(fields ...string) *sinks.Record {
		r := &sinks.Record{Object: "Deal", Op: sinks.Upsert, Key: sinks.Field{Name: "id", Value: json.RawMessage("7")}}
		for i := 0; i < len(fields); i += 2 {
			r.Fields = append(r.Fields, sinks.Field{Name: fields[i], Value: json.RawMessage(fields[i+1])})
		}
		return r
	}
	before := hashOf(record("a", "1", "b", "2"))
	for _, c := range []struct {
		name string
		rec  *sinks.Record
		want []string
	}{
		{"one in front", record("x", "9", "a", "1", "b", "2"), []string{"x"}},
		{"one in the midst", record("a", "1", "x", "9", "b", "2"), []string{"x"}},
		{"two apart", record("x", "9", "a", "1", "y", "8", "b", "2"), []string{"x", "y"}},
		{"another value", record("a", "1", "b", "3"), nil},
		{"another value and one more", record("a", "1", "b", "3", "x", "9"), nil},
		{"one less", record("a", "1"), nil},
		{"three", record("a", "1", "b", "2", "x", "1", "y", "2", "z", "3"), nil},
	} {
		var a Additions
		if got := a.Of(c.rec, before); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	var a Additions
	if got := a.Of(record("a", "1", "b", "2", "x", "9"), 0); got != nil {
		t.Errorf("where no hash is known: %v", got)
	}
	for range additionsTries {
		a.Of(record("a", "0"), before)
	}
	if got := a.Of(record("a", "1", "b", "2", "x", "9"), before); got != nil {
		t.Errorf("after so many in vain it was tried again: %v", got)
	}
	a = Additions{found: []string{"x"}, failed: additionsTries}
	if got := a.Of(record("a", "1", "b", "2", "x", "9"), before); !slices.Equal(got, []string{"x"}) {
		t.Errorf("what was found once is not tried: %v", got)
	}
}
