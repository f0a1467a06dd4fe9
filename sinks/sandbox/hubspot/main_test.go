package hubspot

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the clock of a test begins: in the morning of a Friday.
var start = time.Date(2026, 1, 30, 9, 0, 0, 0, time.UTC)

// desk is an account under test, with a clock that is moved by hand.
type desk struct {
	*Server
	t     *testing.T
	now   time.Time
	token string
}

func newDesk(t *testing.T, o Options) *desk {
	t.Helper()
	d := &desk{t: t, now: start, token: "secret"}
	o.Now = func() time.Time { return d.now }
	d.Server = New(o)
	return d
}

// got is an answer, read.
type got struct {
	Status      int
	Header      http.Header
	Text        string
	Message     string
	Category    string
	SubCategory string
	Context     map[string][]string
	ErrorType   string
	PolicyName  string
	ID          string
	Properties  map[string]*string
	Results     []struct {
		ID         string
		New        *bool
		Trace      string `json:"objectWriteTraceId"`
		Properties map[string]*string
		Archived   bool
		From       ref
		To         json.RawMessage // a record, or a list of associations
		Labels     []string
		Name       string
	}
	NumErrors int
	Errors    []struct {
		Status, Category, SubCategory, Message, Code string
		Context                                      map[string][]string
		Errors                                       []detail
	}
	Paging *paging
	Total  int
}

// ask makes a call and reads the answer.
func (d *desk) ask(method, path, body string) got {
	d.t.Helper()
	req := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, req)
	g := got{Header: rec.Header(), Text: rec.Body.String()}
	var wire struct {
		Status any `json:"status"`
		*got
	}
	wire.got = &g
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &wire); err != nil {
			d.t.Fatalf("%s %s: %v: %s", method, path, err, rec.Body)
		}
	}
	g.Status = rec.Code
	return g
}

const deals = "/crm/objects/2026-03/deals"

// post asks about deals and wants a status.
func (d *desk) post(path, body string, status int) got {
	d.t.Helper()
	g := d.ask("POST", deals+path, body)
	d.want(g, status)
	return g
}

func (d *desk) want(g got, status int) {
	d.t.Helper()
	if g.Status != status {
		d.t.Fatalf("status %d, want %d: %s", g.Status, status, g.Text)
	}
}

// deal makes a deal and gives its id.
func (d *desk) deal(key string) string {
	d.t.Helper()
	g := d.post("", `{"properties":{"dealname":"D `+key+`","wb_key":"`+key+`"}}`, http.StatusCreated)
	return g.ID
}

// property gives what a deal holds; "(none)" where it has no value.
func (d *desk) property(id, name string) string {
	d.t.Helper()
	g := d.ask("GET", deals+"/"+id+"?properties="+name, "")
	d.want(g, http.StatusOK)
	if v := g.Properties[name]; v != nil {
		return *v
	}
	return "(none)"
}

// wantFault looks at an answer of refusal.
func (d *desk) wantFault(g got, status int, category, message string) {
	d.t.Helper()
	d.want(g, status)
	if g.Category != category || !strings.Contains(g.Message, message) {
		d.t.Fatalf("category %q, message %q; want %q and %q", g.Category, g.Message, category, message)
	}
}
