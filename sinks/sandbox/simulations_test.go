package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// notes is a simulation that keeps the bodies it was sent, by path.
type notes struct {
	got     []string
	refusal func(string, map[string]json.RawMessage) *sim.Refusal
}

func (n *notes) Fault(w http.ResponseWriter, status int, code, message string) {
	http.Error(w, code+": "+message, status)
}

func (n *notes) SetRefusals(f func(string, map[string]json.RawMessage) *sim.Refusal) { n.refusal = f }

func (n *notes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	if refusal := n.refusal("note", map[string]json.RawMessage{"text": body}); refusal != nil {
		http.Error(w, refusal.Code, http.StatusConflict)
		return
	}
	n.got = append(n.got, r.URL.EscapedPath()+" "+string(body))
	w.Header().Set("X-Kept", fmt.Sprint(len(n.got)))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, sim.BaseURL(r))
}

func (n *notes) Objects() []string  { return []string{"empty", "note"} }
func (n *notes) Count(o string) int { return len(n.Records(o, 0)) }
func (n *notes) Records(o string, most int) (rows []sim.Row) {
	for i, text := range n.got {
		if o == "note" && (most == 0 || i < most) {
			rows = append(rows, sim.Row{ID: fmt.Sprint(i), Fields: map[string]json.RawMessage{"text": json.RawMessage(fmt.Sprintf("%q", text))}})
		}
	}
	return rows
}
func (n *notes) Calls() map[string]int64 { return map[string]int64{"post": int64(len(n.got))} }
func (n *notes) Reset()                  { n.got = nil }

// mute is a simulation that can refuse nothing.
type mute struct{ sim.Simulation }

func withNotes() (*Server, *notes) {
	n := &notes{}
	return New(Options{Simulations: map[string]sim.Simulation{"notes": n, "mute": mute{&notes{}}}}), n
}

func TestSimulationsAreServedBelowTheirNames(t *testing.T) {
	s, n := withNotes()
	a := call(t, s, "POST", "/notes/a%2Fb/batch", "hello")
	wantStatus(t, a, http.StatusCreated)
	if a.body != "http://example.com/notes" || a.header.Get("X-Kept") != "1" {
		t.Errorf("answer %q, headers %v", a.body, a.header)
	}
	wantStatus(t, call(t, s, "POST", "/notes/batch", ""), http.StatusCreated) // as an app's path is
	if want := []string{"/a%2Fb/batch hello", "/batch "}; !slices.Equal(n.got, want) {
		t.Errorf("got %q, want %q", n.got, want)
	}
	wantOK(t, call(t, s, "POST", "/crm/batch", upsert("1", "{}", "1-0")))
	wantStatus(t, call(t, s, "POST", "/note/batch", ""), http.StatusNotFound)
	if got := s.Simulations(); !slices.Equal(got, []string{"mute", "notes"}) {
		t.Errorf("simulations %q", got)
	}
}

func TestSimulationTakesTheNameOfAnApp(t *testing.T) {
	s := New(Options{Simulations: map[string]sim.Simulation{"crm": &notes{}}})
	wantStatus(t, call(t, s, "POST", "/crm/batch", ""), http.StatusCreated)
	if got := s.Apps(); slices.Contains(got, "crm") {
		t.Errorf("apps %q, want no crm", got)
	}
}

func TestSimulationsOnThePage(t *testing.T) {
	s, n := withNotes()
	for i := range newestShown + 2 {
		call(t, s, "POST", "/notes/", fmt.Sprint(i))
	}
	inject(t, s, Fault{Kind: Status, App: "notes", Status: 500})
	call(t, s, "POST", "/notes/", "")
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(call(t, s, "GET", "/_summary", "").body), &all); err != nil || len(all) != 5 {
		t.Fatalf("%d in the summary, %v", len(all), err)
	}
	var sum simSummary
	if err := json.Unmarshal(all[4], &sum); err != nil {
		t.Fatal(err)
	}
	if sum.Simulation != "notes" || sum.Stats.Calls["post"] != newestShown+2 || sum.Stats.Faults != 1 ||
		len(sum.Objects) != 1 || sum.Objects[0].Count != newestShown+2 || len(sum.Objects[0].Rows) != newestShown {
		t.Errorf("summary %+v", sum)
	}
	if body := call(t, s, "GET", "/_stats", "").body; !strings.Contains(body, `"notes":{"calls":{"post":10},"faults":1,"objects":10}`) {
		t.Errorf("stats %s", body)
	}
	wantStatus(t, call(t, s, "POST", "/_reset", ""), 200)
	if len(n.got) != 0 || s.sims["notes"].stats().Faults != 0 {
		t.Errorf("reset left %q", n.got)
	}
}

