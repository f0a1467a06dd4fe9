package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
)

func preset(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root, out := rootCommand(), &bytes.Buffer{}
	root.SetOut(out)
	root.SetArgs(append([]string{"preset"}, args...))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestPresetCommand(t *testing.T) {
	got, err := preset(t, "list")
	if names := strings.Fields(got); err != nil || len(names) != len(vendors.Presets()) || names[0] != "captivateiq" {
		t.Errorf("list: %q, %v", got, err)
	}
	want, _ := vendors.Preset("spiff")
	if got, err := preset(t, "show", "spiff"); err != nil || got != string(want) || !strings.Contains(got, "_webhook/mapping") {
		t.Errorf("show: %q, %v", got, err)
	}
	if _, err := preset(t, "show", "spif"); err == nil || !strings.Contains(err.Error(), "did you mean spiff?") {
		t.Errorf("an unknown one: %v", err)
	}
	if _, err := preset(t, "show"); err == nil {
		t.Error("none is named")
	}
}
