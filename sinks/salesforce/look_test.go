package salesforce_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// simulated gives a client of a simulated org, with the org.
func simulated(t *testing.T, change func(*salesforce.Options)) (*salesforce.Client, *sandbox.Server) {
	t.Helper()
	org := sandbox.New(sandbox.Options{})
	server := httptest.NewServer(org)
	t.Cleanup(server.Close)
	return client(t, server.URL, change), org
}

func TestDescribe(t *testing.T) {
	c, org := simulated(t, nil)
	if !c.Describes() {
		t.Error("it describes its objects")
	}
	s, err := c.Describe(t.Context(), "Opportunity")
	if err != nil || s.Validate() != nil {
		t.Fatal(err, s.Validate())
	}
	for _, want := range []sinks.SchemaField{
		{Name: "Opportunity_Ext__c", Type: sinks.FieldText, Length: 80, Key: true},
		{Name: "Name", Type: sinks.FieldText, Length: 120, Required: true, NotNull: true},
		{Name: "Amount", Type: sinks.FieldNumber, Precision: 18, Scale: 2},
		{Name: "CloseDate", Type: sinks.FieldDate, Required: true, NotNull: true},
		{Name: "Synced_At__c", Type: sinks.FieldDateTime},
		{Name: "Removed__c", Type: sinks.FieldBoolean, NotNull: true},
		{Name: "IsWon", Type: sinks.FieldBoolean, NotNull: true, ReadOnly: true},
		{Name: "AccountId", Type: sinks.FieldRef},
		{Name: "Account.Account_Ext__c", Type: sinks.FieldText, Length: 80},
		{Name: "Owner.Employee_No__c", Type: sinks.FieldText, Length: 20},
	} {
		got := s.Field(want.Name)
		if got == nil {
			t.Errorf("there is no %s", want.Name)
			continue
		}
		if got.Values = nil; fmt.Sprint(*got) != fmt.Sprint(want) && want.Name != "Owner.Employee_No__c" {
			t.Errorf("%+v\nwant %+v", *got, want)
		}
	}
	if stage := s.Field("StageName"); !slices.Contains(stage.Values, "Closed Won") {
		t.Errorf("stages %v", stage.Values)
	}
	calls := org.Calls()["api"]
	if _, err := c.Describe(t.Context(), "Opportunity"); err != nil || org.Calls()["api"] != calls {
		t.Errorf("asked again: %d calls, %v", org.Calls()["api"]-calls, err)
	}
	var unknown *sinks.UnknownObject
	if _, err := c.Describe(t.Context(), "Oportunity"); !errors.As(err, &unknown) || !slices.Contains(unknown.Known, "Opportunity") {
		t.Errorf("an unknown object: %v, known %v", err, unknown)
	}
}

// Many deletes take two calls for a thousand: their ids are asked for. What is not there was
// wanted, and one key of several records is no key.
func TestManyDeletes(t *testing.T) {
	c, org := simulated(t, nil)
	var all, gone []sinks.Record
	for i := range 500 {
		r := rec(fmt.Sprintf(`"o'dd\\ %d"`, i), field("Name", `"n"`))
		all = append(all, r)
		r.Op, r.Fields = sinks.Delete, nil
		gone = append(gone, r, removal(fmt.Sprintf(`"never-%d"`, i)))
	}
	if _, err := c.Deliver(t.Context(), batch(all...)); err != nil || org.Count("Account") != 500 {
		t.Fatal(org.Count("Account"), err)
	}
	before := org.Calls()["api"]
	gone[0].Key.Value = json.RawMessage(`"O'DD\\ 0"`)
	rs, err := c.Deliver(t.Context(), batch(gone...))
	if err != nil {
		t.Fatal(err)
	}
	for i := range rs {
		if rs[i].Err != nil {
			t.Errorf("record %d: %v", i, rs[i].Err)
		}
	}
	if n, calls := org.Count("Account"), org.Calls()["api"]-before; n != 0 || calls > 3 { // one of them describes the object
		t.Errorf("%d records are left after %d calls", n, calls)
	}
}

