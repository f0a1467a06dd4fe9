package restapi

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example of the specification of Standard Webhooks.
const (
	vectorKey       = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime      = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func webhookHeader(id string, at int64, signatures ...string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", fmt.Sprint(at))
	h.Set("webhook-signature", strings.Join(signatures, " "))
	return h
}

func TestPublishedVector(t *testing.T) {
	// The signature is all that a webhook has; no token is asked of it.
	d := newDesk(t, Options{Auth: Auth{Token: "tok"}, Hooks: map[string]Hook{"won": {Keys: []string{vectorKey}}}})
	d.now = time.Unix(vectorTime, 0).Add(tolerance)
	d.header = webhookHeader(vectorID, vectorTime, vectorSignature)
	d.ask("POST", "/hooks/won", vectorBody, 204)
	events := d.Events("won")
	if len(events) != 1 || events[0].ID != vectorID || string(events[0].Body) != vectorBody || !events[0].Arrived.Equal(d.now) {
		t.Errorf("events %+v", events)
	}
}

func TestSignaturesThatDoNotVouch(t *testing.T) {
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	asymmetric := "whpk_" + base64.StdEncoding.EncodeToString(public)
	v1a := "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, fmt.Appendf(nil, "%s.%d.%s", vectorID, vectorTime, vectorBody)))
	for name, tc := range map[string]struct {
		keys   []string
		header http.Header
		body   string
		off    time.Duration
		code   string
	}{
		"right":                  {keys: []string{vectorKey}},
		"one of two keys":        {keys: []string{other, vectorKey}},
		"one of two signatures":  {keys: []string{vectorKey}, header: webhookHeader(vectorID, vectorTime, "v1,AAAA", vectorSignature)},
		"asymmetric":             {keys: []string{asymmetric}, header: webhookHeader(vectorID, vectorTime, v1a)},
		"beside one not known":   {keys: []string{vectorKey}, header: webhookHeader(vectorID, vectorTime, "v9,!", vectorSignature)},
		"another key":            {keys: []string{other}, code: "bad_signature"},
		"another id":             {keys: []string{vectorKey}, header: webhookHeader("msg", vectorTime, vectorSignature), code: "bad_signature"},
		"another time":           {keys: []string{vectorKey}, header: webhookHeader(vectorID, vectorTime+1, vectorSignature), code: "bad_signature"},
		"another body":           {keys: []string{vectorKey}, body: `{"test":2432232314}`, code: "bad_signature"},
		"asymmetric, other body": {keys: []string{asymmetric}, header: webhookHeader(vectorID, vectorTime, v1a), body: "{}", code: "bad_signature"},
		"v1 taken for v1a":       {keys: []string{asymmetric}, code: "bad_signature"},
		"v1a taken for v1":       {keys: []string{vectorKey}, header: webhookHeader(vectorID, vectorTime, strings.Replace(vectorSignature, "v1,", "v1a,", 1)), code: "bad_signature"},
		"too old":                {keys: []string{vectorKey}, off: tolerance + time.Second, code: "bad_timestamp"},
		"of the future":          {keys: []string{vectorKey}, off: -tolerance - time.Second, code: "bad_timestamp"},
		"no headers":             {keys: []string{vectorKey}, header: http.Header{}, code: "bad_id"},
		"an id with a full stop": {keys: []string{vectorKey}, header: webhookHeader("a.b", vectorTime, vectorSignature), code: "bad_id"},
		"no signature":           {keys: []string{vectorKey}, header: webhookHeader(vectorID, vectorTime), code: "bad_signature"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, Options{Hooks: map[string]Hook{"won": {Keys: tc.keys}}})
			d.now = time.Unix(vectorTime, 0).Add(tc.off)
			d.header = tc.header
			if d.header == nil {
				d.header = webhookHeader(vectorID, vectorTime, vectorSignature)
			}
			body := tc.body
			if body == "" {
				body = vectorBody
			}
			if tc.code == "" {
				d.ask("POST", "/hooks/won", body, 204)
				return
			}
			if g := d.ask("POST", "/hooks/won", body, 401); g.codes() != tc.code || d.Count("hooks/won") != 0 || d.Calls()["unauthorized"] != 1 {
				t.Errorf("answer %s, %d events", g.text, d.Count("hooks/won"))
			}
		})
	}
}

// A webhook that is sent again after a lost answer has the same id, and is kept once.
func TestRepeatedWebhooks(t *testing.T) {
	d := newDesk(t, Options{})
	for range 2 {
		d.header = webhookHeader("a", 0)
		d.ask("POST", "/hooks/won", `{"n":1}`, 204)
	}
	d.header = http.Header{}
	for range 2 { // nothing tells these apart
		d.ask("POST", "/hooks/won", `{"n":2}`, 204)
	}
	events := d.Events("won")
	if len(events) != 3 || events[0].Times != 2 || events[1].Times != 1 || d.Calls()["repeated"] != 1 {
		t.Errorf("events %+v, calls %v", events, d.Calls())
	}
	if d.Events("lost") != nil {
		t.Error("events of a hook that there is not")
	}
	d.ask("POST", "/hooks/won", `nonsense`, 400)
	d.Remove("won")
	if g := d.ask("POST", "/hooks/won", `{}`, 410); g.codes() != "gone" {
		t.Errorf("answer %s", g.text)
	}
	d.Reset()
	d.ask("POST", "/hooks/won", `{}`, 204)
	known := newDesk(t, Options{Hooks: map[string]Hook{"won": {}}})
	known.ask("POST", "/hooks/lost", `{}`, 404)
	known.Remove("lost")
}

func TestHooksAreBounded(t *testing.T) {
	h, err := newHook(Hook{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxEvents + 1 {
		h.take(fmt.Sprint(i), nil, time.Time{})
	}
	if len(h.events) != maxEvents || len(h.byID) != maxEvents || h.events[0].ID != "1" || h.take("0", nil, time.Time{}) {
		t.Errorf("%d events, %d by id, the first is %s", len(h.events), len(h.byID), h.events[0].ID)
	}
}

func TestKeysOfHooks(t *testing.T) {
	for key, want := range map[string]string{
		vectorKey: "",
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 64)): "",
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)): "read key 1: 65 bytes, want 24 to 64",
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)): "read key 1: 23 bytes, want 24 to 64",
		"whsec_!SECRET": "read key 1: it is no base64",
		"whpk_" + base64.StdEncoding.EncodeToString(make([]byte, 31)): "read key 1: want whsec_",
		"SECRET==": "read key 1",
	} {
		_, err := New(Options{Hooks: map[string]Hook{"won": {Keys: []string{key}}}})
		switch {
		case want == "" && err != nil:
			t.Errorf("a good key: %v", err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), "make hook won: "+want)):
			t.Errorf("got %v, want %s", err, want)
		case err != nil && strings.Contains(err.Error(), "SECRET"):
			t.Errorf("the key is in the error: %v", err)
		}
	}
}
