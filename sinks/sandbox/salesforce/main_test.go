package salesforce

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The client that judges leaves some answers unread, and with them goroutines of net/http's
// client, which the Server has no use for.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreTopFunction("net/http.setRequestCancel.func4"))
}

const api = "/services/data/v63.0"

// org is a Server with a clock and a client that is logged in.
type org struct {
	*Server
	t     *testing.T
	now   time.Time
	token string
}

func newOrg(t *testing.T, o Options) *org {
	t.Helper()
	g := &org{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	if o.Now == nil {
		o.Now = func() time.Time { return g.now }
	}
	g.Server = New(o)
	g.logIn()
	return g
}

func (g *org) logIn() {
	g.t.Helper()
	a := g.form(url.Values{"grant_type": {"client_credentials"}, "client_id": {"id"}, "client_secret": {"secret"}})
	var in struct {
		Token string `json:"access_token"`
	}
	if a.into(&in); in.Token == "" {
		g.t.Fatalf("log in: %d %s", a.status, a.body)
	}
	g.token = in.Token
}

func (g *org) form(v url.Values) answer {
	g.t.Helper()
	req := httptest.NewRequest("POST", "http://org.example/services/oauth2/token", strings.NewReader(v.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return g.send(req)
}

type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

func (a answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("read %d %s: %v", a.status, a.body, err)
	}
}

// wants fails the test unless the answer has a status and says something.
func (a answer) wants(status int, says ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, text := range says {
		if !strings.Contains(a.body, text) {
			a.t.Fatalf("answer %s, want it to say %s", a.body, text)
		}
	}
	return a
}

func (g *org) send(req *http.Request) answer {
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, req)
	return answer{t: g.t, status: rec.Code, header: rec.Header(), body: rec.Body.String()}
}

// do sends a request; path is below the version, and headers are names and values in turn.
func (g *org) do(method, path, body string, headers ...string) answer {
	g.t.Helper()
	if !strings.HasPrefix(path, "/services") {
		path = api + path
	}
	req := httptest.NewRequestWithContext(g.t.Context(), method, path, bytes.NewBufferString(body))
	req.Header.Set("Authorization", "Bearer "+g.token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return g.send(req)
}

// make makes a record and gives its id.
func (g *org) make(object, fields string) string {
	g.t.Helper()
	var s saved
	g.do("POST", "/sobjects/"+object, fields).wants(201).into(&s)
	return s.ID
}

// one gives the only record of a key.
func (g *org) one(object, field, value string) map[string]any {
	g.t.Helper()
	var out map[string]any
	g.do("GET", "/sobjects/"+object+"/"+field+"/"+url.PathEscape(value), "").wants(200).into(&out)
	return out
}

// upsertMany upserts records, given without their types, and gives the results as a line:
// + for one made, = for one changed, and the codes of those refused.
func (g *org) upsertMany(object, field string, records []string, headers ...string) string {
	g.t.Helper()
	for i, r := range records {
		records[i] = fmt.Sprintf(`{"attributes":{"type":%q},%s`, object, strings.TrimPrefix(r, "{"))
	}
	var list []saved
	g.do("PATCH", "/composite/sobjects/"+object+"/"+field, `{"records":[`+strings.Join(records, ",")+`]}`, headers...).wants(200).into(&list)
	return line(list)
}

func line(list []saved) string {
	parts := make([]string, len(list))
	for i, r := range list {
		switch {
		case !r.Success:
			parts[i] = r.Errors[0].StatusCode
			if r.ID != "" {
				parts[i] += " with an id"
			}
		case r.Created != nil && *r.Created:
			parts[i] = "+"
		default:
			parts[i] = "="
		}
	}
	return strings.Join(parts, " ")
}

func (g *org) authorized(method, path string) *http.Request {
	req := httptest.NewRequestWithContext(g.t.Context(), method, path, nil)
	req.Header.Set("Authorization", "Bearer "+g.token)
	return req
}