// Upserts and deletes of one batch each keep to what they are.
func TestMixedBatch(t *testing.T) {
	c, org := simulated(t, nil)
	var b []sinks.Record
	for i := range 60 {
		b = append(b, rec(fmt.Sprintf(`"k%d"`, i), field("Name", `"n"`)))
	}
	if _, err := c.Deliver(t.Context(), batch(b...)); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if i%2 == 0 {
			b[i].Op, b[i].Fields = sinks.Archive, nil
		} else {
			b[i].Fields[0] = field("Name", `"newer"`)
		}
	}
	rs, err := c.Deliver(t.Context(), batch(b...))
	if err != nil {
		t.Fatal(err)
	}
	got := held(org, "Account", "Account_Ext__c")
	for i := range b {
		r, there := got[fmt.Sprintf("k%d", i)]
		if rs[i].Err != nil || there == (i%2 == 0) || there && string(r["Name"]) != `"newer"` {
			t.Errorf("record %d: %v, there: %v", i, rs[i].Err, there)
		}
	}
}

// A key that is not the only one of its value is refused, in an upsert and in a delete.
func TestKeyOfSeveralRecords(t *testing.T) {
	c, _ := simulated(t, nil)
	for _, k := range []string{`"a"`, `"b"`} {
		if rs, err := c.Deliver(t.Context(), batch(rec(k, field("Name", `"n"`), field("Legacy_Id__c", `"same"`)))); err != nil || rs[0].Err != nil {
			t.Fatal(rs, err)
		}
	}
	var b []sinks.Record
	for i := range 30 {
		r := removal(`"x"`)
		if r.Key = field("Legacy_Id__c", fmt.Sprintf(`"none-%d"`, i)); i == 3 {
			r.Key.Value = json.RawMessage(`"same"`)
		}
		b = append(b, r)
	}
	up := rec(`"same"`, field("Name", `"n"`))
	up.Key.Name = "Legacy_Id__c"
	for _, b := range [][]sinks.Record{{up}, b[3:4], b} {
		rs, err := c.Deliver(t.Context(), batch(b...))
		if err != nil {
			t.Fatal(err)
		}
		i := min(3, len(b)-1)
		var rej *sinks.Rejected
		if !errors.As(rs[i].Err, &rej) || rej.Code != "DUPLICATE_EXTERNAL_ID" {
			t.Errorf("of %d: %v", len(b), rs[i].Err)
		}
	}
}

func TestReadBack(t *testing.T) {
	c, org := simulated(t, nil)
	var all []sinks.Record
	var keys []json.RawMessage
	for i := range 450 {
		all = append(all, rec(fmt.Sprintf(`"k%d"`, i), field("Name", fmt.Sprintf(`"n%d"`, i)), field("External_Id__c", fmt.Sprint(i)), field("Phone", `null`)))
		keys = append(keys, json.RawMessage(fmt.Sprint(i)))
	}
	all[1].Fields = append(all[1].Fields, field("Owner.Employee_No__c", `"7"`))
	if _, err := c.Deliver(t.Context(), batch(all...)); err != nil {
		t.Fatal(err)
	}
	before := org.Calls()["api"]
	got, err := c.ReadBack(t.Context(), "Account", "External_Id__c", keys, []string{"Name", "Phone", "ParentId", "Owner.Employee_No__c", "Nothing__c"})
	if err != nil || len(got) != 450 {
		t.Fatal(len(got), err)
	}
	for _, h := range got {
		i := sinks.ExactKey(h.Key)
		want := map[string]string{"Name": `"n` + i + `"`, "Phone": "null", "Owner.Employee_No__c": string(h.Fields["Owner.Employee_No__c"])}
		if i == "1" && want["Owner.Employee_No__c"] != `"7"` {
			t.Errorf("owner %s", want["Owner.Employee_No__c"])
		}
		if len(h.Fields) != 3 || h.RemoteID == "" {
			t.Errorf("%+v", h)
		}
		for name, v := range want {
			if string(h.Fields[name]) != v {
				t.Errorf("%s of %s is %s, want %s", name, i, h.Fields[name], v)
			}
		}
	}
	if calls := org.Calls()["api"] - before; calls > 2 { // one of them describes the object
		t.Errorf("%d calls", calls)
	}
	var mis *sinks.Misconfigured
	if _, err := c.ReadBack(t.Context(), "Account", "No_Field__c", keys[:1], nil); !errors.As(err, &mis) {
		t.Errorf("by a field that is not there: %v", err)
	}
	if _, err := c.ReadBack(t.Context(), "Account", "Name) OR (Id != ''", keys[:1], nil); !errors.As(err, &mis) {
		t.Errorf("by what is no field: %v", err)
	}
}

