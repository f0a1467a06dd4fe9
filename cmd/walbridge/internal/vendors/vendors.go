package vendors

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Target is an open target.
type Target interface {
	sinks.Target
	sinks.Prober
	// Close gives idle connections back. Nothing is under way any more.
	Close()
}

// Stores are where a target keeps what has to outlive the process. It may have none where it is
// only asked for what it knows by itself.
type Stores struct {
	Notes sinks.Notes
	// Vault is for logins by a refresh token. Who makes requests at a target with such a login
	// needs one: a refresh may make void what other processes have.
	Vault transport.Vault
}

// openers has, for each type, what opens a target of it. It does not connect.
var openers = map[string]func(config.Target, transport.Vault) (Target, error){
	config.TypeHTTP:       openHTTP,
	config.TypeHubSpot:    openHubSpot,
	config.TypeSalesforce: openSalesforce,
	config.TypePostgres:   openPostgres,
}

// Open opens a target. It does not connect. The error is of type yamldoc.Errors, with the places of the mistakes in the
// configuration, or in the file that the target's form is in.
func Open(cfg config.Target, s Stores) (Target, error) {
	open, ok := openers[cfg.Type]
	if !ok { // config.Validate has said so before
		return nil, setup(cfg, fmt.Errorf("no target is of type %q", cfg.Type))
	}
	t, err := open(cfg, s.Vault)
	if err != nil {
		return nil, setup(cfg, err)
	}
	if n, ok := sinks.As[sinks.NoteTaker](t); ok && s.Notes != nil {
		n.TakeNotes(s.Notes)
	}
	return t, nil
}

// setting finds the setting that an error begins with, such as login.private_key.
var setting = regexp.MustCompile(`^([a-z_]+(?:\[[0-9]+\]|\.[a-z_]+)*): `)

// setup gives mistakes their places.
func setup(cfg config.Target, err error) error {
	var list, out yamldoc.Errors
	if errors.As(err, &list) {
		for _, e := range list {
			if e.File == "" {
				e = cfg.Mistake(e.Path, e.Msg, e.Value, e.Hint)
			}
			out = append(out, e)
		}
		return out.Err()
	}
	path, msg := "", err.Error()
	if m := setting.FindStringSubmatch(msg); m != nil {
		path, msg = m[1], msg[len(m[0]):]
	}
	hint := "correct it in the configuration"
	if strings.Contains(msg, "; ") { // it says what to do
		hint = ""
	}
	return append(out, cfg.Mistake(path, msg, "", hint)).Err()
}
