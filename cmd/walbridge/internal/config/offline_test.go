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
