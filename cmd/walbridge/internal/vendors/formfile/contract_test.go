package formfile

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi"
	"github.com/walbridge/walbridge/sinks/sandbox/captivateiq"
	"github.com/walbridge/walbridge/sinks/sandbox/restapi"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// options make a target of a preset at a server.
func options(t testing.TB, name, url string, site sinktest.Site, with httpapi.Credentials) httpapi.Options {
	t.Helper()
	f, err := Make(Source{Preset: name, URL: url, Objects: map[string]string{"Payees": captivateiq.DefaultWorksheets()[1].ID}})
	if err != nil {
		t.Fatal(err)
	}
	return httpapi.Options{Form: f, Credentials: with, Timeout: site.Timeout}
}

func open(t testing.TB, o httpapi.Options) sinks.Target {
	t.Helper()
	c, err := httpapi.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var quota = http.Header{"Ratelimit-Limit": {"100"}, "Ratelimit-Remaining": {"42"}, "Ratelimit-Reset": {"9"}}

const noSchema = "nothing is known of the objects"

// byKey gives the records of a simulation by a field.
func byKey(rows []sim.Row, key string) map[string]map[string]json.RawMessage {
	out := map[string]map[string]json.RawMessage{}
	for _, r := range rows {
		fields := maps.Clone(r.Fields)
		out[sinks.ExactKey(fields[key])] = fields
	}
	return out
}

func TestContractOfCaptivateIQ(t *testing.T) {
	sheet := captivateiq.DefaultWorksheets()[0]
	sheet.Columns = append(sheet.Columns, captivateiq.Column{Name: "Note", Type: captivateiq.TypeText})
	options := func(t testing.TB, site sinktest.Site) httpapi.Options {
		o := options(t, "captivateiq", site.URL+"/ciq/v1", site, httpapi.Credentials{Token: httpapi.Secret(site.Secret)})
		o.Form.Objects = map[string]string{"Deals": sheet.ID}
		return o
	}
	sinktest.Run(t, sinktest.Subject{
		Serve: func(testing.TB) sinktest.Server {
			s := captivateiq.New(captivateiq.Options{Worksheets: []captivateiq.Worksheet{sheet}, Replaces: true})
			return sinktest.Server{Handler: s, Held: func(string) map[string]map[string]json.RawMessage {
				return byKey(s.Records(sheet.Name, 0), sheet.UniqueID)
			}}
		},
		Make:   func(tb testing.TB, site sinktest.Site) sinks.Target { return open(tb, options(tb, site)) },
		Shown:  func(site sinktest.Site) []any { return []any{options(t, site)} },
		Object: "Deals", Key: sheet.UniqueID, Text: "Note", Number: "Amount",
		Bad:     sinks.Field{Name: "Amount", Value: json.RawMessage(`"private"`)},
		Carries: func(r *http.Request) bool { return r.Method == http.MethodPost },
		Reorder: reversed("created", "updated"),
		Lose:    shortened("created", "updated"),
		Quota:   quota,
		Skip:    map[string]string{"describe": noSchema},
	})
}

// lists changes some lists of an answer.
func lists(change func([]json.RawMessage) []json.RawMessage, names ...string) func([]byte) []byte {
	return func(body []byte) []byte {
		var all map[string][]json.RawMessage
		if json.Unmarshal(body, &all) != nil {
			return body
		}
		for _, name := range names {
			all[name] = change(all[name])
		}
		out, err := json.Marshal(all)
		if err != nil {
			return body
		}
		return out
	}
}

func reversed(names ...string) func([]byte) []byte {
	return lists(func(l []json.RawMessage) []json.RawMessage {
		for i, j := 0, len(l)-1; i < j; i, j = i+1, j-1 {
			l[i], l[j] = l[j], l[i]
		}
		return l
	}, names...)
}

func shortened(names ...string) func([]byte) []byte {
	return lists(func(l []json.RawMessage) []json.RawMessage { return l[:max(0, len(l)-1)] }, names...)
}

func TestContractOfREST(t *testing.T) {
	options := func(t testing.TB, site sinktest.Site) httpapi.Options {
		return options(t, "rest", site.URL, site, httpapi.Credentials{Token: httpapi.Secret(site.Secret)})
	}
	sinktest.Run(t, sinktest.Subject{
		Serve: func(tb testing.TB) sinktest.Server {
			s, err := restapi.New(restapi.Options{Collections: map[string]restapi.Rules{"deals": {Unique: []string{"ext"}, Numbers: []string{"amount"}}}})
			if err != nil {
				tb.Fatal(err)
			}
			return sinktest.Server{Handler: s, Held: func(string) map[string]map[string]json.RawMessage { return byKey(s.Records("deals", 0), "ext") }}
		},
		Make:   func(tb testing.TB, site sinktest.Site) sinks.Target { return open(tb, options(tb, site)) },
		Shown:  func(site sinktest.Site) []any { return []any{options(t, site)} },
		Object: "deals", Key: "ext", Text: "note", Number: "amount",
		Bad:     sinks.Field{Name: "amount", Value: json.RawMessage(`"private"`)},
		Carries: func(r *http.Request) bool { return r.Method != http.MethodGet },
		Quota:   quota,
		Skip: map[string]string{"describe": noSchema,
			"success_without_success": "each record has a request of its own, so that the answer is about the first only; see TestAnswersWithoutSuccess"},
	})
}

// receiver is a receiver of webhooks that verifies their signatures, and keeps what they say.
type receiver struct {
	key     []byte
	mu      sync.Mutex
	records map[string]map[string]json.RawMessage
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender has gone
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "."))
	mac.Write(body)
	if !strings.Contains(r.Header.Get("webhook-signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))) {
		http.Error(w, "signature", http.StatusUnauthorized)
		return
	}
	var event struct {
		Type string
		Data struct{ Key, Fields map[string]json.RawMessage }
	}
	if err := json.Unmarshal(body, &event); err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sinks.ExactKey(event.Data.Key["ext"])
	if _, bad := event.Data.Fields["bad"]; bad {
		http.Error(w, "bad", http.StatusUnprocessableEntity)
		return
	}
	if strings.HasSuffix(event.Type, ".upserted") {
		if s.records[key] == nil {
			s.records[key] = map[string]json.RawMessage{}
		}
		maps.Copy(s.records[key], event.Data.Fields)
	} else {
		delete(s.records, key)
	}
	w.WriteHeader(http.StatusNoContent)
}

