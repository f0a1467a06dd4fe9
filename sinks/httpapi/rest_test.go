package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/sinktest"
	"github.com/walbridge/walbridge/sinks/transport"
)

func text(s string) *form.Tree { return &form.Tree{Kind: form.Text, Text: s} }

// restForm is that of an API without an upsert, which fakeREST is.
func restForm() *form.Form {
	return &form.Form{URL: "http://api.test", Auth: form.Auth{Type: form.AuthBearer}, Requests: map[string]*form.Request{
		form.Lookup: {Path: "/{object}", Query: []form.Pair{{Name: "{key.name}", Value: "{key}"}}, Results: form.Results{List: "data", Match: "{key.name}", ID: "id"}},
		form.Create: {Path: "/{object}", Body: text("{row}"), Results: form.Results{ID: "id"}},
		form.Update: {Path: "/{object}/{id}", Body: text("{fields}"), Results: form.Results{ID: "id"}},
		form.Delete: {Path: "/{object}/{id}"},
		form.Read:   {Path: "/{object}", Query: []form.Pair{{Name: "{key.name}", Value: "{key}"}}, Results: form.Results{List: "data", ID: "id"}},
	}}
}

// fakeREST is an API with ids of its own. Each request and each note is a step, before or
// after which the client may die: nothing of it is carried out any more until it is made anew.
type fakeREST struct {
	mu      sync.Mutex
	records map[string]map[string]json.RawMessage
	made    int
	asked   []string
	cut     int // the step after which the client dies: 2n is before step n is carried out, 2n+1 after; below zero for never
	step    int
	dead    bool
	notes   *sinktest.Notes
}

func newREST() *fakeREST {
	return &fakeREST{records: map[string]map[string]json.RawMessage{}, cut: -1, notes: sinktest.NewNotes()}
}

// at tells whether a step is carried out, and whether that is told.
func (f *fakeREST) at() (done, told bool) {
	n := f.step
	f.step++
	if f.dead {
		return false, false
	}
	f.dead = f.cut == 2*n || f.cut == 2*n+1
	return !f.dead || f.cut == 2*n+1, !f.dead
}

var errDead = errors.New("the connection broke")

