package formfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks/httpapi"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/httpapi/presets"
)

const someURL = "https://api.example.com/v1"

func preset(t *testing.T, name string) *form.Form {
	t.Helper()
	f, err := Make(Source{Preset: name, URL: someURL})
	if err != nil {
		t.Fatalf("preset %s: %v", name, err)
	}
	return f
}

// Every preset is a form that can work, and those of a vendor know the address.
func TestPresets(t *testing.T) {
	want := []string{"captivateiq", "quotapath", "rest", "spiff", "walbridge", "webhook"}
	if !slices.Equal(presets.Names(), want) {
		t.Errorf("presets %v", presets.Names())
	}
	for _, name := range presets.Names() {
		preset(t, name)
	}
	for _, name := range []string{"captivateiq", "quotapath", "spiff"} {
		if _, err := Make(Source{Preset: name}); err != nil {
			t.Errorf("%s without a url: %v", name, err)
		}
	}
	if _, err := Make(Source{Preset: "webhook"}); err == nil || !strings.Contains(err.Error(), "url: not an address of a web server") {
		t.Errorf("webhook without a url: %v", err)
	}
	if _, err := Make(Source{Preset: "captivatiq"}); err == nil || !strings.Contains(err.Error(), "did you mean captivateiq?") {
		t.Errorf("an unknown preset: %v", err)
	}
}

