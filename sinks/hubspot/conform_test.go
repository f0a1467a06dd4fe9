package hubspot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// subject is the target in front of the simulation.
func subject(login bool) sinktest.Subject {
	key, value := "wb_key", "contacts"
	return sinktest.Subject{
		Serve: func(testing.TB) sinktest.Server {
			o := sandbox.Options{FreeArchived: true}
			s := sandbox.New(sandboxOptions(o, login))
			return sinktest.Server{Handler: s, Held: func(object string) map[string]map[string]json.RawMessage {
				out := map[string]map[string]json.RawMessage{}
				for _, row := range s.Records(object, 0) {
					out[sinks.ExactKey(row.Fields[key])] = row.Fields
				}
				return out
			}}
		},
		Make: func(tb testing.TB, site sinktest.Site) sinks.Target {
			c, err := New(siteOptions(site, login))
			if err != nil {
				tb.Fatal(err)
			}
			return c
		},
		Shown:  func(site sinktest.Site) []any { o := siteOptions(site, login); return []any{o, o.Login} },
		Object: value, Key: key, Text: "firstname", Number: "wb_score",
		Bad:    sinks.Field{Name: "email", Value: json.RawMessage(`"pr1vate is no address"`)},
		Orphan: sinks.Field{Name: "association.companies", Value: json.RawMessage(`"987654321"`)},
		Carries: func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/batch/upsert") || strings.HasSuffix(r.URL.Path, "/batch/archive")
		},
		Renews:  login,
		Reorder: reorder, Lose: lose,
		Quota: http.Header{"X-Hubspot-Ratelimit-Daily": {"650000"}, "X-Hubspot-Ratelimit-Daily-Remaining": {"600001"}},
	}
}

func sandboxOptions(o sandbox.Options, login bool) sandbox.Options {
	o.Apps = []sandbox.App{{Token: siteSecret}}
	if login {
		o.Apps, o.OAuth = nil, &sandbox.OAuth{ClientID: "app-1", ClientSecret: siteSecret, RefreshToken: siteSecret}
	}
	return o
}

// siteSecret is what the suite has as Site.Secret.
const siteSecret = "pr1vate-secret"

func siteOptions(site sinktest.Site, login bool) Options {
	o := Options{URL: site.URL, Timeout: site.Timeout}
	if login {
		o.Login = Login{ClientID: "app-1", ClientSecret: Secret(site.Secret), RefreshToken: Secret(site.Secret)}
	} else {
		o.Token = Secret(site.Secret)
	}
	return o
}

// changed changes the results of an answer.
func changed(body []byte, change func([]json.RawMessage) []json.RawMessage) []byte {
	var whole map[string]json.RawMessage
	var results []json.RawMessage
	if json.Unmarshal(body, &whole) != nil || json.Unmarshal(whole["results"], &results) != nil {
		return body
	}
	var err error
	if whole["results"], err = json.Marshal(change(results)); err != nil {
		return body
	}
	out, err := json.Marshal(whole)
	if err != nil {
		return body
	}
	return out
}

func reorder(body []byte) []byte {
	return changed(body, func(r []json.RawMessage) []json.RawMessage { slices.Reverse(r); return r })
}

// lose takes the result of the last record out: that with the highest trace id.
func lose(body []byte) []byte {
	return changed(body, func(r []json.RawMessage) []json.RawMessage {
		last := fmt.Sprintf(`"objectWriteTraceId":"%d"`, len(r)-1)
		return slices.DeleteFunc(r, func(one json.RawMessage) bool { return strings.Contains(string(one), last) })
	})
}

func TestContract(t *testing.T)          { sinktest.Run(t, subject(false)) }
func TestContractWithLogin(t *testing.T) { sinktest.Run(t, subject(true)) }