func TestFaultsFallOnSimulations(t *testing.T) {
	s, n := withNotes()
	post := func(path, body string) answer { return call(t, s, "POST", path, body) }
	inject(t, s,
		Fault{Kind: Status, App: "crm", Status: 500},
		Fault{Kind: Status, App: "notes", Object: "slow", Status: 429, RetryAfter: 2 * time.Second},
		Fault{Kind: Status, App: "notes", Status: 502, After: true})
	a := post("/notes/slow/x", "1")
	if wantStatus(t, a, 429); a.header.Get("Retry-After") != "2" || len(n.got) != 0 || a.body != ": scripted answer 429\n" {
		t.Fatalf("headers %v, body %q, got %q", a.header, a.body, n.got)
	}
	a = post("/notes/x", "2")
	if wantStatus(t, a, 502); !slices.Equal(n.got, []string{"/x 2"}) || a.header.Get("X-Kept") != "" {
		t.Fatalf("a lost answer: got %q, headers %v", n.got, a.header)
	}
	wantStatus(t, post("/notes/x", "3"), 201)
	inject(t, s, Fault{Kind: Refuse, App: "notes", Refusal: &Refusal{Field: "text", Value: json.RawMessage("4"), Code: "NO"}})
	wantStatus(t, post("/notes/x", "5"), 201)
	if a := post("/notes/x", "4"); a.status != 409 || a.body != "NO\n" {
		t.Fatalf("refusal %d %q", a.status, a.body)
	}
	if err := s.Inject(Fault{Kind: Refuse, App: "mute", Refusal: &Refusal{Code: "NO"}}); err == nil || !strings.Contains(err.Error(), "mute") {
		t.Errorf("a refusal that can never happen: %v", err)
	}
	inject(t, s, Fault{Kind: Status, App: "notes", Status: 403, Refusal: &Refusal{Code: "SPENT", Message: "no more"}},
		Fault{Kind: Status, App: "mute", Status: 403})
	if a := post("/notes/x", "6"); a.status != 403 || a.body != "SPENT: no more\n" {
		t.Errorf("an answer with a code: %d %q", a.status, a.body)
	}
	if a := post("/mute/x", "6"); a.status != 403 || !strings.Contains(a.body, `"code":"FAULT"`) {
		t.Errorf("an answer of one without a form of its own: %d %q", a.status, a.body)
	}
	inject(t, s, Fault{Kind: Garbage, App: "notes"})
	if a := post("/notes/x", "6"); a.status != 200 || json.Valid([]byte(a.body)) || len(n.got) != 3 {
		t.Errorf("garbage %d %q, got %q", a.status, a.body, n.got)
	}
}

func TestSlowSimulations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := withNotes()
		inject(t, s, Fault{Kind: Delay, App: "notes", Delay: 3 * time.Second}, Fault{Kind: Hang, App: "notes"},
			Fault{Kind: Delay, App: "notes", Delay: time.Hour})
		start := time.Now()
		wantStatus(t, call(t, s, "POST", "/notes/", "1"), 201)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want 3s", d)
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			start = time.Now()
			if a := callCtx(ctx, t, s, "POST", "/notes/", "2"); a.body != "" || time.Since(start) != time.Minute {
				t.Errorf("answered %q after %v", a.body, time.Since(start))
			}
			cancel()
		}
		if len(n.got) != 1 {
			t.Errorf("got %q", n.got)
		}
	})
}

func TestBrokenAnswersOfSimulations(t *testing.T) {
	s, n := withNotes()
	ts := httptest.NewServer(s)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(func() { client.CloseIdleConnections(); ts.Close() })
	inject(t, s, Fault{Kind: Reset, App: "notes", After: true}, Fault{Kind: Truncate, App: "notes"})
	if resp, err := client.Post(ts.URL+"/notes/", "text/plain", strings.NewReader("1")); err == nil {
		resp.Body.Close()
		t.Fatalf("answered %d, want a broken connection", resp.StatusCode)
	}
	resp, err := client.Post(ts.URL+"/notes/", "text/plain", strings.NewReader("2"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	part, err := io.ReadAll(resp.Body)
	if whole := ts.URL + "/notes"; err == nil || resp.StatusCode != 201 || string(part) != whole[:len(whole)/2] {
		t.Errorf("read %d %q with error %v, want half of the answer", resp.StatusCode, part, err)
	}
	if len(n.got) != 2 {
		t.Errorf("got %q, want both to have arrived", n.got)
	}
}

func TestAnotherOriginMayNotWriteToSimulations(t *testing.T) {
	s, n := withNotes()
	req := httptest.NewRequest("POST", "/notes/", nil)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	if rec.Code != 403 || len(n.got) != 0 {
		t.Errorf("status %d, got %q", rec.Code, n.got)
	}
}
