package vendors

import (
	"errors"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
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
	var setup *cdc.SetupError
	if _, err := Open(config.Target{Name: "crm", Type: "fax"}, nil); !errors.As(err, &setup) {
		t.Errorf("an unknown type: %v", err)
	}
}
