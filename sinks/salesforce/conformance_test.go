package salesforce_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sinktest"
	"github.com/walbridge/walbridge/sinks/transport"
)

const clientID = "walbridge"

// org is a simulation that takes one secret.
func org(secret string) *sandbox.Server {
	return sandbox.New(sandbox.Options{Clients: map[string]string{clientID: secret}})
}

func options(url, secret string) salesforce.Options {
	return salesforce.Options{URL: url, Login: salesforce.Login{Grant: salesforce.GrantClientCredentials, ClientID: clientID, ClientSecret: transport.Secret(secret)}}
}

// held gives the records of an object by one of its fields.
func held(s *sandbox.Server, object, key string) map[string]map[string]json.RawMessage {
	out := make(map[string]map[string]json.RawMessage)
	for _, r := range s.Records(object, 0) {
		if v := r.Fields[key]; v != nil && string(v) != "null" {
			out[sinks.ExactKey(v)] = r.Fields
		}
	}
	return out
}

func subject(object, key, text, number string, also ...sinks.Field) sinktest.Subject {
	return sinktest.Subject{
		Serve: func(testing.TB) sinktest.Server {
			s := org("pr1vate-secret")
			return sinktest.Server{Handler: s, Held: func(object string) map[string]map[string]json.RawMessage { return held(s, object, key) }}
		},
		Make: func(tb testing.TB, site sinktest.Site) sinks.Target {
			o := options(site.URL, site.Secret)
			o.Timeout = site.Timeout
			c, err := salesforce.New(o)
			if err != nil {
				tb.Fatal(err)
			}
			return c
		},
		Shown:  func(site sinktest.Site) []any { return []any{options(site.URL, site.Secret)} },
		Object: object, Key: key, Text: text, Number: number, Also: also,
		Exact:   "1234567890123456.78", // Salesforce has 18 digits
		Bad:     sinks.Field{Name: "Name", Value: json.RawMessage(`"` + strings.Repeat("x", 256) + `"`)},
		Orphan:  sinks.Field{Name: "Account.Account_Ext__c", Value: json.RawMessage(`"nobody"`)},
		KeyMax:  80,
		Carries: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/composite") },
		Renews:  true,
		Quota:   http.Header{"Sforce-Limit-Info": {"api-usage=18/15000"}},
	}
}

func TestConformance(t *testing.T) {
	s := subject("Opportunity", "Opportunity_Ext__c", "NextStep", "Amount",
		sinks.Field{Name: "Name", Value: json.RawMessage(`"Rollout"`)},
		sinks.Field{Name: "StageName", Value: json.RawMessage(`"Prospecting"`)},
		sinks.Field{Name: "CloseDate", Value: json.RawMessage(`"2026-01-31"`)})
	s.Bad = sinks.Field{Name: "StageName", Value: json.RawMessage(`"` + strings.Repeat("x", 300) + `"`)}
	sinktest.Run(t, s)
}
