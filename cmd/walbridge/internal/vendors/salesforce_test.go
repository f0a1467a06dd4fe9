package vendors

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

// The settings of a Salesforce target come to it, and a key that is none is named without
// being shown.
func TestOpenSalesforce(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	cfg := config.DefaultTarget(config.TypeSalesforce)
	cfg.Name, cfg.URL = "crm", "https://acme.my.salesforce.com"
	cfg.Salesforce.Login = config.SalesforceLogin{Grant: config.SalesforceJWT, ClientID: "app", Username: "u", PrivateKey: config.Secret(text)}
	opened, err := Open(cfg, Stores{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if l := opened.Limits(); l.MaxBatch != 1000 || l.Timeout != cfg.Timeout || l.Bulk.From != 2000 || l.Bulk.MaxBatch != 100_000 || l.Bulk.Timeout != cfg.Salesforce.Bulk.Timeout {
		t.Errorf("limits %+v", l)
	}
	if c, ok := sinks.As[sinks.Collation](opened); !ok || !c.Folds() {
		t.Error("external ids compare without case, unless key_case says exact")
	}
	cfg.Salesforce.Login.PrivateKey = "s3cret"
	var mistakes yamldoc.Errors
	if _, err := Open(cfg, Stores{}); !errors.As(err, &mistakes) || !strings.Contains(err.Error(), "login.private_key") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a key that is none: %v", err)
	}
}

// The configuration that the page shows is one that opens.
func TestConfigurationOfTheSalesforcePage(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/targets/salesforce.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "## Configuration\n\n```yaml\n")
	text, _, ended := strings.Cut(text, "```")
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil || !found || !ended {
		t.Fatal(found, ended, err)
	}
	for name, content := range map[string][]byte{
		"walbridge.yaml": []byte(text),
		"salesforce.pem": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "walbridge.yaml"), func(name string) (string, bool) {
		v, ok := map[string]string{"DATABASE_URL": "postgres://db/sales", "REDIS_URL": "redis://redis", "SALESFORCE_CLIENT_ID": "app-1"}[name]
		return v, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Open(cfg.Targets[0], Stores{})
	if err != nil {
		t.Fatal(err)
	}
	opened.Close()
}
