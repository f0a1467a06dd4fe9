package httpapi

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/sandbox"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// The whole contract, in front of a server of the sandbox.
func TestContract(t *testing.T) {
	options := func(site sinktest.Site) Options {
		return Options{URL: site.URL + "/crm/batch", Describe: site.URL + "/crm/describe/{object}", Timeout: site.Timeout, MaxBatch: 100,
			Headers: map[string]Secret{"Authorization": Secret("Bearer " + site.Secret)}}
	}
	schema := &sinks.Schema{Fields: []sinks.SchemaField{{Name: "Ext", Type: sinks.FieldText, Key: true},
		{Name: "Name", Type: sinks.FieldText, Length: 120}, {Name: "Amount", Type: sinks.FieldNumber}}}
	sinktest.Run(t, sinktest.Subject{
		Serve: func(testing.TB) sinktest.Server {
			s := sandbox.New(sandbox.Options{Schemas: map[string]map[string]*sinks.Schema{"crm": {"Deal": schema}}})
			return sinktest.Server{Handler: s, Held: func(object string) map[string]map[string]json.RawMessage { return s.Fields("crm", object) }}
		},
		Make: func(tb testing.TB, site sinktest.Site) sinks.Target {
			c, err := New(options(site))
			if err != nil {
				tb.Fatal(err)
			}
			return c
		},
		Shown:  func(site sinktest.Site) []any { return []any{options(site)} },
		Object: "Deal", Key: "Ext", Text: "Name", Number: "Amount",
		Bad:     sinks.Field{Name: "Amount", Value: json.RawMessage(`"private"`)},
		Carries: func(r *http.Request) bool { return r.Method == http.MethodPost },
		Lose: func(body []byte) []byte {
			var a struct {
				Results []json.RawMessage `json:"results"`
			}
			if err := json.Unmarshal(body, &a); err != nil || len(a.Results) == 0 {
				return body
			}
			a.Results = a.Results[:len(a.Results)-1]
			b, err := json.Marshal(a)
			if err != nil {
				return body
			}
			return b
		},
		Quota: http.Header{"Sforce-Limit-Info": {"api-usage=18/5000"}},
	})
}
