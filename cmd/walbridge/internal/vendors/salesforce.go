package vendors

import (
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/sinks/salesforce"
	"github.com/walbridge/walbridge/sinks/transport"
)

func openSalesforce(cfg config.Target, vault transport.Vault) (Target, error) {
	f := &cfg.Salesforce
	return salesforce.New(salesforce.Options{
		URL: cfg.URL.Reveal(),
		Login: salesforce.Login{
			Grant: f.Login.Grant, ClientID: f.Login.ClientID, Username: f.Login.Username, Audience: f.Login.Audience,
			ClientSecret: transport.Secret(f.Login.ClientSecret.Reveal()), PrivateKey: transport.Secret(f.Login.PrivateKey.Reveal()),
			RefreshToken: transport.Secret(f.Login.RefreshToken.Reveal()),
		},
		Version: f.Version, AllowDuplicates: f.AllowDuplicates, AssignmentRules: f.AssignmentRules, ExactKeys: cfg.KeyCase == config.KeyCaseExact,
		Timeout: cfg.Timeout, MaxBatch: cfg.MaxBatch, MaxInFlight: cfg.MaxInFlight,
		Bulk:      salesforce.Bulk{From: f.Bulk.From, Max: f.Bulk.Max, Timeout: f.Bulk.Timeout},
		Addresses: cfg.Addresses, Vault: vault,
	})
}
