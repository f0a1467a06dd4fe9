package formfile

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi"
)

// says answers everything in the same way.
type says struct {
	status int
	body   string
}

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Retry-After": {"7"}}, Body: io.NopCloser(strings.NewReader(s.body)), Request: r}, nil
}

// What each answer that the pages of the presets list comes to. The text is in the error for
// the dead letter, and never in what is shown.
func TestAnswersOfPresets(t *testing.T) {
	const html, private = "<html>Request blocked", "pr1vate"
	common := []struct {
		status int
		want   string
	}{{401, "unauthorized"}, {403, "unauthorized"}, {408, "unknown_outcome"}, {429, "throttled"}, {500, "unknown_outcome"}, {502, "unknown_outcome"},
		{503, "unknown_outcome"}, {504, "unknown_outcome"}, {302, "misconfigured"}, {404, "misconfigured"}, {405, "misconfigured"}, {400, "http_400"}, {413, "http_413"}, {422, "http_422"}}
	own := map[string][]struct {
		says
		op      sinks.Op
		want    string
		message string
	}{
		"captivateiq": {
			{says{200, `{"created":["K"],"updated":[],"deleted":[]}`}, sinks.Upsert, "ok", ""},
			{says{200, `{"created":[],"updated":["K"],"deleted":[]}`}, sinks.Upsert, "ok", ""},
			{says{200, `{"created":[],"updated":[],"deleted":[]}`}, sinks.Upsert, "unknown_outcome", ""},
			{says{200, `{"created":[],"updated":[],"deleted":[]}`}, sinks.Delete, "ok", ""},
			{says{200, `{"created":[],"updated":[],"deleted":["K"]}`}, sinks.Delete, "ok", ""},
			{says{400, `{"detail":"` + private + `"}`}, sinks.Upsert, "http_400", private},
			{says{403, html}, sinks.Upsert, "unauthorized", html},
		},
		"quotapath": {
			{says{201, `[{}]`}, sinks.Upsert, "ok", ""},
			{says{400, `{"user_email":["` + private + `"]}`}, sinks.Upsert, "http_400", `{"user_email":["` + private + `"]}`},
			{says{200, `{"count":0,"results":[]}`}, sinks.Delete, "ok", ""},
			{says{200, `{"results":[{"id":"a","integration_id":"K"},{"id":"b","integration_id":"K"}]}`}, sinks.Delete, httpapi.CodeSeveral, ""},
			{says{200, `{"results":[{"id":"a","integration_id":"K"}]}`}, sinks.Delete, "ok", ""},
		},
		"spiff": {
			{says{200, `{"ok":true}`}, sinks.Upsert, "ok", ""},
			{says{200, `{"ok":false,"code":"NO","message":"` + private + `"}`}, sinks.Upsert, "NO", private},
			{says{200, `{}`}, sinks.Upsert, "unknown_outcome", ""},
			{says{200, html}, sinks.Delete, "unknown_outcome", ""},
			{says{400, "Invalid mapping id"}, sinks.Upsert, "paused", "Invalid mapping id"},
			{says{422, private}, sinks.Upsert, "http_422", private},
		},
		"webhook": {
			{says{204, ""}, sinks.Upsert, "ok", ""},
			{says{200, html}, sinks.Delete, "ok", ""},
			{says{202, ""}, sinks.Archive, "ok", ""},
			{says{410, ""}, sinks.Upsert, "paused", ""},
		},
	}
	for name, cases := range own {
		for _, c := range common {
			cases = append(cases, struct {
				says
				op      sinks.Op
				want    string
				message string
			}{says{c.status, private}, sinks.Upsert, c.want, private})
		}
		for _, c := range cases {
			target, err := httpapi.New(httpapi.Options{Form: preset(t, name), Transport: c.says,
				Credentials: httpapi.Credentials{Token: "t", Keys: []httpapi.Secret{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}})
			if err != nil {
				t.Fatal(err)
			}
			value := json.RawMessage(`1`)
			rs, err := target.Deliver(t.Context(), sinks.Batch{Object: "Deals", Records: []sinks.Record{{Object: "Deals", Op: c.op, Key: sinks.Field{Name: "K", Value: json.RawMessage(`"K"`)},
				Fields: []sinks.Field{{Name: "value", Value: value}, {Name: "path_id", Value: value}}}}})
			target.Close()
			if err == nil {
				err = rs[0].Err
			}
			var said *sinks.Answer
			switch {
			case sinks.Code(err) != c.want:
				t.Errorf("%s: %s answered %d %s: %s (%v), want %s", name, c.op, c.status, c.body, sinks.Code(err), err, c.want)
			case err != nil && strings.Contains(err.Error(), private):
				t.Errorf("%s: what was answered is in %q", name, err)
			case c.message != "" && (!errors.As(err, &said) || said.Message != c.message):
				t.Errorf("%s: %d %s: the text of the dead letter is %+v", name, c.status, c.body, said)
			}
		}
	}
}
