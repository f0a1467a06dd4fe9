package vendors

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Every type that a configuration may name can be opened, and no other.
func TestEveryTypeOpens(t *testing.T) {
	for _, name := range config.TargetTypes() {
		if openers[name] == nil {
			t.Errorf("nothing opens a target of type %s", name)
		}
	}
	if len(openers) != len(config.TargetTypes()) {
		t.Errorf("%d types are opened, a configuration can name %v", len(openers), config.TargetTypes())
	}
	var mistakes yamldoc.Errors
	if _, err := Open(config.Target{Name: "crm", Type: "fax"}, Stores{}); !errors.As(err, &mistakes) {
		t.Errorf("an unknown type: %v", err)
	}
}

// Mistakes that only show when a target is opened have their place in the configuration, and
// show no secret.
func TestMistakesHavePlaces(t *testing.T) {
	for target, want := range map[string]string{
		"{type: http, preset: captivateq}":                                                        `5:29: targets.crm.preset: no such preset "captivateq"; did you mean captivateiq?`,
		"{type: http, preset: \"${PRESET}\"}":                                                     `5:29: targets.crm.preset: no such preset "${PRESET}"; known are captivateiq, quotapath, rest, spiff, walbridge, webhook`,
		"{type: http, url: \"https://x\", preset: webhook, auth: {keys: [s3cret]}}":               `5:69: targets.crm.auth.keys: a key begins with whsec_ or whsk_; correct it in the configuration`,
		"{type: http, preset: captivateiq}":                                                       `5:8: targets.crm.auth.token: missing; write auth: {token: "${A_VARIABLE}"}`,
		"{type: http, url: \"https://x\", preset: rest, auth: {token: t}, form: {max_batch: -1}}": `5:89: targets.crm.form.max_batch: `,
		"{type: http, url: \"https://x\", form: none.yaml}":                                       `none.yaml: cannot be read: no such file or directory; check the path, which is relative to the configuration file`,
		"{type: salesforce, url: \"https://a.my.salesforce.com\", login: {grant: jwt, client_id: a, username: u, private_key: s3cret}}": `5:123: targets.crm.login.private_key: it is not in PEM form; correct it in the configuration`,
	} {
		path := filepath.Join(t.TempDir(), "walbridge.yaml")
		text := "postgres: {url: \"postgres://localhost/sales\"}\nredis: {url: \"redis://localhost\"}\nmappings: [m.yaml]\ntargets:\n  crm: " + target + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, func(string) (string, bool) { return "s3cret", true })
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		_, err = Open(cfg.Targets[0], Stores{})
		var mistakes yamldoc.Errors
		if !errors.As(err, &mistakes) || len(mistakes) != 1 {
			t.Errorf("%s: %v", target, err)
			continue
		}
		got := strings.TrimPrefix(strings.TrimPrefix(mistakes.Detail(), path+":"), filepath.Dir(path)+"/")
		if !strings.HasPrefix(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
	}
}
