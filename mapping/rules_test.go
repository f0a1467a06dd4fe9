package mapping

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// files is a disk for the files that use: names.
func loader(files map[string]string, env map[string]string) Loader {
	return Loader{
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			text, ok := files[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
	}
}

func parseAll(t *testing.T, l Loader, texts map[string]string) []*File {
	t.Helper()
	var out []*File
	for name, text := range texts {
		f, err := l.Parse(name+".yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *File) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func TestConstantsAndEnvironment(t *testing.T) {
	l := loader(nil, map[string]string{"REGION": "emea", "EMPTY": ""})
	f := parseAll(t, l, map[string]string{"m": header + `fields:
  A: {const: walbridge}
  B: {const: 1.50}
  C: {const: true}
  D: {const: null}
  E: {const: "${REGION}-${STAGE:-test}"}
  F: {const: "$$5 \"q\""}
  G: env('REGION') + '!'
  H: "env('NOPE', 'x')"
  I: {const: "0123"}
delete: {set: {Gone: {const: "by ${REGION}"}}}
`})[0]
	m, err := Compile(f, testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	want := `upsert Ext__c=7 A="walbridge" B=1.50 C=true D=null E="emea-test" F="$5 \"q\"" G="emea!" H="x" I="0123"`
	if got := text(m.Map(upsert(`{"id":7}`), sinks.Prior{})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	live := sinks.Prior{Live: true, Key: sinks.Field{Name: "Ext__c", Value: []byte("7")}}
	if got := text(m.Map(&cdc.Change{Op: cdc.OpDelete, Table: opportunities, Key: `{"id":7}`}, live)); got != `upsert Ext__c=7 Gone="by emea"` {
		t.Errorf("a delete gave %s", got)
	}
}

// What a file uses is told of by its own name and place; its own fields win.
func TestSharedFields(t *testing.T) {
	files := map[string]string{
		"shared/a.yaml":      "description: audit\nfields:\n  Source: {const: db}\n  Name: upper(name)\n",
		"shared/b.yaml":      "fields: {Stage: stage}\n",
		"shared/c.yaml":      "fields: {Stage: name}\n",
		"shared/bad.yaml":    "fields:\n  X: amout\nextra: 1\n",
		"shared/broken.yaml": "fields: {\n",
		"shared/key.yaml":    "fields: {Ext__c: id}\n",
	}
	l := loader(files, nil)
	f := parseAll(t, l, map[string]string{"m": header + "use: [shared/a.yaml, shared/b.yaml]\nfields: {Name: lower(name)}\n"})[0]
	m, err := Compile(f, testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(m.Map(upsert(`{"id":7,"name":"Ab","stage":"won"}`), sinks.Prior{})), `upsert Ext__c=7 Source="db" Stage="won" Name="ab"`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for text, want := range map[string]string{
		"use: [shared/b.yaml, shared/c.yaml]": `m.yaml:5:22: use[1]: a field that shared/b.yaml has already "Stage"; name it under fields: here, which wins over both, or take it out of one file`,
		"use: [shared/bad.yaml]":              `shared/bad.yaml:3:1: extra: unknown key "extra"; known keys are description, fields`,
		"use: [shared/broken.yaml]":           "shared/broken.yaml:1:9: not YAML:",
		"use: [shared/none.yaml]":             "m.yaml:5:7: use[0]: the file cannot be read (file does not exist)",
		"use: [shared/key.yaml]":              "shared/key.yaml:1:10: fields.Ext__c: the field is already the key",
	} {
		_, err := l.Parse("m.yaml", []byte(header+text+"\n"))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v\nwant %s", text, err, want)
		}
	}
	files["shared/bad.yaml"] = "fields:\n  X: amout\n"
	f, err = l.Parse("m.yaml", []byte(header+"use: [shared/bad.yaml]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time gives the same, and no more
		_, err := Compile(f, testCatalog())
		if want := `shared/bad.yaml:2:6: fields.X: unknown column "amout"; did you mean amount?`; err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// Only a mapping that leaves fields out by how they are written makes different records of
// the same row.
func TestSelective(t *testing.T) {
	for fields, want := range map[string]bool{
		"{N: name}": false, "{N: name, O: {value: notes, write: always}}": false,
		"{N: name, O: {value: notes, write: on_create}}": true, "{O: {value: notes, write: if_changed}}": true,
	} {
		if got := compile(t, header+"fields: "+fields+"\n").Selective(); got != want {
			t.Errorf("%s is selective: %v", fields, got)
		}
	}
}

// A field that is written on create is in records that are new at the target, or may be.
func TestWriteOnCreate(t *testing.T) {
	m := compile(t, header+"fields: {N: name, O: {value: notes, write: on_create}}\n")
	for _, c := range []struct {
		prior sinks.Prior
		after string
		want  string
	}{
		{sinks.Prior{}, `{"id":7,"name":"x","notes":"n"}`, `upsert Ext__c=7 N="x" O="n"`},
		{sinks.Prior{Live: true, Doubt: true}, `{"id":7,"name":"x","notes":"n"}`, `upsert Ext__c=7 N="x" O="n"`},
		{sinks.Prior{Live: true}, `{"id":7,"name":"x","notes":"n"}`, `upsert Ext__c=7 N="x"`},
		{sinks.Prior{Live: true}, `{"id":7,"name":"x"}`, `upsert Ext__c=7 N="x"`},
		{sinks.Prior{}, `{"id":7,"name":"x"}`, "unresolved: columns not sent with the change: notes"},
	} {
		if got := text(m.Map(upsert(c.after), c.prior)); got != c.want {
			t.Errorf("%+v %s:\ngot  %s\nwant %s", c.prior, c.after, got, c.want)
		}
	}
}

// A field that is written if it has changed is in a record if and only if its value is not
// known to be what the target was last given, whatever was absent in between.
func TestWriteIfChanged(t *testing.T) {
	m := compile(t, header+"fields: {N: name, A: {value: amount, write: if_changed}, S: {value: upper(stage), write: if_changed}}\n")
	rapid.Check(t, func(t *rapid.T) {
		held := map[string]string{} // what the target is known to have
		prior := sinks.Prior{}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			row := `{"id":7,"name":"x"`
			want := map[string]string{}
			if rapid.Bool().Draw(t, "a") || !prior.Live {
				want["A"] = fmt.Sprint(rapid.IntRange(1, 2).Draw(t, "amount"))
				row += `,"amount":` + want["A"]
			}
			if rapid.Bool().Draw(t, "s") || !prior.Live {
				s := rapid.SampledFrom([]string{"won", "lost"}).Draw(t, "stage")
				want["S"] = `"` + strings.ToUpper(s) + `"`
				row += `,"stage":"` + s + `"`
			}
			rec, send, err := m.Map(upsert(row+"}"), prior)
			if err != nil || !send {
				t.Fatalf("%s: %v %v", row, send, err)
			}
			sent := map[string]string{}
			for _, f := range rec.Fields {
				sent[f.Name] = string(f.Value)
			}
			if sent["N"] != `"x"` {
				t.Fatalf("a plain field was left out of %v", sent)
			}
			for _, f := range []string{"A", "S"} {
				v, there := want[f]
				switch {
				case !there && sent[f] != "":
					t.Fatalf("%s was absent and sent as %s", f, sent[f])
				case there && held[f] == v && sent[f] != "":
					t.Fatalf("%s is %s at the target and was sent again", f, v)
				case there && held[f] != v && sent[f] != v:
					t.Fatalf("%s is %s at the target, not %s, and was sent as %q", f, held[f], v, sent[f])
				}
			}
			for f, v := range sent {
				held[f] = v
			}
			prior.Live, prior.Sent = true, rec.Sent
			if rapid.IntRange(0, 3).Draw(t, "doubt") == 0 {
				prior.Sent = ""
				clear(held)
			}
			if strings.ContainsAny(rec.Sent, " \n") || len(rec.Sent) > 40 {
				t.Fatalf("the signature %q does not fit the state", rec.Sent)
			}
		}
	})
	// A token of another field says nothing.
	other := compile(t, header+"fields: {B: {value: amount, write: if_changed}, S: {value: upper(stage), write: if_changed}}\n")
	row := upsert(`{"id":7,"name":"x","amount":1,"stage":"won"}`)
	rec, _, err := m.Map(row, sinks.Prior{})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(other.Map(row, sinks.Prior{Live: true, Sent: rec.Sent})); got != `upsert Ext__c=7 B=1` {
		t.Errorf("after its fields were renamed, a mapping sends %s", got)
	}
}

// A record with another key is another record: it is made whole, whatever the one before
// was given.
func TestChangedTargetKey(t *testing.T) {
	m := compile(t, "from: opportunities\nto: crm/X\nkey: {K: name}\nfields: {A: amount, C: {value: stage, write: if_changed}, O: {value: quantity, write: on_create}, T: notes}\n")
	rec, _, err := m.Map(upsert(`{"id":7,"name":"a","amount":1,"stage":"won","quantity":3,"notes":"n"}`), sinks.Prior{})
	if err != nil {
		t.Fatal(err)
	}
	prior := sinks.Prior{Live: true, Key: rec.Key, Sent: rec.Sent}
	for after, want := range map[string]string{
		`{"id":7,"name":"a","amount":1,"stage":"won","quantity":3}`:             `upsert K="a" A=1`,
		`{"id":7,"name":"b","amount":1,"stage":"won","quantity":3}`:             "unresolved: columns not sent with the change: notes",
		`{"id":7,"name":"b","amount":1,"stage":"won","quantity":3,"notes":"n"}`: `upsert K="b" A=1 C="won" O=3 T="n"`,
	} {
		if got := text(m.Map(upsert(after), prior)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", after, got, want)
		}
	}
}

func TestReferences(t *testing.T) {
	cat := testCatalog()
	cat.TableColumns[cdc.Table{Schema: "public", Name: "accounts"}] = []Column{{Name: "id", Type: "bigint", Key: true, NotNull: true}, {Name: "name", Type: "text"}}
	cat.TableColumns[cdc.Table{Schema: "public", Name: "lines"}] = []Column{{Name: "b", Type: "text", Key: true}, {Name: "a", Type: "integer", Key: true}}
	texts := map[string]string{
		"deals":    "from: opportunities\nto: crm/Opportunity\nkey: {K: id}\nfields: {Account: \"ref('accounts', account_id)\", N: name, L: \"ref('lines', stage, quantity)\", Self: \"ref('deals', account_id)\"}\n",
		"accounts": "from: accounts\nto: crm/Account\nkey: {Ext__c: \"'A-' + string(id)\"}\nfields: {N: name}\n",
		"lines":    "from: lines\nto: crm/Line\nkey: {LK: b + '/' + string(a)}\nfields: {A: a}\n",
	}
	files := parseAll(t, Loader{}, texts)
	all, err := CompileAll(files, cat)
	if err != nil {
		t.Fatal(err)
	}
	m := all[1]
	rec, send, err := m.Map(upsert(`{"id":7,"account_id":5,"name":"x","stage":"s","quantity":2}`), sinks.Prior{})
	if got, want := text(rec, send, err), `upsert K=7 Account="A-5" N="x" L="s/2" Self=5`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want := []sinks.Parent{
		{Field: "Account", Mapping: "accounts", Source: `{"id":5}`, Key: sinks.Field{Name: "Ext__c", Value: []byte(`"A-5"`)}},
		{Field: "L", Mapping: "lines", Source: `{"b":"s","a":2}`, Key: sinks.Field{Name: "LK", Value: []byte(`"s/2"`)}},
		{Field: "Self", Mapping: "deals", Source: `{"id":5}`, Key: sinks.Field{Name: "K", Value: []byte("5")}},
	}
	if fmt.Sprintf("%+v", rec.Parents) != fmt.Sprintf("%+v", want) {
		t.Errorf("parents %+v\nwant    %+v", rec.Parents, want)
	}
	rec, send, err = m.Map(upsert(`{"id":7,"account_id":null,"name":"x","stage":"s","quantity":null}`), sinks.Prior{})
	if got := text(rec, send, err); got != `upsert K=7 Account=null N="x" L=null Self=null` || len(rec.Parents) != 0 {
		t.Errorf("without parents: %s %v", got, rec.Parents)
	}
	// I5: a reference is never left out for want of its columns.
	if got := text(m.Map(upsert(`{"id":7,"name":"x","stage":"s","quantity":1}`), sinks.Prior{Live: true})); got != "unresolved: columns not sent with the change: account_id" {
		t.Errorf("an absent reference gave %s", got)
	}
	for change, want := range map[[3]string]string{
		{"deals", "ref('accounts', account_id)", "ref('acounts', account_id)"}:      `unknown mapping "acounts"; did you mean accounts?`,
		{"deals", "ref('accounts', account_id)", "ref('accounts', account_id, id)"}: "the key of public.accounts has 1 columns, but 2 are given; give id",
		{"deals", "ref('accounts', account_id)", "ref('accounts', name)"}:           "public.accounts.id is a whole number, not text",
		{"accounts", "'A-' + string(id)", "name"}:                                   `the key of accounts is made of a column that is not in its table's key: "name"`,
		{"accounts", "to: crm/", "to: forecast/"}:                                   `the mapping leads to another target: "forecast"`,
	} {
		altered := map[string]string{}
		for name, text := range texts {
			altered[name] = text
		}
		altered[change[0]] = strings.Replace(altered[change[0]], change[1], change[2], 1)
		_, err := CompileAll(parseAll(t, Loader{}, altered), cat)
		var errs Errors
		if !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(err.Error(), want) || errs[0].File != "deals.yaml" {
			t.Errorf("%v: got %v\nwant %s", change, err, want)
		}
	}
}

// What a domain's values look like follows from the catalog, not from the stream.
func TestLaneRulesReadNoDomains(t *testing.T) {
	cat := testCatalog()
	cat.TableColumns[opportunities][3].TypeOID = 16999 // amount
	cat.TableColumns[opportunities][2].TypeOID = 17000 // stage, an enum
	file := header + "fields: {N: name}\nlane:\n  - urgent: stage == 'won'\n"
	f, err := Parse("m.yml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(f, cat); err != nil {
		t.Errorf("an enum was refused: %v", err)
	}
	f, err = Parse("m.yml", []byte(strings.Replace(file, "stage == 'won'", "amount > 1", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(f, cat); err == nil || !strings.Contains(err.Error(), `"amount"`) {
		t.Errorf("a domain over numeric gave %v", err)
	}
}

func TestLaneRules(t *testing.T) {
	texts := map[string]string{
		"a": header[11:] + "fields: {N: name}\nlane:\n  - urgent: amount > 1000\n  - bulk: stage == 'imported' && notes == nil\n  - normal\n",
		"b": header[11:] + "fields: {N: name}\nlane: bulk\n",
		"c": strings.Replace(header[11:], "opportunities", "notes", 1) + "fields: {N: body}\nlane: urgent\n",
	}
	texts["c"] = strings.Replace(texts["c"], "{Ext__c: id}", "{Ext__c: note_id}", 1)
	cat := testCatalog()
	cat.TableColumns[cdc.Table{Schema: "public", Name: "notes"}][0].Key = true
	all, err := CompileAll(parseAll(t, Loader{}, texts), cat)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].Lane() != "" || all[0].DefaultLane() != "normal" || all[1].Lane() != "bulk" {
		t.Errorf("lanes %q %q %q", all[0].Lane(), all[0].DefaultLane(), all[1].Lane())
	}
	rules, err := LaneRules(all)
	if err != nil || len(rules) != 1 {
		t.Fatalf("rules %v, %v", rules, err)
	}
	again, err := LaneRules(all)
	if err != nil || again[opportunities] != rules[opportunities] {
		t.Errorf("the same rules have two texts, %s and %s", rules[opportunities], again[opportunities])
	}
	lane, err := CompileLaneRules(rules[opportunities])
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range map[string]string{
		`{"id":1,"amount":1000.01,"stage":"x","notes":null}`:     "urgent",
		`{"id":1,"amount":5,"stage":"imported","notes":null}`:    "bulk",
		`{"id":1,"amount":5,"stage":"imported","notes":"x"}`:     "normal",
		`{"id":1,"amount":5,"stage":"imported"}`:                 "normal", // absent is not null
		`{"id":1,"amount":null,"stage":"imported","notes":null}`: "bulk",
		`{"id":1}`:                     "normal",
		`{"id":1,"amount":"nonsense"}`: "normal",
		``:                             "normal",
	} {
		if got := lane(row); got != want {
			t.Errorf("%s travels in %q, want %q", row, got, want)
		}
	}
	for _, text := range []string{"", "{", `{"version":1,"mappings":[{"rules":[{"when":"gone > 1","lane":"urgent"}]}]}`, `{"version":2}`} {
		if _, err := CompileLaneRules(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
