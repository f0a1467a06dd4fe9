package redislog

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// authority signs certificates for the tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.file, _ = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate with its key; the first is the authority's own.
func (a *authority) sign(name string, c *x509.Certificate) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.cert, a.key = made, key
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "EC PRIVATE KEY", keyDER)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// A cluster's nodes are known by the same authority, and by the hosts that they are
// reached at.
func TestTLSCluster(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.server()
	c := servertest.RedisCluster(t, servers.ClusterOptions{Masters: 3, NodeTimeout: 5 * time.Second,
		Node: servers.RedisOptions{TLS: &servers.RedisTLS{CA: a.file, Cert: cert, Key: key}}})
	l := openWith(t, Options{URL: "rediss://", Cluster: c.Addrs()[:1], TLS: &TLS{CA: a.file}, Name: "nodes"})
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	f := newFeed(32, 2000)
	if ends := f.runOver(t, l); len(ends) > 0 {
		t.Fatalf("sessions ended: %v", ends)
	}
	f.check(t, l)
}

// server makes the certificate of a server on the loopback interface.
func (a *authority) server() (certFile, keyFile string) {
	return a.sign("server", &x509.Certificate{DNSNames: []string{"redis.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.server()
	mine, myKey := a.sign("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	open := servertest.Redis(t, servers.RedisOptions{TLS: &servers.RedisTLS{CA: a.file, Cert: cert, Key: key}})
	strict := servertest.Redis(t, servers.RedisOptions{TLS: &servers.RedisTLS{CA: a.file, Cert: cert, Key: key, AskClients: true}})
	for _, tc := range []struct {
		name   string
		server *servers.Redis
		scheme string
		tls    *TLS
		want   string // of the error
	}{
		{"a known authority", open, "rediss", &TLS{CA: a.file}, ""},
		{"a name of its own", open, "rediss", &TLS{CA: a.file, ServerName: "redis.test"}, ""},
		{"another name", open, "rediss", &TLS{CA: a.file, ServerName: "other.test"}, "not other.test"},
		{"an unknown authority", open, "rediss", nil, "unknown authority"},
		{"any certificate", open, "rediss", &TLS{InsecureSkipVerify: true}, ""},
		{"without TLS", open, "redis", nil, "cannot be used"},
		{"a certificate of ours", strict, "rediss", &TLS{CA: a.file, Cert: mine, Key: myKey}, ""},
		{"none of ours", strict, "rediss", &TLS{CA: a.file}, "cannot be used"},
		{"no such file", open, "rediss", &TLS{CA: a.file + "x"}, "redis.tls.ca cannot be read"},
		{"no certificate in it", open, "rediss", &TLS{CA: myKey}, "holds no certificate"},
		{"the key of another", open, "rediss", &TLS{CA: a.file, Cert: mine, Key: key}, "redis.tls.cert and redis.tls.key cannot be used"},
		{"where none is asked for", open, "redis", &TLS{CA: a.file}, "redis.url does not ask for TLS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := Open(t.Context(), Options{URL: tc.scheme + "://" + tc.server.Addr() + "/0", TLS: tc.tls, Name: "tls", Partitions: partitions, Logger: slog.New(slog.DiscardHandler)})
			var se *cdc.SetupError
			switch {
			case tc.want != "":
				if !errors.As(err, &se) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want %q", err, tc.want)
				}
			case err != nil:
				t.Error(err)
			default:
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	l := openWith(t, Options{URL: "rediss://" + strict.Addr() + "/0", TLS: &TLS{CA: a.file, Cert: mine, Key: myKey}, Name: "whole"})
	if err := l.SetDurableMark(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	f := newFeed(31, 2000)
	if ends := f.runOver(t, l); len(ends) > 0 {
		t.Fatalf("sessions ended: %v", ends)
	}
	f.check(t, l)
}
