package salesforce_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
)

// request is one that a scripted org got.
type request struct {
	method, path, body string
	header             http.Header
}

// scripted is an org that answers what a test tells it to. It serves tokens by itself.
type scripted struct {
	*httptest.Server
	mu     sync.Mutex // covers what follows
	tokens int
	got    []request
	answer func(n int, r request) (int, string) // n counts from zero
}

func script(t *testing.T, answer func(n int, r request) (int, string)) *scripted {
	s := &scripted{answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/services/oauth2/token" {
		s.tokens++
		fmt.Fprintf(w, `{"access_token":"token-%d","instance_url":%q}`, s.tokens, s.URL)
		return
	}
	got := request{r.Method, r.URL.RequestURI(), string(body), r.Header}
	s.got = append(s.got, got)
	status, text := s.answer(len(s.got)-1, got)
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// target makes a client of a scripted org.
func (s *scripted) target(t *testing.T, change func(*salesforce.Options)) *salesforce.Client {
	t.Helper()
	return client(t, s.URL, change)
}

func client(t *testing.T, url string, change func(*salesforce.Options)) *salesforce.Client {
	t.Helper()
	o := options(url, "s3cret")
	if change != nil {
		change(&o)
	}
	c, err := salesforce.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func field(name, value string) sinks.Field {
	return sinks.Field{Name: name, Value: json.RawMessage(value)}
}

// rec makes an upsert of an account by its external id.
func rec(key string, fields ...sinks.Field) sinks.Record {
	return sinks.Record{Mapping: "accounts", Source: key, Object: "Account", Op: sinks.Upsert, Key: field("Account_Ext__c", key),
		Fields: fields, Position: cdc.Position{LSN: 1, Ordinal: 2}}
}

func removal(key string) sinks.Record {
	r := rec(key)
	r.Op = sinks.Delete
	return r
}

func batch(rs ...sinks.Record) sinks.Batch { return sinks.Batch{Object: "Account", Records: rs} }

// composite makes an answer to a Composite request, of statuses and bodies in turn.
func composite(parts ...any) string {
	var out []string
	for i := 0; i < len(parts); i += 2 {
		out = append(out, fmt.Sprintf(`{"body":%s,"httpHeaders":{},"httpStatusCode":%d,"referenceId":"r%d"}`, parts[i+1], parts[i], i/2))
	}
	return `{"compositeResponse":[` + strings.Join(out, ",") + `]}`
}

// yes and no are what a collection says of one record.
func yes(id string) string {
	return fmt.Sprintf(`{"id":%q,"success":true,"errors":[],"created":true}`, id)
}

func no(code string) string {
	return fmt.Sprintf(`{"success":false,"errors":[{"statusCode":%q,"message":"m","fields":[]}],"created":false}`, code)
}

func list(items ...string) string { return "[" + strings.Join(items, ",") + "]" }
