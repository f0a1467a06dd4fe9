package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is what came back for one request.
type answer struct {
	status  int
	header  http.Header
	body    string
	results []result
}

// call asks a handler without a network.
func call(t *testing.T, h http.Handler, method, path, body string) answer {
	t.Helper()
	return callCtx(t.Context(), t, h, method, path, body)
}

func callCtx(ctx context.Context, t *testing.T, h http.Handler, method, path, body string) answer {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, method, path, bytes.NewBufferString(body)))
	a := answer{status: rec.Code, header: rec.Header(), body: rec.Body.String()}
	var resp response
	if err := json.Unmarshal(rec.Body.Bytes(), &resp); err == nil {
		a.results = resp.Results
	}
	return a
}

// upsert is the body of a batch that upserts one opportunity.
func upsert(key, fields, position string) string {
	return fmt.Sprintf(`{"object":"Opportunity","records":[{"op":"upsert","key":{"External_Id__c":%s},"fields":%s,"position":%q}]}`,
		key, fields, position)
}

func wantStatus(t *testing.T, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
}

func wantOK(t *testing.T, a answer) {
	t.Helper()
	wantStatus(t, a, http.StatusOK)
	for i, r := range a.results {
		if !r.OK {
			t.Fatalf("result %d refused: %s %s", i, r.Code, r.Message)
		}
	}
}

// inject fails the test when a fault is not valid.
func inject(t *testing.T, s *Server, faults ...Fault) {
	t.Helper()
	if err := s.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

// serve puts a server on the network and gives a function that posts to it.
func serve(t *testing.T, s *Server) func(body string) (*http.Response, []byte, error) {
	t.Helper()
	ts := httptest.NewServer(s)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(func() { client.CloseIdleConnections(); ts.Close() })
	return func(body string) (*http.Response, []byte, error) {
		resp, err := client.Post(ts.URL+"/crm/batch", "application/json", bytes.NewBufferString(body))
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp, b, err
	}
}
