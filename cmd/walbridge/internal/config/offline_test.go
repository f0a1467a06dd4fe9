package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMappingPatterns(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "walbridge.yaml")
	getenv := func(name string) (string, bool) { return "sales", name == "TEAM" }
	for _, c := range []struct {
		text, mistake string
		want          []string
	}{
		{"postgres: {url: \"${NOT_SET}\"}\nmappings: [\"${TEAM}/*.yaml\", more.yaml]\n", "", []string{"sales/*.yaml", "more.yaml"}},
		{"mappings: [\"${NOT_SET}\"]\n", "1:12: mappings[0]: the environment variable is not set", nil},
		{"mappings: m.yaml\n", "1:11: mappings: want a list of texts", nil},
		{"name: x\n", "1:1: mappings: missing; add it, such as mappings: [mappings/*.yaml]", nil},
		{"mapings: [x]\n", `1:1: mapings: unknown key "mapings"; did you mean mappings?`, nil},
		{"[", "not YAML", nil},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, at, err := MappingPatterns(path, getenv)
		switch {
		case c.mistake != "" && (err == nil || !strings.Contains(err.Error(), c.mistake)):
			t.Errorf("%q: got %v", c.text, err)
		case c.mistake == "" && (err != nil || !slices.Equal(got, c.want) || at != dir):
			t.Errorf("%q: got %q in %s, %v", c.text, got, at, err)
		}
	}
	if _, _, err := MappingPatterns(path+"x", getenv); err == nil || !strings.Contains(err.Error(), "cannot be read: no such file or directory; name the configuration with -c") {
		t.Errorf("got %v", err)
	}
}

func TestOfflineTargets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "walbridge.yaml")
	for text, want := range map[string][]string{
		"postgres: {url: \"${NOT_SET}\"}\ntargets:\n  crm: {url: \"${NOT_SET}\"}\n  other: {}\n": {"crm", "other"},
		"name: x\n": nil,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := OfflineTargets(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	if _, err := OfflineTargets(path + "x"); err == nil {
		t.Error("a file that is not there has targets")
	}
}
