package mapping

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// What a review found, each with the input that showed it.
func TestFoundByReview(t *testing.T) {
	live := sinks.Prior{Live: true, Key: sinks.Field{Name: "Ext__c", Value: json.RawMessage("7")}}
	for _, c := range []struct {
		name, file, after string
		prior             sinks.Prior
		want              string
	}{
		{"YAML's other spellings of booleans", "fields: {A: {const: True}, B: {const: FALSE}}", `{"id":7}`, sinks.Prior{}, "upsert Ext__c=7 A=true B=false"},
		{"a null key of a row that may not be meant", "key: {Ext__c: stage}\nfields: {N: name}\nwhen: notes != 'draft'", `{"id":7,"name":"x","stage":null}`, sinks.Prior{},
			"unresolved: columns not sent with the change: notes"},
		{"a key field of another name", "key: {New__c: id}\nfields: {N: {value: name, write: if_changed}, O: {value: stage, write: on_create}, Q: quantity}", `{"id":7,"name":"x","stage":"won","quantity":1}`, live,
			`upsert New__c=7 N="x" O="won" Q=1`},
	} {
		head := header
		if strings.HasPrefix(c.file, "key:") {
			head = strings.Replace(header, "key: {Ext__c: id}\n", "", 1)
		}
		if got := text(compile(t, head+c.file+"\n").Map(upsert(c.after), c.prior)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
	gone := compile(t, header+"fields: {N: name}\ndelete: {set: {Gone: {const: TRUE}}}\n")
	if got := text(gone.Map(&cdc.Change{Op: cdc.OpDelete, Key: `{"id":7}`}, live)); got != "upsert Ext__c=7 Gone=true" {
		t.Errorf("a delete gave %s", got)
	}
}

// Where all fields are only written if they have changed, and none has, there is nothing to
// send; the target's values are still known.
func TestNothingHasChanged(t *testing.T) {
	m := compile(t, header+"fields: {N: {value: name, write: if_changed}, R: {value: \"ref('opps', account_id)\", write: if_changed}}\n")
	row := upsert(`{"id":7,"name":"x","account_id":5,"amount":1}`)
	rec, send, err := m.Map(row, sinks.Prior{})
	if err != nil || !send || len(rec.Parents) != 1 {
		t.Fatalf("%v %v %+v", send, err, rec)
	}
	prior := sinks.Prior{Live: true, Key: rec.Key, Sent: rec.Sent}
	again, send, err := m.Map(row, prior)
	if err != nil || send || again.Op != sinks.Upsert || again.Sent != rec.Sent || len(again.Parents) != 0 {
		t.Errorf("the same row again: %v %v %+v", send, err, again)
	}
	prior.Doubt = true
	if _, send, err := m.Map(row, prior); err != nil || !send {
		t.Errorf("in doubt: %v %v", send, err)
	}
}

// A mapping that refers to one with mistakes has one itself: it must not run.
func TestReferenceToABrokenMapping(t *testing.T) {
	cat := testCatalog()
	accounts := cdc.Table{Schema: "public", Name: "accounts"}
	cat.TableColumns[accounts] = []Column{{Name: "id", Type: "bigint", Key: true, NotNull: true}}
	child := "from: opportunities\nto: crm/Opportunity\nkey: {K: id}\nfields: {Account: \"ref('accounts', account_id)\"}\n"
	for _, parent := range []string{
		"from: accounts\nto: crm/Account\nkey: {K: idd}\nfields: {N: id}\n", "from: acounts\nto: crm/Account\nkey: {K: id}\nfields: {N: id}\n",
	} {
		files := parseAll(t, Loader{}, map[string]string{"accounts": parent, "deals": child})
		all, err := CompileAll(files, cat)
		if err == nil || len(all) != 0 || !strings.Contains(err.Error(), `deals.yaml:4:24: fields.Account: the mapping it refers to has mistakes: "accounts"; mend accounts.yaml`) {
			t.Errorf("%d mappings, %v", len(all), err)
		}
	}
}

// The mistake of a lane rule is told at that rule.
func TestPlaceOfALaneRule(t *testing.T) {
	cat := testCatalog()
	cat.TableColumns[opportunities][4].TypeOID = 16999 // quantity
	f, err := Parse("m.yml", []byte(header+"fields: {N: name}\nlane:\n  - urgent: amount > 10\n  - bulk: quantity == 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(f, cat); err == nil || !strings.HasPrefix(err.Error(), "m.yml:8:11: lane[1].bulk: ") {
		t.Errorf("got %v", err)
	}
}

// A mistake of form hides none that takes the table to be seen.
func TestAllMistakesOfAFile(t *testing.T) {
	f, err := Parse("m.yml", []byte("from: opportunities\nto: crn/Opportunity\nkey: {Ext__c: idd}\nfields: {N: nam, M: [1], A: {valu: x}}\nwhen: amount\nslo: 5\nlan: x\n"))
	if f == nil || err == nil {
		t.Fatalf("got %v, %v", f, err)
	}
	m, more := Compile(f, testCatalog())
	if m != nil {
		t.Error("a file with mistakes became a mapping")
	}
	all := Join(err, more).Error()
	for _, want := range []string{"to: unknown target", "key.Ext__c: unknown column", "fields.N: unknown column", "fields.M: want an expression", "fields.A: no value", `fields.A.valu: unknown key`, "when: the expression gives a decimal", "slo: not a duration", `lan: unknown key`} {
		if strings.Count(all, want) != 1 {
			t.Errorf("%q is not told once in\n%s", want, all)
		}
	}
	for _, text := range []string{"to: crm/X\n", "from: 5\nkey: {A: id}\nfields: {B: nam}\n", "from: opportunities\nfields: {B: nam}\nuse: 5\n"} {
		f, err := Parse("m.yml", []byte(text))
		if err == nil {
			t.Errorf("%q was taken", text)
		}
		if m, _ := Compile(f, testCatalog()); m != nil {
			t.Errorf("%q became a mapping", text)
		}
	}
}

// What a user wrote first, and what to do about it.
func TestHintsForHabits(t *testing.T) {
	for line, want := range map[string]string{
		"  D: name + ' #1'": "YAML takes # after a space for the beginning of a comment", "  D: 'draft' + name": "must be in quotes as a whole",
		"  D: Close Date": `write col("Close Date") for the column`, "  D: \"Close Date ?? '2026-01-01'\"": `write col("Close Date")`, "  D: name LIKE 'A%'": "startsWith",
		"  D: \"amount::text\"": "string(x)", "  D: \"custom->>'tier'\"": "custom.tier", "  D: CASE WHEN active THEN 1 END": "condition ? x : y", "  D: \"name || 'x'\"": "join texts with +",
		"  D: {const: 1e3}": "not a plain number", "  D: current_date": "unknown column",
	} {
		f, err := Parse("m.yml", []byte(header+"fields:\n"+line+"\n"))
		if f != nil {
			_, more := Compile(f, testCatalog())
			err = Join(err, more)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v\nwant %q", line, err, want)
		}
	}
}
