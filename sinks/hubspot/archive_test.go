package hubspot

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

const (
	readPath    = "/crm/objects/2026-03/contacts/batch/read"
	archivePath = "/crm/objects/2026-03/contacts/batch/archive"
)

// Ids are looked for, and come from the notes where the key is not there; what is in neither is done.
func TestArchive(t *testing.T) {
	c := scripted(t, Options{},
		step{path: upsertPath, body: `{"inputs":[{"id":"new","idProperty":"wb_key","objectWriteTraceId":"1","properties":{"wb_key":"new"}}]}`,
			answer: `{"results":[{"id":"9","objectWriteTraceId":"1"}]}`},
		step{path: readPath, body: `{"idProperty":"wb_key","properties":["wb_key"],"propertiesWithHistory":[],"inputs":[{"id":"a"},{"id":"b"},{"id":"c"}]}`, status: 207,
			answer: `{"status":"COMPLETE","results":[{"id":"2","properties":{"wb_key":"b"}}],"errors":[{"category":"OBJECT_NOT_FOUND","message":"x","context":{"ids":["c"]}}]}`},
		step{path: archivePath, body: `{"inputs":[{"id":"1"},{"id":"2"}]}`, status: 204},
	)
	n := withNotes(c)
	n.spaces = map[string]map[string]string{"id:contacts:wb_key": {"a": "1", "z": "7"}, "link:contacts": {"1": "companies=5", "7": "companies=6"}}
	archive := remove("b")
	archive.Op = sinks.Archive
	if got := outcomes(deliver(t, c, remove("a"), upsert("new"), archive, remove("c"))); got != "1, 9, 2, " {
		t.Errorf("got %s", got)
	}
	if got := n.String(); got != "map[id:contacts:wb_key:map[new:9 z:7] link:contacts:map[7:companies=6]]" {
		t.Errorf("notes %s", got)
	}
}

func TestArchiveByID(t *testing.T) {
	c := scripted(t, Options{}, step{path: archivePath, body: `{"inputs":[{"id":"55"}]}`, status: 204})
	r := remove("55")
	r.Key.Name = recordID
	if got := outcomes(deliver(t, c, r)); got != "55" {
		t.Errorf("got %s", got)
	}
}

// What is not there needs no request.
func TestArchiveOfNothing(t *testing.T) {
	c := scripted(t, Options{}, step{path: readPath, answer: `{"status":"COMPLETE","results":[]}`})
	if got := outcomes(deliver(t, c, remove("a"))); got != "" {
		t.Errorf("got %s", got)
	}
}

// HubSpot may write a key in another way than it was given. Such a record is there.
func TestArchiveOfAnotherForm(t *testing.T) {
	one := func(key, answer string) step {
		return step{path: readPath, body: `{"idProperty":"wb_key","properties":["wb_key"],"propertiesWithHistory":[],"inputs":[{"id":"` + key + `"}]}`,
			answer: `{"status":"COMPLETE","results":[` + answer + `]}`}
	}
	c := scripted(t, Options{},
		step{path: readPath, answer: `{"status":"COMPLETE","results":[{"id":"1","properties":{"wb_key":"1"}},{"id":"2","properties":{"wb_key":"b"}}]}`},
		one("1.0", `{"id":"1","properties":{"wb_key":"1"}}`),
		step{path: archivePath, status: 204})
	if got := outcomes(deliver(t, c, remove("1.0"), remove("b"))); got != "1, 2" {
		t.Errorf("got %s", got)
	}
}

