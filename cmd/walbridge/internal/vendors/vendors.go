package vendors

import (
	"fmt"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/sinks"
)

// Target is an open target.
type Target interface {
	sinks.Target
	sinks.Prober
	// Close gives idle connections back. Nothing is under way any more.
	Close()
}

// openers has, for each type, what opens a target of it. It does not connect.
var openers = map[string]func(config.Target) (Target, error){
	config.TypeHTTP:       openHTTP,
	config.TypeHubSpot:    openHubSpot,
	config.TypeSalesforce: openSalesforce,
	config.TypePostgres:   openPostgres,
}

// Open opens a target, with somewhere to keep its notes; nil where it is only looked at. It
// does not connect. The error is a *cdc.SetupError.
func Open(cfg config.Target, notes sinks.Notes) (Target, error) {
	open, ok := openers[cfg.Type]
	if !ok { // config.Validate has said so before
		return nil, setup(cfg, fmt.Errorf("no target is of type %q", cfg.Type))
	}
	t, err := open(cfg)
	if err != nil {
		return nil, setup(cfg, err)
	}
	if n, ok := sinks.As[sinks.NoteTaker](t); ok && notes != nil {
		n.TakeNotes(notes)
	}
	return t, nil
}

func setup(cfg config.Target, err error) error {
	return &cdc.SetupError{What: "targets." + cfg.Name, Err: err, Hint: "correct it in the configuration"}
}