// What a duplicate rule only warns of is saved where that is allowed, by calls and by a job.
func TestDuplicateRules(t *testing.T) {
	people := func(from int) sinks.Batch {
		b := sinks.Batch{Object: "Contact"}
		for i := range 6 {
			r := rec(fmt.Sprintf(`"p%d"`, from+i), field("LastName", `"Lovelace"`), field("Email", `"ada@example.com"`))
			r.Object, r.Key.Name = "Contact", "Contact_Ext__c"
			b.Records = append(b.Records, r)
		}
		return b
	}
	for _, allow := range []bool{false, true} {
		c, _ := simulated(t, func(o *salesforce.Options) { o.AllowDuplicates, o.Bulk.From = allow, 1 })
		c.TakeNotes(sinktest.NewNotes())
		for try, bulk := range []bool{false, true} {
			b := people(10 * try)
			b.Bulk = bulk
			rs, err := c.Deliver(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			for i := 1; i < 6; i++ {
				var rej *sinks.Rejected
				if refused := errors.As(rs[i].Err, &rej) && rej.Code == "DUPLICATES_DETECTED"; refused == allow || allow && rs[i].Err != nil {
					t.Errorf("allow %v, bulk %v: record %d: %v", allow, bulk, i, rs[i].Err)
				}
			}
		}
	}
}

// A lead keeps its owner, unless assignment rules are asked for.
func TestAssignmentRules(t *testing.T) {
	for _, rules := range []bool{false, true} {
		c, org := simulated(t, func(o *salesforce.Options) { o.AssignmentRules = rules })
		r := rec(`"l"`, field("LastName", `"L"`), field("Company", `"C"`), field("Status", `"Open - Not Contacted"`))
		r.Key.Name = "Lead_Ext__c"
		if rs, err := c.Deliver(t.Context(), sinks.Batch{Object: "Lead", Records: []sinks.Record{r}}); err != nil || rs[0].Err != nil {
			t.Fatal(rs, err)
		}
		users := org.Records("User", 0)
		owner := sinks.ExactKey(org.Records("Lead", 0)[0].Fields["OwnerId"])
		mine := slices.ContainsFunc(users, func(u sim.Row) bool { return u.ID == owner && string(u.Fields["Name"]) == `"Integration User"` })
		if mine == rules {
			t.Errorf("rules %v: the owner is %s", rules, owner)
		}
	}
}

// The owner of a lead is a user or a queue, so which of the two is meant has to be said: in a
// call and in a file.
func TestOwnerOfEitherKind(t *testing.T) {
	c, org := simulated(t, func(o *salesforce.Options) { o.Bulk.From = 1 })
	c.TakeNotes(sinktest.NewNotes())
	s, err := c.Describe(t.Context(), "Lead")
	if err != nil || s.Field("User:Owner.Employee_No__c") == nil || s.Field("Owner.Employee_No__c") != nil {
		t.Fatal(s, err)
	}
	for i, bulk := range []bool{false, true} {
		r := rec(fmt.Sprintf(`"l%d"`, i), field("LastName", `"L"`), field("Company", `"C"`), field("Status", `"Open - Not Contacted"`), field("User:Owner.Employee_No__c", `"7"`))
		r.Key.Name = "Lead_Ext__c"
		if rs, err := c.Deliver(t.Context(), sinks.Batch{Object: "Lead", Bulk: bulk, Records: []sinks.Record{r}}); err != nil || rs[0].Err != nil {
			t.Fatal(rs, err)
		}
		owner := sinks.ExactKey(org.Records("Lead", 1)[0].Fields["OwnerId"])
		if !slices.ContainsFunc(org.Records("User", 0), func(u sim.Row) bool {
			return u.ID == owner && string(u.Fields["Employee_No__c"]) == `"7"`
		}) {
			t.Errorf("bulk %v: the owner is %s", bulk, owner)
		}
	}
}

// The requests of the day are told to who wants to know, and run out.
func TestDailyLimit(t *testing.T) {
	org := sandbox.New(sandbox.Options{DailyCalls: 3})
	server := httptest.NewServer(org)
	defer server.Close()
	c := client(t, server.URL, nil)
	var told []sinks.Quota
	c.TellQuota(func(q sinks.Quota) { told = append(told, q) })
	var err error
	for i := range 4 {
		if _, err = c.Deliver(t.Context(), batch(rec(fmt.Sprintf(`"%d"`, i), field("Name", `"n"`)))); err != nil {
			break
		}
	}
	var pau *sinks.Paused
	if !errors.As(err, &pau) || pau.After < time.Minute || sinks.Unknown(err) {
		t.Errorf("the requests are used up: %v", err)
	}
	if len(told) < 3 || told[2].Daily.Left != 0 || told[0].Daily.Limit != 3 {
		t.Errorf("told %+v", told)
	}
}