// A record is only taken for missing where HubSpot says so.
func TestArchiveFails(t *testing.T) {
	for name, c := range map[string]struct {
		steps []step
		want  string
	}{
		"another error": {[]step{{path: readPath, status: 207, answer: `{"status":"COMPLETE","results":[],"errors":[{"category":"RATE_LIMITS","message":"x"}]}`}}, "batch: throttled 0s"},
		"not complete":  {[]step{{path: readPath, answer: `{"status":"PENDING","results":[]}`}}, "batch: retry 0s"},
		"no status":     {[]step{{path: readPath, answer: `{}`}}, "batch: retry 0s"},
		"without an id": {[]step{{path: readPath, answer: `{"status":"COMPLETE","results":[{"properties":{"wb_key":"a"}}]}`}}, "batch: retry 0s"},
		"no JSON":       {[]step{{path: readPath, answer: `<html>`}}, "batch: retry 0s unknown"},
		"not archived":  {[]step{{path: readPath, answer: `{"status":"COMPLETE","results":[{"id":"1","properties":{"wb_key":"a"}}]}`}, {path: archivePath, answer: `{}`}}, "batch: retry 0s unknown"},
		"throttled":     {[]step{{path: readPath, answer: `{"status":"COMPLETE","results":[{"id":"1","properties":{"wb_key":"a"}}]}`}, {path: archivePath, status: 429}}, "batch: throttled 0s"},
	} {
		if got := outcomes(deliver(t, scripted(t, Options{}, c.steps...), remove("a"))); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// After an upsert was carried out nothing of the batch is without doubt.
func TestArchiveFailsAfterAnUpsert(t *testing.T) {
	c := scripted(t, Options{}, step{path: upsertPath, answer: `{"results":[{"id":"1","objectWriteTraceId":"0"}]}`}, step{path: readPath, status: 429})
	if got := outcomes(deliver(t, c, upsert("b"), remove("a"))); got != "batch: throttled 0s unknown" {
		t.Errorf("got %s", got)
	}
}

func TestReadBack(t *testing.T) {
	c := scripted(t, Options{},
		step{path: readPath, body: `{"idProperty":"email","properties":["email","firstname","phone"],"propertiesWithHistory":[],"inputs":[{"id":"A@x.com"},{"id":"b@x.com"}]}`, status: 207,
			answer: `{"status":"COMPLETE","results":[{"id":"1","properties":{"email":"a@x.com","firstname":"Ana","phone":null,"hs_object_id":"1"}}],"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["b@x.com"]}}]}`},
		step{path: readPath, body: `{"properties":["hs_object_id"],"propertiesWithHistory":[],"inputs":[{"id":"7"}]}`, answer: `{"status":"COMPLETE","results":[{"id":"7"}]}`})
	got, err := c.ReadBack(t.Context(), "contacts", "email", []json.RawMessage{json.RawMessage(`"A@x.com"`), json.RawMessage(`"b@x.com"`)}, []string{"firstname", "association.companies", "phone"})
	if err != nil || len(got) != 1 || string(got[0].Key) != `"a@x.com"` || got[0].RemoteID != "1" || len(got[0].Fields) != 2 ||
		string(got[0].Fields["firstname"]) != `"Ana"` || string(got[0].Fields["phone"]) != "null" {
		t.Errorf("got %+v %v", got, err)
	}
	got, err = c.ReadBack(t.Context(), "contacts", recordID, []json.RawMessage{json.RawMessage("7")}, nil)
	if err != nil || len(got) != 1 || string(got[0].Key) != `"7"` {
		t.Errorf("by id: %+v %v", got, err)
	}
}

func TestDescribe(t *testing.T) {
	c := scripted(t, Options{Associations: []Association{{From: "contact", To: "2-77", Name: "cars"}, {From: "deals", To: "2-78"}}}, step{path: "/crm/v3/properties/contacts", answer: `{"results":[
		{"name":"email","type":"string","fieldType":"text"},
		{"name":"wb_key","type":"string","fieldType":"text","hasUniqueValue":true},
		{"name":"hs_object_id","type":"number","fieldType":"number","modificationMetadata":{"readOnlyValue":true}},
		{"name":"score","type":"number","fieldType":"calculation_equation","calculated":true},
		{"name":"born","type":"date","fieldType":"date"},{"name":"seen","type":"datetime","fieldType":"date"},
		{"name":"vip","type":"bool","fieldType":"booleancheckbox"},
		{"name":"agreed","type":"enumeration","fieldType":"booleancheckbox","options":[{"value":"true"},{"value":"false"}]},
		{"name":"stage","type":"enumeration","fieldType":"radio","options":[{"value":"lead"},{"value":"customer","hidden":true}]},
		{"name":"regions","type":"enumeration","fieldType":"checkbox","options":[{"value":"emea"}]},
		{"name":"hubspot_owner_id","type":"enumeration","fieldType":"select","externalOptions":true,"referencedObjectType":"OWNER","options":[]},
		{"name":"where","type":"object_coordinates"},{"name":"old","type":"string","archived":true}]}`})
	s, err := c.Describe(t.Context(), "contacts")
	if err != nil || !c.Describes() {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range s.Fields {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(b)
	}
	for name, want := range map[string]string{
		"email": `{"name":"email","type":"text","key":true}`, "wb_key": `{"name":"wb_key","type":"text","key":true}`,
		"hs_object_id": `{"name":"hs_object_id","type":"number","read_only":true,"key":true}`, "score": `{"name":"score","type":"number","read_only":true}`,
		"born": `{"name":"born","type":"date"}`, "seen": `{"name":"seen","type":"date_time"}`, "vip": `{"name":"vip","type":"boolean"}`, "agreed": `{"name":"agreed","type":"boolean"}`,
		"stage": `{"name":"stage","type":"text","values":["lead","customer"]}`, "regions": `{"name":"regions","type":"options"}`,
		"hubspot_owner_id": `{"name":"hubspot_owner_id","type":"text"}`, "where": `{"name":"where","type":"object_coordinates"}`, "old": "",
		"association.companies": `{"name":"association.companies","type":"reference"}`, "association.deal": `{"name":"association.deal","type":"reference"}`,
		"association.cars": `{"name":"association.cars","type":"reference"}`, "association.2-78": "",
	} {
		if got[name] != want {
			t.Errorf("%s: got %s, want %s", name, got[name], want)
		}
	}
}

func TestDescribeErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status       int
		answer, want string
	}{
		"no object":  {400, `{"category":"VALIDATION_ERROR","message":"Unable to infer object type from: x"}`, "unknown object"},
		"404":        {404, `{"category":"OBJECT_NOT_FOUND","message":"` + rowValue + `"}`, "unknown object"},
		"400":        {400, `{"category":"VALIDATION_ERROR","message":"?"}`, "misconfigured: check the target's url and version, and the mapping's object"},
		"401":        {401, "", "unauthorized"},
		"403":        {403, `{"category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":["crm.schemas.contacts.read"]}}]}`, "misconfigured: give the app the scope crm.schemas.contacts.read"},
		"429":        {429, "", "throttled 0s"},
		"no JSON":    {200, "<html>", "retry 0s unknown"},
		"no results": {200, "{}", "retry 0s unknown"},
		"a name":     {200, `{"results":[{"type":"string"}]}`, "retry 0s unknown"},
	} {
		client := scripted(t, Options{}, step{path: "/crm/v3/properties/a%2Fb", status: c.status, answer: c.answer})
		_, err := client.Describe(t.Context(), "a/b")
		var unknown *sinks.UnknownObject
		got := outcome(err)
		if errors.As(err, &unknown) && unknown.Object == "a/b" && len(unknown.Known) > 3 {
			got = "unknown object"
		}
		if got != c.want {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, c.want)
		}
	}
}

// Somebody deletes a record and makes it again, so that the noted id is that of another one: a
// delete means the one that has the key.
func TestArchiveOfWhatWasMadeAgain(t *testing.T) {
	s := sandbox.New(sandbox.Options{FreeArchived: true})
	c := serve(t, Options{}, s)
	n := withNotes(c)
	var ids []string
	for range 2 {
		id := outcomes(deliver(t, c, upsert("a")))
		if ids = append(ids, id); len(ids) == 1 {
			if _, err := c.post(t.Context(), c.paths.objects("contacts", "batch/archive"), inputs[ref]{refs([]string{id})}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if ids[0] == ids[1] {
		t.Fatalf("ids %v", ids)
	}
	n.spaces["id:contacts:wb_key"]["a"] = ids[0]
	if got := outcomes(deliver(t, c, remove("a"))); got != ids[1] || s.Count("contacts") != 0 {
		t.Errorf("got %s, want %s; %d are left", got, ids[1], s.Count("contacts"))
	}
}