func (f *fakeREST) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	done, told := f.at()
	var status int
	var body string
	if done {
		var sent []byte
		if r.Body != nil {
			var err error
			if sent, err = io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		f.asked = append(f.asked, r.Method)
		status, body = f.serve(r, sent)
	}
	if !told {
		return nil, errDead
	}
	return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (f *fakeREST) serve(r *http.Request, sent []byte) (int, string) {
	if r.Header.Get("Authorization") != "Bearer "+secret {
		return 401, `{}`
	}
	var fields map[string]json.RawMessage
	if len(sent) > 0 && json.Unmarshal(sent, &fields) != nil {
		return 400, `{"code":"BAD_JSON"}`
	}
	if string(fields["Note"]) == `"bad"` {
		return 422, `{"code":"BAD_NOTE","message":"` + rowValue + `"}`
	}
	_, id, named := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if named && f.records[id] == nil {
		return 404, `{}`
	}
	switch r.Method {
	case http.MethodGet:
		var found []string
		for _, id := range slices.Sorted(maps.Keys(f.records)) {
			if k := r.URL.Query().Get("Ext"); strings.HasPrefix(sinks.ExactKey(f.records[id]["Ext"]), k) { // it finds too much
				b, err := json.Marshal(f.records[id])
				if err != nil {
					return 500, ""
				}
				found = append(found, string(b))
			}
		}
		return 200, `{"data":[` + strings.Join(found, ",") + `]}`
	case http.MethodPost:
		f.made++
		id = fmt.Sprint("r", f.made)
		f.records[id] = map[string]json.RawMessage{"id": json.RawMessage(`"` + id + `"`)}
		maps.Copy(f.records[id], fields)
		return 201, `{"id":"` + id + `"}`
	case http.MethodPatch:
		maps.Copy(f.records[id], fields)
		return 200, `{"id":"` + id + `"}`
	}
	delete(f.records, id)
	return 204, ""
}

// cutNotes are the notes as a client sees them that may die.
type cutNotes struct {
	sinks.Notes
	f *fakeREST
}

func (f *fakeREST) client(t interface{ Fatal(...any) }) *Client {
	f.dead, f.step = false, 0
	c, err := New(Options{Form: restForm(), Credentials: Credentials{Token: secret}, Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	c.TakeNotes(cutNotes{f.notes, f})
	return c
}

func rec(op sinks.Op, key, note string) sinks.Record {
	r := sinks.Record{Mapping: "deals", Object: "Deal", Op: op, Key: sinks.Field{Name: "Ext", Value: json.RawMessage(`"` + key + `"`)}, Position: cdc.Position{LSN: 9}}
	if op == sinks.Upsert {
		r.Fields = []sinks.Field{{Name: "Note", Value: json.RawMessage(`"` + note + `"`)}}
	}
	return r
}

func deliverOne(t testing.TB, c *Client, r sinks.Record) (sinks.Result, error) {
	t.Helper()
	rs, err := c.Deliver(t.Context(), sinks.Batch{Object: "Deal", Records: []sinks.Record{r}})
	if err != nil {
		return sinks.Result{}, err
	}
	return rs[0], rs[0].Err
}

// held gives the notes of the records with a key.
func (f *fakeREST) held(key string) (notes []string) {
	for _, id := range slices.Sorted(maps.Keys(f.records)) {
		if sinks.ExactKey(f.records[id]["Ext"]) == key {
			notes = append(notes, sinks.ExactKey(f.records[id]["Note"]))
		}
	}
	return notes
}

// How many requests each way takes.
func TestCallsWithoutUpsert(t *testing.T) {
	f := newREST()
	f.records["old"] = map[string]json.RawMessage{"id": json.RawMessage(`"old"`), "Ext": json.RawMessage(`"B"`)}
	f.records["near"] = map[string]json.RawMessage{"id": json.RawMessage(`"near"`), "Ext": json.RawMessage(`"AA"`)}
	c := f.client(t)
	defer c.Close()
	for _, step := range []struct {
		what string
		r    sinks.Record
		want []string
	}{
		{"a new one", rec(sinks.Upsert, "A", "1"), []string{"GET", "POST"}},
		{"a known one", rec(sinks.Upsert, "A", "2"), []string{"PATCH"}},
		{"one that was there", rec(sinks.Upsert, "B", "1"), []string{"GET", "PATCH"}},
		{"a delete", rec(sinks.Delete, "A", ""), []string{"DELETE"}},
		{"a delete of what is not there", rec(sinks.Delete, "A", ""), []string{"GET"}},
		{"after a delete", rec(sinks.Upsert, "A", "3"), []string{"GET", "POST"}},
	} {
		f.asked = nil
		if _, err := deliverOne(t, c, step.r); err != nil || !slices.Equal(f.asked, step.want) {
			t.Errorf("%s: %v, %v; want %v", step.what, f.asked, err, step.want)
		}
	}
	if got := f.held("A"); !slices.Equal(got, []string{"3"}) {
		t.Errorf("A: %v", got)
	}
	// Somebody removes it: the noted id leads nowhere any more.
	clear(f.records)
	f.asked = nil
	if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "4")); err != nil || !slices.Equal(f.asked, []string{"PATCH", "GET", "POST"}) {
		t.Errorf("after it was removed: %v, %v", f.asked, err)
	}
	if _, err := deliverOne(t, c, rec(sinks.Delete, "B", "")); err != nil {
		t.Errorf("a delete of what somebody removed: %v", err)
	}
	held, err := Readable{c}.ReadBack(t.Context(), "Deal", "Ext", []json.RawMessage{json.RawMessage(`"A"`), json.RawMessage(`"none"`)}, []string{"Note", "More"})
	if err != nil || len(held) != 1 || string(held[0].Key) != `"A"` || held[0].RemoteID == "" || len(held[0].Fields) != 1 || string(held[0].Fields["Note"]) != `"4"` {
		t.Errorf("read back %+v, %v", held, err)
	}
}

// Two records with one key are not guessed between, and an archive that the API does not have
// is told as such.
func TestRefusalsWithoutUpsert(t *testing.T) {
	f := newREST()
	for _, id := range []string{"a", "b"} {
		f.records[id] = map[string]json.RawMessage{"id": json.RawMessage(`"` + id + `"`), "Ext": json.RawMessage(`"A"`)}
	}
	c := f.client(t)
	defer c.Close()
	var rej *sinks.Rejected
	if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1")); !errors.As(err, &rej) || rej.Code != CodeSeveral {
		t.Errorf("two with one key: %v", err)
	}
	if _, err := deliverOne(t, c, rec(sinks.Archive, "A", "")); !errors.As(err, &rej) || rej.Code != sinks.CodeNoDelete {
		t.Errorf("an archive: %v", err)
	}
	if _, err := deliverOne(t, c, rec(sinks.Upsert, "C", "bad")); !errors.As(err, &rej) || rej.Code != "http_422" || strings.Contains(err.Error(), rowValue) {
		t.Errorf("a bad one: %v", err)
	}
	var ans *sinks.Answer
	if _, err := deliverOne(t, c, rec(sinks.Upsert, "C", "bad")); !errors.As(err, &ans) || ans.Code != "BAD_NOTE" || ans.Message != rowValue {
		t.Errorf("what the API said is lost: %+v", ans)
	}
	for _, key := range []string{"", ".", ".."} { // of a path
		f := restForm()
		f.Requests[form.Lookup] = &form.Request{Path: "/{object}/by/{key}", Results: form.Results{ID: "id"}}
		p, err := form.Compile(f)
		if err != nil {
			t.Fatal(err)
		}
		r := rec(sinks.Upsert, key, "1")
		if _, err := p.Call(form.Lookup).Build("Deal", []form.Item{{Record: &r}}); !errors.As(err, &rej) {
			t.Errorf("the key %q in a path: %v", key, err)
		}
	}
}

// A 2xx that does not say what it should leaves the outcome open, and a repeat makes no second
// record.
func TestAnswersWithoutSuccess(t *testing.T) {
	for _, body := range []string{"", "{}", "[]", "null", "true", "0", `""`, `{"error":"` + rowValue + `"}`, "<html>", `{"id":`, `{"id":null}`, `{"id":{}}`} {
		f := newREST()
		c := f.client(t)
		lie := &liar{to: f, body: body}
		c.http.Close()
		c.http = transport.New(transport.Options{Transport: lie})
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1")); outcome(err) != "unknown 0s" || strings.Contains(err.Error(), rowValue) {
			t.Errorf("create answered %s: %v", body, err)
		}
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "2")); outcome(err) != "unknown 0s" {
			t.Errorf("update answered %s: %v", body, err)
		}
		lie.body = "-"
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "3")); err != nil || !slices.Equal(f.held("A"), []string{"3"}) {
			t.Errorf("after %s: %v, %v", body, f.held("A"), err)
		}
		c.Close()
	}
}

// liar gives another body for writes, until it is "-".
type liar struct {
	to   http.RoundTripper
	body string
}

func (l *liar) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.to.RoundTrip(r)
	if err == nil && l.body != "-" && r.Method != http.MethodGet {
		res.Body = io.NopCloser(strings.NewReader(l.body))
	}
	return res, err
}
