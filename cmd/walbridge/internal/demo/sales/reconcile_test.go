package sales

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// targets holds objects by app/object, key and field.
type targets map[string]map[string]map[string]json.RawMessage

func (ts targets) objects(app, object string) map[string]map[string]json.RawMessage {
	return ts[app+"/"+object]
}

// perfect fills targets from the source with the SQL of the checks.
func perfect(t *testing.T, conn *pgx.Conn) targets {
	t.Helper()
	run(t, conn, "set timezone = 'UTC'")
	ts := make(targets)
	for _, c := range checks() {
		objects := make(map[string]map[string]json.RawMessage)
		rows, err := conn.Query(t.Context(), c.sql)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for rows.Next() {
			var key string
			var fields map[string]json.RawMessage
			if err := rows.Scan(&key, &fields); err != nil {
				t.Fatal(err)
			}
			objects[key] = fields
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		ts[c.app+"/"+c.object] = objects
	}
	return ts
}

func judge(t *testing.T, conn *pgx.Conn, ts targets) (Report, string) {
	t.Helper()
	report, err := Reconcile(t.Context(), conn, ts.objects)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	n, err := report.WriteTo(&b)
	if err != nil || int(n) != b.Len() {
		t.Fatalf("wrote %d of %d: %v", n, b.Len(), err)
	}
	return report, b.String()
}

func TestReconcileFindsEveryKindOfDifference(t *testing.T) {
	_, conn := newDatabase(t, 1)
	won := one[string](t, conn, "select min(id)::text from opportunities where stage = 'won'")
	open := one[string](t, conn, "select min(id)::text from opportunities where stage = 'proposal' and notes is not null")
	for name, c := range map[string]struct {
		change func(targets)
		says   string
		agrees bool
	}{
		"missing":       {func(ts targets) { delete(ts["crm/Lead"], "3") }, "leads-to-crm: key 3: missing", false},
		"extra":         {func(ts targets) { ts["crm/Lead"]["0"] = ts["crm/Lead"]["3"] }, "leads-to-crm: key 0: extra", false},
		"cleared notes": {func(ts targets) { ts["crm/Opportunity"][open]["Description"] = json.RawMessage("null") }, "key " + open + " field Description: different", false},
		"field missing": {func(ts targets) { delete(ts["crm/Opportunity"][open], "NextStep") }, "key " + open + " field NextStep: field missing", false},
		"field extra":   {func(ts targets) { ts["crm/Account"]["1"]["Foo"] = json.RawMessage("1") }, "accounts-to-crm: key 1 field Foo: field extra", false},
		"text for number": {func(ts targets) {
			ts["crm/Lead"]["1"]["Score__c"] = json.RawMessage(`"` + string(ts["crm/Lead"]["1"]["Score__c"]) + `"`)
		}, "field Score__c: different", false},
		"not json": {func(ts targets) { ts["crm/Lead"]["1"]["Score__c"] = json.RawMessage("x") }, "field Score__c: different", false},
		"a cent": {func(ts targets) {
			d := ts["commission/Deal"][won]
			d["Amount"] = json.RawMessage(one[string](t, conn, "select (amount + 0.01)::text from opportunities where id::text = $1", won))
		}, "the sums of 1 reps differ", false},
		"scale alone": {func(ts targets) {
			d := ts["commission/Deal"][won]
			d["Amount"] = append(d["Amount"], "000"...)
		}, "source and targets agree", true},
		"nothing":    {func(targets) {}, "source and targets agree", true},
		"everything": {func(ts targets) { clear(ts) }, "DO NOT agree", false},
	} {
		t.Run(name, func(t *testing.T) {
			ts := perfect(t, conn)
			c.change(ts)
			report, text := judge(t, conn, ts)
			if report.OK() != c.agrees || !strings.Contains(text, c.says) {
				t.Errorf("OK is %v, want %v; the report should say %q:\n%s", report.OK(), c.agrees, c.says, text)
			}
		})
	}
	t.Run("few are shown", func(t *testing.T) {
		ts := perfect(t, conn)
		secret := "nobody may read this"
		for _, o := range ts["crm/Contact"] {
			o["Name"] = json.RawMessage(`"` + secret + `"`)
		}
		report, text := judge(t, conn, ts)
		if m := report.Mappings[2]; m.Different != seedContacts || len(m.First) != shown {
			t.Errorf("%+v, want all %d different and %d shown", m, seedContacts, shown)
		}
		if strings.Contains(text, secret) {
			t.Error("the report holds values")
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestReportPassesWriteErrors(t *testing.T) {
	if _, err := (Report{}).WriteTo(broken{}); err == nil {
		t.Error("no error")
	}
	if (Report{}).OK() {
		t.Error("an empty report says that all is well")
	}
}

func TestSameJSON(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`1.50`, `1.5`, true},
		{`1e2`, `100`, true},
		{`12345678901234567890.01`, `12345678901234567890.02`, false},
		{`0.1`, `0.10000000000000000001`, false},
		{`"1"`, `1`, false},
		{`null`, `""`, false},
		{`{"a":1,"b":[1,{"c":null}]}`, `{"b":[1.0,{"c":null}],"a":1}`, true},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`"\u00e9<"`, `"é\u003c"`, true},
		{`true`, `true false`, false},
	} {
		got, err := sameJSON([]byte(c.a), []byte(c.b))
		if err != nil || got != c.same {
			t.Errorf("%s and %s: same is %v (%v), want %v", c.a, c.b, got, err, c.same)
		}
	}
}
