package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rowValue, secret = "very-private-note", "s3cr3t-token"

func batch(n int) sinks.Batch {
	b := sinks.Batch{Object: "Opportunity"}
	for i := range n {
		b.Records = append(b.Records, sinks.Record{
			Mapping: "deals", Op: sinks.Upsert, Position: cdc.Position{LSN: 10, Ordinal: uint64(i)},
			Key:    sinks.Field{Name: "Ext", Value: json.RawMessage(fmt.Sprint(i))},
			Fields: []sinks.Field{{Name: "Note", Value: json.RawMessage(`"` + rowValue + `"`)}},
		})
	}
	return b
}

func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	c, err := New(Options{URL: s.URL + "/in?key=" + secret, Headers: map[string]Secret{"Authorization": secret}, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return c
}

func TestEncode(t *testing.T) {
	b := sinks.Batch{Object: `De"al`, Records: []sinks.Record{
		{Op: sinks.Upsert, Key: sinks.Field{Name: "Ext", Value: json.RawMessage(`"1"`)}, Position: cdc.Position{LSN: 7, Ordinal: 2},
			Fields: []sinks.Field{{Name: "Z", Value: json.RawMessage("12345678901234567.890")}, {Name: "A", Value: json.RawMessage("null")}}},
		{Op: sinks.Delete, Key: sinks.Field{Name: "Ext", Value: json.RawMessage("2")}, Position: cdc.Position{LSN: 8}},
		{Op: sinks.Archive, Key: sinks.Field{Name: "Ext", Value: json.RawMessage("3")}},
	}}
	got, err := Encode(b)
	want := `{"object":"De\"al","records":[{"op":"upsert","key":{"Ext":"1"},"fields":{"Z":12345678901234567.890,"A":null},"position":"7-2"},` +
		`{"op":"delete","key":{"Ext":2},"position":"8-0"},{"op":"archive","key":{"Ext":3},"position":"0-0"}]}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s %v\nwant %s", got, err, want)
	}
	b.Records[0].Fields[0].Value = nil
	var rej *sinks.Rejected
	if _, err := Encode(b); !errors.As(err, &rej) {
		t.Errorf("a field without a value: %v", err)
	}
}

func TestResults(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Authorization") != secret || !json.Valid(body) {
			t.Errorf("request %s %v %s", r.Method, r.Header, body)
		}
		w.WriteHeader(http.StatusMultiStatus)
		fmt.Fprint(w, `{"results":[{"ok":true,"id":"006A"},{"ok":true,"id":77},{"ok":false,"code":"TOO_LONG","message":"`+rowValue+` is long"},`+
			`{"ok":false,"code":"LOCKED","retryable":true},{"ok":false,"code":"`+rowValue+` here"},{}]}`)
	})
	rs, err := c.Deliver(t.Context(), batch(7))
	if err != nil || len(rs) != 7 {
		t.Fatalf("%d results, %v", len(rs), err)
	}
	if rs[0].Err != nil || rs[0].RemoteID != "006A" || rs[1].RemoteID != "77" {
		t.Errorf("accepted: %+v", rs[:2])
	}
	var rej *sinks.Rejected
	if !errors.As(rs[2].Err, &rej) || rej.Code != "TOO_LONG" {
		t.Errorf("refused: %v", rs[2].Err)
	}
	var ref *sinks.Answer
	if !errors.As(rs[2].Err, &ref) || ref.Detail() != rowValue+" is long" {
		t.Errorf("the target's message is lost: %v", ref)
	}
	var ret *sinks.Retryable
	if !errors.As(rs[3].Err, &ret) || ret.Unknown {
		t.Errorf("locked: %v", rs[3].Err)
	}
	if !errors.As(rs[4].Err, &rej) || rej.Code != "refused" {
		t.Errorf("a code that is a sentence: %v", rs[4].Err)
	}
	for _, r := range rs[5:] {
		if !errors.As(r.Err, &ret) || !ret.Unknown {
			t.Errorf("no result: %v", r.Err)
		}
	}
	for _, r := range rs {
		if r.Err != nil && strings.Contains(r.Err.Error(), rowValue) {
			t.Errorf("a row value in %q", r.Err)
		}
	}
}

// outcome writes the kind of an error in a word.
func outcome(err error) string {
	var (
		ret *sinks.Retryable
		thr *sinks.Throttled
	)
	switch {
	case errors.As(err, &ret):
		s := "retry"
		if ret.Unknown {
			s = "unknown"
		}
		return fmt.Sprint(s, " ", ret.After)
	case errors.As(err, &thr):
		return fmt.Sprint("throttled ", thr.After)
	}
	return sinks.Code(err)
}

func TestBatchErrors(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, rowValue)
		}
	}
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, s) }
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"401":           {status(401), "unauthorized"},
		"403":           {status(403), "unauthorized"},
		"429 seconds":   {status(429, "Retry-After", "7"), "throttled 7s"},
		"429 date":      {status(429, "Retry-After", now.Add(90*time.Second).Format(http.TimeFormat)), "throttled 1m30s"},
		"429 in past":   {status(429, "Retry-After", now.Add(-time.Hour).Format(http.TimeFormat)), "throttled 0s"},
		"429 nonsense":  {status(429, "Retry-After", "soon"), "throttled 0s"},
		"429 huge":      {status(429, "Retry-After", "999999999999"), "throttled 24h0m0s"},
		"408":           {status(408), "unknown 0s"},
		"500":           {status(500), "unknown 0s"},
		"503":           {status(503, "Retry-After", "3"), "unknown 3s"},
		"400":           {status(400), "http_400"},
		"413":           {status(413), "http_413"},
		"404":           {status(404), "misconfigured"},
		"redirect":      {status(307, "Location", "http://127.0.0.1:1/"+secret), "misconfigured"},
		"not JSON":      {body("<html>" + rowValue), "unknown 0s"},
		"wrong JSON":    {body(`{"results":{"` + rowValue + `":1}}`), "unknown 0s"},
		"too many":      {body(`{"results":[{"ok":true},{"ok":true},{"ok":true}]}`), "unknown 0s"},
		"too long":      {body(strings.Repeat(" ", maxAnswer+1)), "unknown 0s"},
		"204":           {status(204), "unknown 0s"},
		"reset":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unknown 0s"},
		"cut in answer": {cut, "unknown 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			target := serve(t, c.h)
			target.now = func() time.Time { return now }
			rs, err := target.Deliver(t.Context(), batch(2))
			if rs != nil || outcome(err) != c.want {
				t.Fatalf("got %v, %s (%v), want %s", rs, outcome(err), err, c.want)
			}
			for _, bad := range []string{secret, rowValue} {
				if strings.Contains(err.Error(), bad) {
					t.Errorf("%q is in %q", bad, err)
				}
			}
		})
	}
}

// cut promises more than it sends and then closes.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	fmt.Fprint(w, `{"results":[{"ok":true}`)
	panic(http.ErrAbortHandler)
}

func TestSlow(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		close(arrived)
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := c.Deliver(ctx, batch(1)); outcome(err) != "unknown 0s" {
		t.Errorf("cancelled in flight: %v", err)
	}
	c.limits.Timeout = time.Nanosecond
	if _, err := c.Deliver(t.Context(), batch(1)); !strings.HasSuffix(outcome(err), "0s") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timeout: %v", err)
	}
}

// A connection that was refused is known not to have carried anything.
func TestRefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{URL: "http://user:" + secret + "@" + addr})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Deliver(t.Context(), batch(1))
	if outcome(err) != "retry 0s" || strings.Contains(err.Error(), secret) {
		t.Errorf("refused connection: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, bad := range []Options{{}, {URL: "ftp://x"}, {URL: "http://"}, {URL: "::" + secret},
		{URL: "http://x", Headers: map[string]Secret{"A b": "x"}}, {URL: "http://x", Headers: map[string]Secret{"A": secret + "\n"}}} {
		if _, err := New(bad); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("options %+v: %v", bad, err)
		}
	}
	c, err := New(Options{URL: "http://x"})
	if err != nil {
		t.Fatal(err)
	}
	if l := c.Limits(); l != (sinks.Limits{MaxBatch: 200, MaxInFlight: 4, Timeout: 15 * time.Second}) {
		t.Errorf("limits %+v", l)
	}
}

func TestSecretHides(t *testing.T) {
	s := Secret(secret)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s)
	j, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %q", s, s, s), log.String(), string(j)} {
		if strings.Contains(shown, secret) {
			t.Errorf("shown in %s", shown)
		}
	}
	if s.Reveal() != secret {
		t.Error("not revealed")
	}
}
