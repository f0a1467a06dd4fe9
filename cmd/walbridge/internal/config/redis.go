package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Redis is the log and the state of delivery.
type Redis struct {
	// URL is the server's address. With Sentinel or Cluster it has only what is the
	// same for all servers (user, password, TLS), and may be empty.
	URL Secret
	// TLS is for a rediss:// address; nil trusts what the system trusts.
	TLS *RedisTLS
	// Sentinel tells which server is the master; nil without.
	Sentinel *RedisSentinel
	// Cluster are host:port of some nodes of a Redis Cluster; empty if it is none.
	Cluster []string
	// Replicas is how many replicas must have an entry before it is confirmed.
	Replicas int
	// Partitions is the number of partitions of a log that is made anew.
	Partitions int
	// BulkAfter is the number of rows of one transaction after which the rest
	// travels in the bulk lane.
	BulkAfter int
	Retention Retention
	// HighMark is the part of the server's maxmemory, in per cent, up to which the log
	// keeps what every target has read; 0 for no such mark.
	HighMark int
	// OnFull says what comes of a log that is full of what a target has not read.
	OnFull string
}

// RedisTLS are files in PEM form, as they can be opened, and how a server is known.
type RedisTLS struct {
	CA, Cert, Key      string
	ServerName         string
	InsecureSkipVerify bool
}

// RedisSentinel says who knows the master.
type RedisSentinel struct {
	// Master is the name of the master.
	Master string
	// Addresses are host:port of the sentinels.
	Addresses []string
	// Password is that of the sentinels themselves.
	Password Secret
}

// maxReplicas is the greatest number of replicas that can be waited for.
const maxReplicas = 16

func (l *loader) redis(n *yamldoc.Node, r *Redis) {
	s := l.doc.Section(n, "url", "tls", "sentinel", "cluster", "replicas", "partitions", "bulk_after", "retention", "high_mark", "on_full")
	l.secret(s.Node("url"), &r.URL)
	if n := s.Node("tls"); n != nil {
		r.TLS = &RedisTLS{}
		t := l.doc.Section(n, "ca", "cert", "key", "server_name", "insecure_skip_verify")
		for key, dst := range map[string]*string{"ca": &r.TLS.CA, "cert": &r.TLS.Cert, "key": &r.TLS.Key} {
			t.Text(key, dst)
			if *dst != "" && !filepath.IsAbs(*dst) {
				*dst = filepath.Join(l.dir, *dst)
			}
		}
		t.Text("server_name", &r.TLS.ServerName)
		t.Bool("insecure_skip_verify", &r.TLS.InsecureSkipVerify)
	}
	if n := s.Node("sentinel"); n != nil {
		r.Sentinel = &RedisSentinel{}
		t := l.doc.Section(n, "master", "addresses", "password")
		t.Text("master", &r.Sentinel.Master)
		t.Texts("addresses", &r.Sentinel.Addresses)
		l.secret(t.Node("password"), &r.Sentinel.Password)
	}
	s.Texts("cluster", &r.Cluster)
	s.Int("replicas", &r.Replicas)
	s.Int("partitions", &r.Partitions)
	s.Int("bulk_after", &r.BulkAfter)
	l.retention(s, r)
}

func (r Redis) validate(v *validator) {
	switch {
	case r.Sentinel != nil && len(r.Cluster) > 0:
		v.fail("redis.cluster", "redis.sentinel is given too", "", "a server is found by sentinels or belongs to a cluster: keep one of the two")
	case r.Sentinel != nil:
		r.common(v, "redis.sentinel", "write redis://user:password@/0, or rediss:// for TLS")
	case len(r.Cluster) > 0:
		const example = "write redis://user:password@, or rediss:// for TLS"
		r.common(v, "redis.cluster", example)
		if u, err := url.Parse(r.URL.Reveal()); err == nil && strings.Trim(u.Path, "/") != "" && strings.Trim(u.Path, "/") != "0" {
			v.fail("redis.url", "a cluster has no databases but 0", "", example)
		}
	default:
		const example = "write redis://host:6379/0, or rediss:// for TLS"
		if r.URL == "" {
			v.fail("redis.url", "no address of Redis", "", example)
		} else {
			v.address("redis.url", r.URL, []string{"redis", "rediss"}, example)
		}
	}
	if r.Sentinel != nil {
		if r.Sentinel.Master == "" {
			v.fail("redis.sentinel.master", "no name of the master", "", "write the name that sentinel.conf gives it, such as mymaster")
		}
		if len(r.Sentinel.Addresses) == 0 {
			v.fail("redis.sentinel.addresses", "no sentinels", "", "write [host:26379, …]")
		}
		v.hosts("redis.sentinel.addresses", r.Sentinel.Addresses, "host:26379")
	}
	v.hosts("redis.cluster", r.Cluster, "host:6379")
	r.TLS.validate(v, r.URL)
	v.number("redis.replicas", int64(r.Replicas), 0, maxReplicas)
	v.number("redis.partitions", int64(r.Partitions), 1, maxPartitions)
	v.number("redis.bulk_after", int64(r.BulkAfter), 1, 1<<31-1)
	r.validateRetention(v)
}

// common checks an address that is of no server, since several are named elsewhere.
func (r Redis) common(v *validator, where, example string) {
	if r.URL == "" {
		return
	}
	u, err := url.Parse(r.URL.Reveal())
	switch {
	case err == nil && u.Host != "":
		v.fail("redis.url", "the address names a host, but the servers are those of "+where, "", example)
	case err == nil && (u.Scheme == "redis" || u.Scheme == "rediss"): // only that it has no host
	default:
		v.address("redis.url", r.URL, []string{"redis", "rediss"}, example)
	}
}

func (t *RedisTLS) validate(v *validator, address Secret) {
	if t == nil {
		return
	}
	if !strings.HasPrefix(address.Reveal(), "rediss://") {
		v.fail("redis.tls", "redis.url does not ask for TLS", "", "write redis.url: rediss://…")
	}
	if (t.Cert == "") != (t.Key == "") {
		v.fail("redis.tls", "cert and key belong together", "", "give both files, or none where the server asks for no certificate")
	}
}

// hosts checks a list of host:port.
func (v *validator) hosts(path string, list []string, example string) {
	for i, address := range list {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			v.fail(fmt.Sprintf("%s[%d]", path, i), "not the address of a server", address, "write "+example)
		}
	}
}
