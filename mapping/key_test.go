package mapping

import (
	"errors"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

func TestTargetKey(t *testing.T) {
	m := compile(t, "from: opportunities\nwhen: amount > 5\nto: crm/Opportunity\nkey: {Ext: name + string(quantity)}\nfields: {A: amount}\n")
	key, err := m.TargetKey(`{"id":1,"name":"a","quantity":2}`)
	if err != nil || key.Name != "Ext" || string(key.Value) != `"a2"` {
		t.Errorf("got %s %s, %v", key.Name, key.Value, err)
	}
	var unresolved *sinks.Unresolved
	if _, err := m.TargetKey(`{"name":"a"}`); !errors.As(err, &unresolved) || unresolved.Columns[0] != "quantity" {
		t.Errorf("of a row without a column: %v", err)
	}
	for _, row := range []string{`{"name":"a","quantity":null}`, `{"name":"a","quantity":"x"}`, `{`} {
		var rejected *sinks.Rejected
		if _, err := m.TargetKey(row); !errors.As(err, &rejected) {
			t.Errorf("of %s: %v", row, err)
		}
	}
}

func TestKeyIsSource(t *testing.T) {
	for key, want := range map[string]bool{"id": true, "string(id)": true, "string( id )": true, "name": false, "string(name)": false, "id + 1": false, "'x' + string(id)": false} {
		m := compile(t, "from: opportunities\nto: crm/Opportunity\nkey: {Ext: \""+key+"\"}\nfields: {A: amount}\n")
		if m.KeyIsSource() != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
}