// What holds where no form is given is what the preset says.
func TestTheDefaultIsThePreset(t *testing.T) {
	want := httpapi.Walbridge()
	want.URL = someURL
	want.Requests[form.Batch].Method = "POST"
	if got := preset(t, "walbridge"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// The schema of configuration files has the keys that are read, and no others.
func TestSchemaHasTheKeys(t *testing.T) {
	var doc struct {
		Defs map[string]struct {
			Properties map[string]json.RawMessage
		} `json:"$defs"`
	}
	if err := json.Unmarshal(config.Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	for def, keys := range map[string][]string{"form": Keys, "form_request": RequestKeys, "form_results": ResultsKeys, "form_condition": ConditionKeys,
		"form_auth": AuthKeys, "form_field": FieldKeys, "rule": RuleKeys, "form_login": slices.Concat(AuthKeys, config.AuthSecrets)} {
		want := slices.Sorted(slices.Values(keys))
		if got := slices.Sorted(maps.Keys(doc.Defs[def].Properties)); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the reader %v", def, got, want)
		}
		for key, text := range doc.Defs[def].Properties {
			if !strings.Contains(string(text), "such as") {
				t.Errorf("%s.%s has no example", def, key)
			}
		}
	}
	if !slices.Equal(config.AuthKeys, AuthKeys) {
		t.Errorf("the configuration takes %v", config.AuthKeys)
	}
}

func section(t *testing.T, text string) Section {
	t.Helper()
	doc, err := yamldoc.Parse("walbridge.yaml", []byte(text), false)
	if err != nil {
		t.Fatal(err)
	}
	n := doc.Root.Get("targets").Get("crm")
	return Section{doc, n}
}

// The parts of a preset that a configuration says itself go before it; the others stay.
func TestOverrides(t *testing.T) {
	s := section(t, `targets:
  crm:
    form:
      max_batch: 7
      auth: {prefix: "Bearer "}
      requests:
        read: null
        batch: {path: "/w/{object}"}
    auth: {token: x, header: X-Token}
`)
	f, err := Make(Source{Preset: "captivateiq", Form: Section{s.Doc, s.Node.Get("form")}, Auth: Section{s.Doc, s.Node.Get("auth")},
		Secrets: []string{"token"}, Objects: map[string]string{"Deals": "d1"}})
	if err != nil {
		t.Fatal(err)
	}
	whole := preset(t, "captivateiq")
	whole.URL = "https://api.captivateiq.com/ciq/v1"
	whole.MaxBatch, whole.Auth.Prefix, whole.Auth.Header = 7, "Bearer ", "X-Token"
	whole.Requests[form.Batch].Path = "/w/{object}"
	delete(whole.Requests, form.Read)
	whole.Objects = map[string]string{"Deals": "d1"}
	if !reflect.DeepEqual(f, whole) {
		t.Errorf("got %+v\nwant %+v", f, whole)
	}
}

// Mistakes have their place, in the file that they come from.
func TestMistakesInAFile(t *testing.T) {
	for text, want := range map[string]string{
		"url: x\nrequest: {}":                                                                                `f.yaml:2:1: request: unknown key "request"; did you mean requests?`,
		"url: https://x\nrequests:\n  upsert: {pathh: /x}":                                                   `f.yaml:3:12: requests.upsert.pathh: unknown key "pathh"; did you mean path?`,
		"url: https://x\nrequests:\n  upsrt: {}":                                                             `f.yaml:3:3: requests.upsrt: unknown key "upsrt"; did you mean upsert?`,
		"url: https://x\nrequests:\n  upsert: {path: /x, body: {a: '{nokey}'}}":                              `f.yaml:3:32: requests.upsert.body.a: nothing is known as {nokey} here`,
		"url: https://x\nrequests:\n  upsert: {path: x}":                                                     `f.yaml:3:18: requests.upsert.path: a path begins with / "x"`,
		"url: https://x\nrequests:\n  upsert: {path: /x, results: {id: a..b}}":                               `f.yaml:3:36: requests.upsert.results.id: not a path "a..b"`,
		"url: https://x\nrequests:\n  create: {path: /x}":                                                    `f.yaml:3:3: requests.update: missing; add it`,
		"url: https://x\nrequests:\n  create: {path: /x}\n  update: {path: '/x/{id}'}":                       `f.yaml:3:3: requests.lookup: missing; it is needed since requests.update goes by {id}`,
		"url: https://x\nmax_batch: 99999\nrequests:\n  upsert: {path: /x}":                                  `f.yaml:2:12: max_batch: out of range "99999"`,
		"url: https://x\nauth: {type: bear}\nrequests:\n  upsert: {path: /x}":                                `f.yaml:2:14: auth.type: unknown value "bear"`,
		"url: https://x\nerrors: [{then: retry}]":                                                            `f.yaml:2:10: errors[0]: the rule fits every answer`,
		"url: https://x\nerrors: [{status: 409, then: retri}]":                                               `f.yaml:2:30: errors[0].then: unknown value "retri"; did you mean retry?`,
		"url: https://x\nfields: {D: [{name: A, type: numbr}]}":                                              `f.yaml:2:30: fields.D[0].type: unknown value "numbr"; did you mean number?`,
		"url: https://x\nrequests:\n  upsert: {path: /x, results: {ok: {equals: 1}}}":                        `f.yaml:3:36: requests.upsert.results.ok.path: missing`,
		"url: https://x\nrequests:\n  upsert: {path: /x, body: '{records}'}":                                 `f.yaml:3:11: requests.upsert.record: nothing says what stands for a record in the list`,
		"url: https://x\nrequests:\n  upsert: {path: '/x/{records}'}":                                        `f.yaml:3:18: requests.upsert.path: nothing is known as {records} here`,
		"url: https://x\nrequests:\n  upsert: {path: /x, body: 'a {row}'}":                                   `f.yaml:3:28: requests.upsert.body: {row} is no text: it has to stand alone`,
		"url: https://x\nrequests:\n  upsert: {path: /x, body: {n: 0x10}}":                                   `f.yaml:3:32: requests.upsert.body.n: not a number, a boolean or null as JSON writes it "0x10"`,
		"url: https://x\nauth: {type: hmac, signs: x, headers: {S: '{signatures}'}}\nrequests: {upsert: {}}": `f.yaml:2:27: auth.signs: it has no {body} "x"`,
	} {
		path := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Make(Source{File: path})
		var errs yamldoc.Errors
		if !errors.As(err, &errs) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""); !strings.HasPrefix(got, want) {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// In walbridge.yaml they have the whole path, and what comes from the environment is not shown.
func TestMistakesInTheConfiguration(t *testing.T) {
	s := section(t, "targets:\n  crm:\n    auth: {type: \"${SECRET}\"}\n    form:\n      requests:\n        batch: {path: a}\n")
	getenv := func(string) (string, bool) { return "s3cret", true }
	s.Doc.Root.Walk(func(n *yamldoc.Node) { s.Doc.ExpandEnv(n, getenv) })
	_, err := Make(Source{Preset: "walbridge", URL: someURL, Form: Section{s.Doc, s.Node.Get("form")}, Auth: Section{s.Doc, s.Node.Get("auth")}})
	want := `walbridge.yaml:3:18: targets.crm.auth.type: unknown value "${SECRET}"; write one of none, bearer, basic, header, query, oauth2, hmac, standard_webhooks
walbridge.yaml:6:23: targets.crm.form.requests.batch.path: a path begins with / "a"`
	if fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A file that is no YAML, or is not there, is told so.
func TestNoFile(t *testing.T) {
	if _, err := Make(Source{File: filepath.Join(t.TempDir(), "none.yaml")}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("no file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte("a: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(Source{File: path}); err == nil || !strings.Contains(err.Error(), "not YAML") {
		t.Errorf("no YAML: %v", err)
	}
}

func FuzzForm(f *testing.F) {
	for _, name := range presets.Names() {
		text, _ := presets.File(name)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		into := &form.Form{}
		d := readDoc(into, "f.yaml", []byte(text))
		if d.doc.Err() != nil {
			return
		}
		into.URL = someURL
		if _, err := form.Compile(into); err != nil {
			if got := put([]place{d}, err); got == nil {
				t.Errorf("a mistake is lost: %v", err)
			}
		}
	})
}
