package vendors

import (
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/sinks/httpapi"
	"github.com/walbridge/walbridge/sinks/transport"
)

func openHTTP(cfg config.Target) (Target, error) {
	headers := map[string]transport.Secret{}
	for _, h := range cfg.HTTP.Headers {
		headers[h.Name] = transport.Secret(h.Value.Reveal())
	}
	return httpapi.New(httpapi.Options{URL: cfg.URL.Reveal(), Describe: cfg.HTTP.Describe.Reveal(), Headers: headers, Timeout: cfg.Timeout,
		MaxBatch: cfg.MaxBatch, MaxInFlight: cfg.MaxInFlight, IgnoreKeyCase: cfg.KeyCase == config.KeyCaseInsensitive, Addresses: cfg.Addresses})
}
