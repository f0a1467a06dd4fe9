package transport

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

func TestQuotaOf(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		headers []string
		want    sinks.Quota
	}{
		"salesforce":          {[]string{"Sforce-Limit-Info", "api-usage=18/5000"}, sinks.Quota{Daily: sinks.Allowance{Known: true, Limit: 5000, Left: 4982}}},
		"salesforce, per app": {[]string{"Sforce-Limit-Info", "per-app-api-usage=17/250(appName=x); api-usage=25/5000"}, sinks.Quota{Daily: sinks.Allowance{Known: true, Limit: 5000, Left: 4975}}},
		"salesforce, used up": {[]string{"Sforce-Limit-Info", "api-usage=5010/5000"}, sinks.Quota{Daily: sinks.Allowance{Known: true, Limit: 5000, Left: -10}}},
		"hubspot": {[]string{"X-HubSpot-RateLimit-Daily", "650000", "X-HubSpot-RateLimit-Daily-Remaining", "600001",
			"X-HubSpot-RateLimit-Max", "190", "X-HubSpot-RateLimit-Remaining", "0", "X-HubSpot-RateLimit-Interval-Milliseconds", "10000"},
			sinks.Quota{Daily: sinks.Allowance{Known: true, Limit: 650000, Left: 600001}, Window: sinks.Allowance{Known: true, Limit: 190, Reset: 10 * time.Second}}},
		"ietf":            {[]string{"RateLimit-Limit", "100, 100;w=60", "RateLimit-Remaining", "3", "RateLimit-Reset", "50"}, sinks.Quota{Window: sinks.Allowance{Known: true, Limit: 100, Left: 3, Reset: 50 * time.Second}}},
		"epoch":           {[]string{"X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(now.Add(40 * time.Second).Unix())}, sinks.Quota{Window: sinks.Allowance{Known: true, Limit: 60, Reset: 40 * time.Second}}},
		"the clocks":      {[]string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(now.Add(-time.Hour).Unix())}, sinks.Quota{Window: sinks.Allowance{Known: true}}},
		"an age":          {[]string{"RateLimit-Remaining", "0", "RateLimit-Reset", "999999999"}, sinks.Quota{Window: sinks.Allowance{Known: true, Reset: 24 * time.Hour}}},
		"no reset":        {[]string{"RateLimit-Remaining", "0"}, sinks.Quota{}},
		"nonsense":        {[]string{"RateLimit-Remaining", "few", "RateLimit-Reset", "5", "Sforce-Limit-Info", "api-usage=a/b"}, sinks.Quota{}},
		"another of them": {[]string{"Sforce-Limit-Info", "per-app-api-usage=17/250"}, sinks.Quota{}},
	} {
		h := http.Header{}
		for i := 0; i < len(c.headers); i += 2 {
			h.Set(c.headers[i], c.headers[i+1])
		}
		got := QuotaOf(h, now)
		if !got.Daily.Known {
			got.Daily = sinks.Allowance{}
		}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
