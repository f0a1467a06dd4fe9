package mapping

import (
	"fmt"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

// Tokens tell which fields have another value than before, and of one that was not there nothing.
func TestSignedFieldsDiffer(t *testing.T) {
	sent := func(m *Mapping, row string) string {
		t.Helper()
		rec, _, err := m.Map(upsert(row), sinks.Prior{})
		if err != nil {
			t.Fatal(err)
		}
		return rec.Sent
	}
	m := compile(t, header+"fields: {N: name, A: {value: amount, write: if_changed}, S: {value: stage, write: if_changed}}\n")
	before := sent(m, `{"id":7,"name":"x","amount":1,"stage":"won"}`)
	for row, want := range map[string]string{
		`{"id":7,"name":"y","amount":1,"stage":"won"}`:  "[]",
		`{"id":7,"name":"x","amount":2,"stage":"won"}`:  "[A]",
		`{"id":7,"name":"x","amount":2,"stage":"lost"}`: "[A S]",
	} {
		if got := fmt.Sprint(m.Signed(before, sent(m, row))); got != want {
			t.Errorf("%s: %s differ, want %s", row, got, want)
		}
	}
	more := compile(t, header+"fields: {B: {value: amount, write: if_changed}, S: {value: upper(stage), write: if_changed}}\n")
	now := sent(more, `{"id":7,"name":"x","amount":1,"stage":"won"}`)
	if got := fmt.Sprint(more.Signed(before, now)); got != "[S]" {
		t.Errorf("with another field and another expression %s differ", got)
	}
	if got := more.Signed("", now); got != nil {
		t.Errorf("%v differ from nothing", got)
	}
	if plain := compile(t, header+"fields: {N: name}\n"); plain.Signed(before, "") != nil {
		t.Error("a mapping without such fields tells of some")
	}
}
