package vendors

import (
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/sinks/hubspot"
	"github.com/walbridge/walbridge/sinks/transport"
)

func openHubSpot(cfg config.Target, vault transport.Vault) (Target, error) {
	h := &cfg.HubSpot
	associations := make([]hubspot.Association, len(h.Associations))
	for i, a := range h.Associations {
		associations[i] = hubspot.Association(a)
	}
	return hubspot.New(hubspot.Options{URL: cfg.URL.Reveal(), Token: hubspot.Secret(h.Token.Reveal()),
		Login: hubspot.Login{ClientID: h.Login.ClientID, ClientSecret: hubspot.Secret(h.Login.ClientSecret.Reveal()),
			RefreshToken: hubspot.Secret(h.Login.RefreshToken.Reveal())},
		Version: h.Version, Timeout: cfg.Timeout, MaxBatch: cfg.MaxBatch, MaxInFlight: cfg.MaxInFlight,
		Associations: associations, IgnoreKeyCase: cfg.KeyCase == config.KeyCaseInsensitive, Addresses: cfg.Addresses, Vault: vault})
}