func TestContractOfWebhooks(t *testing.T) {
	options := func(t testing.TB, site sinktest.Site) httpapi.Options {
		return options(t, "webhook", site.URL, site, httpapi.Credentials{Keys: []httpapi.Secret{
			httpapi.Secret("whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("new", 10)))), httpapi.Secret("whsec_" + base64.StdEncoding.EncodeToString([]byte(site.Secret+strings.Repeat(".", 20))))}})
	}
	const status = "the status of an answer says everything, and its body nothing"
	sinktest.Run(t, sinktest.Subject{
		Serve: func(tb testing.TB) sinktest.Server {
			s := &receiver{key: []byte(strings.Repeat("new", 10)), records: map[string]map[string]json.RawMessage{}}
			return sinktest.Server{Handler: s, Held: func(string) map[string]map[string]json.RawMessage {
				s.mu.Lock()
				defer s.mu.Unlock()
				out := map[string]map[string]json.RawMessage{}
				for k, f := range s.records {
					out[k] = maps.Clone(f)
				}
				return out
			}}
		},
		Make:   func(tb testing.TB, site sinktest.Site) sinks.Target { return open(tb, options(tb, site)) },
		Shown:  func(site sinktest.Site) []any { return []any{options(t, site)} },
		Object: "deal", Key: "ext", Text: "note", Number: "amount",
		Bad:   sinks.Field{Name: "bad", Value: json.RawMessage(`"private"`)},
		Quota: quota,
		Skip:  map[string]string{"describe": noSchema, "success_without_success": status, "wrong_types": status, "not_json": status, "truncated": status, "huge": status},
	})
}
