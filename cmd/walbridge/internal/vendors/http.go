package vendors

import (
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors/formfile"
	"github.com/walbridge/walbridge/sinks/httpapi"
	"github.com/walbridge/walbridge/sinks/httpapi/presets"
	"github.com/walbridge/walbridge/sinks/transport"
)

// DefaultPreset is the form of a target that says nothing of one.
const DefaultPreset = "walbridge"

func openHTTP(cfg config.Target, _ transport.Vault) (Target, error) {
	h := &cfg.HTTP
	src := formfile.Source{Preset: h.Preset, File: h.FormFile, Form: formfile.Section(h.Form), Auth: formfile.Section(h.Auth.Section),
		Secrets: config.AuthSecrets, URL: cfg.URL.Reveal(), Objects: h.Objects}
	if src.Preset == "" && src.File == "" && (src.Form.Node == nil || src.Form.Node.Get("requests") == nil) {
		src.Preset = DefaultPreset
	}
	f, err := formfile.Make(src)
	if err != nil {
		return nil, err
	}
	headers := map[string]transport.Secret{}
	for _, x := range h.Headers {
		headers[x.Name] = transport.Secret(x.Value.Reveal())
	}
	return httpapi.Open(httpapi.Options{Form: f, Describe: h.Describe.Reveal(), Headers: headers, Timeout: cfg.Timeout, Credentials: credentials(&h.Auth),
		MaxBatch: cfg.MaxBatch, MaxInFlight: cfg.MaxInFlight, IgnoreKeyCase: cfg.KeyCase == config.KeyCaseInsensitive, Addresses: cfg.Addresses})
}

func credentials(a *config.Auth) httpapi.Credentials {
	c := httpapi.Credentials{Token: transport.Secret(a.Token.Reveal()), User: a.User, Password: transport.Secret(a.Password.Reveal()),
		ClientID: a.ClientID, ClientSecret: transport.Secret(a.ClientSecret.Reveal())}
	for _, k := range a.Keys {
		c.Keys = append(c.Keys, transport.Secret(k.Reveal()))
	}
	return c
}

// Presets lists the forms of known APIs.
func Presets() []string { return presets.Names() }

// Preset gives the text of one; false if there is none of that name.
func Preset(name string) ([]byte, bool) { return presets.File(name) }
