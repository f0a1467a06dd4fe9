package config

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Each section has the keys that the loader knows, and no other.
func TestSchemaKeysAreTheLoaders(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	sections := map[string][]string{
		"%":                               {},
		"postgres: {%}":                   {"postgres"},
		"redis: {%}":                      {"redis"},
		"redis: {tls: {%}}":               {"redis", "tls"},
		"redis: {sentinel: {%}}":          {"redis", "sentinel"},
		"redis: {retention: {%}}":         {"redis", "retention"},
		"delivery: {%}":                   {"delivery"},
		"delivery: {dead_letters: {%}}":   {"delivery", "dead_letters"},
		"delivery: {deferred: {%}}":       {"delivery", "deferred"},
		"delivery: {parents: {%}}":        {"delivery", "parents"},
		"delivery: {trace: {%}}":          {"delivery", "trace"},
		"log: {%}":                        {"log"},
		"targets: {crm: {rate: {%}}}":     {"rate"},
		"targets: {crm: {retry: {%}}}":    {"retry"},
		"targets: {crm: {errors: [{%}]}}": {"rule"},
	}
	for _, name := range TargetTypes() {
		sections["targets: {crm: {type: "+name+", %}}"] = []string{"target_" + name}
	}
	for text, path := range sections {
		s := doc
		if def := strings.HasPrefix(text, "targets: "); def {
			s, path = doc["$defs"].(map[string]any)[path[0]].(map[string]any), []string{}
		}
		for _, key := range path {
			s = s["properties"].(map[string]any)[key].(map[string]any)
		}
		_, err := parse("f.yml", []byte(strings.Replace(text, "%", "qqqqqqqq: 1", 1)), os.LookupEnv)
		if err == nil {
			t.Fatalf("the loader takes any key in %q", text)
		}
		m := regexp.MustCompile(`unknown key "qqqqqqqq"; known keys are ([a-z_, ]+)\n`).FindStringSubmatch(err.Error() + "\n")
		if m == nil {
			t.Fatalf("%q: %v", text, err)
		}
		want := strings.Split(m[1], ", ")
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(s["properties"].(map[string]any))); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the loader %v", text, got, want)
		}
		if s["additionalProperties"] != false {
			t.Errorf("%s: the schema takes any key", text)
		}
		for key, p := range s["properties"].(map[string]any) {
			if text, _ := p.(map[string]any)["description"].(string); !strings.HasSuffix(text, ".") || !strings.Contains(text, "such as") {
				t.Errorf("%s is described as %q; want one sentence with an example", key, text)
			}
		}
	}
}

// beyondForm are the bad files whose mistake takes the environment, other files or the
// whole text to be seen, or is in the inside of a text.
var beyondForm = []string{
	"addresses", "dead-letters-age", "hold", "parents-wait", "trace-bytes", "env-dollar", "errors-after", "errors-after-range", "errors-message", "env-name", "env-number", "env-open", "env-unset", "file-empty", "file-missing", "header-break", "heartbeat-range", "lease",
	"postgres-escape", "postgres-scheme", "postgres-words", "rate-accounts", "rate-burst", "rate-keep-all", "redis-both", "redis-cluster-db", "redis-cluster-host",
	"redis-scheme", "redis-sentinel-scheme", "redis-tls-cert", "redis-tls-plain", "retention-bytes", "retry-initial", "retry-max", "target-describe", "target-describe-scheme", "target-url",
	"wal-budget-range",
}

// What the loader takes is right to the schema, and a mistake of form is one to both.
func TestSchemaJudgesAsTheLoader(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(Schema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"testdata/*.yml", "../../../../docs/examples/*/walbridge.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files are at %s (%v)", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err = yaml.Unmarshal(text, &v); err == nil {
				err = s.Validate(v)
			}
			name, bad := strings.CutSuffix(filepath.Base(path), ".bad.yml")
			switch {
			case !bad && err != nil:
				t.Errorf("%s: %v", path, err)
			case bad && err == nil && !slices.Contains(beyondForm, name):
				t.Errorf("%s is right to the schema; if its mistake is not of form, put it into beyondForm", path)
			case bad && err != nil && slices.Contains(beyondForm, name):
				t.Errorf("%s: the schema sees the mistake (%v): take it out of beyondForm", path, err)
			}
		}
	}
}
