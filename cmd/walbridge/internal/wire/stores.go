package wire

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/sinks/notes"
	"github.com/walbridge/walbridge/sinks/transport"
	"github.com/walbridge/walbridge/sinks/vault"
)

// stores are where a target keeps what has to outlive the process.
func stores(client redis.UniversalClient, keys redislog.Keys, target string) vendors.Stores {
	return vendors.Stores{
		Notes: notes.New(client, notes.Keys{Spaces: keys.Notes(target), Space: func(space string) string { return keys.NoteSpace(target, space) }}),
		Vault: logins(client, keys),
	}
}

// logins keeps what comes in place of refresh tokens.
func logins(client redis.UniversalClient, keys redislog.Keys) transport.Vault {
	return vault.New(client, vault.Keys{Kept: keys.Login, Turn: keys.LoginTurn})
}

// noVault is a vault that cannot be come by: nobody may refresh, as the configured refresh
// token may have been used.
type noVault struct{ err error }

func (v noVault) Load(context.Context, string) (string, error) { return "", v.err }

func (v noVault) Take(context.Context, string, string, time.Duration) (bool, error) {
	return false, v.err
}

func (v noVault) Give(context.Context, string, string, string) (bool, error) { return false, v.err }
