package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// teller knows one record.
type teller struct{ asked, wait chan struct{} }

func (f *teller) Story(_ context.Context, table, key string) ([]string, error) {
	switch {
	case table == "slow":
		f.asked <- struct{}{}
		<-f.wait
	case table == "broken":
		return nil, errors.New("redis is away")
	case key != "42":
		return nil, &UnknownError{Err: errors.New("nothing is known of the row " + key)}
	}
	return []string{table + " " + key, "  <b>"}, nil
}

// A story is told of one record at a time.
func TestStory(t *testing.T) {
	f := &teller{asked: make(chan struct{}), wait: make(chan struct{})}
	base, _ := start(t, &fake{status: full()}, func(s *Server) { s.teller = f })
	ask := func(query string) (int, string) {
		t.Helper()
		resp, err := client.Get(base + "/api/trace?" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("Cache-Control") != "no-store" {
			t.Error("it may be stored")
		}
		return resp.StatusCode, string(body)
	}
	want := func(query string, status int, text string) {
		t.Helper()
		if got, body := ask(query); got != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %s, want %d and %s", query, got, body, status, text)
		}
	}
	want("table=deals&key=42", http.StatusOK, `{"lines":["deals 42","  \u003cb\u003e"]}`)
	want("table=deals&key=43", http.StatusNotFound, "nothing is known of the row 43")
	want("table=broken&key=42", http.StatusServiceUnavailable, "redis is away")
	want("table=deals", http.StatusBadRequest, "name a table and a key")
	want("key=42", http.StatusBadRequest, "name a table and a key")
	done := make(chan struct{})
	go func() {
		defer close(done)
		want("table=slow&key=42", http.StatusOK, "slow 42")
	}()
	<-f.asked
	want("table=deals&key=42", http.StatusServiceUnavailable, "another story is being told")
	close(f.wait)
	<-done
	want("table=deals&key=42", http.StatusOK, "deals 42")
}

// A process that knows none says so.
func TestNoStory(t *testing.T) {
	base, _ := start(t, &fake{status: full()}, nil)
	resp, err := client.Get(base + "/api/trace?table=deals&key=42")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("%d, %v", resp.StatusCode, err)
	}
}
