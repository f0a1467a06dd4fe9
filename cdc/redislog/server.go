package redislog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// TLS says how a rediss:// server is known, and how we make ourselves known to it.
type TLS struct {
	// CA is a file of the certificates that are trusted instead of the system's.
	CA string
	// Cert and Key are files of our own certificate, for a server that asks for one.
	Cert, Key string
	// ServerName is the name that the server's certificate must have, if it is not
	// the host of the address.
	ServerName string
	// InsecureSkipVerify takes any certificate.
	InsecureSkipVerify bool
}

// Sentinel says who knows which server is the master.
type Sentinel struct {
	// Master is the name by which the sentinels know it.
	Master string
	// Addresses are host:port of the sentinels.
	Addresses []string
	// Password is that of the sentinels, a secret; empty if they ask for none.
	Password string
}

// answerTimeout bounds the wait for any answer of the server.
const answerTimeout = 10 * time.Second

// dialTimeout bounds the making of a connection for appends.
const dialTimeout = 3 * time.Second

// reloadEvery is how old a client's picture of a cluster may be. After a failover
// it is the longest time that requests go to a node that is gone.
const reloadEvery = 2 * time.Second

// whence says to people where the servers are, and what to look at if none is there.
type whence struct{ where, hint string }

// connect makes the client for ordinary commands.
func connect(o *Options) (c redis.UniversalClient, from whence, err error) {
	url := o.URL
	if url == "" {
		url = "redis://"
	}
	ro, err := redis.ParseURL(url)
	if err != nil {
		return nil, from, &cdc.SetupError{What: "redis.url is not a Redis URL", Hint: "write redis://[user:password@]host:port/db, or rediss:// for TLS"}
	}
	if err := o.TLS.apply(ro, o.Sentinel != nil || len(o.Cluster) > 0); err != nil {
		return nil, from, err
	}
	ro.ReadTimeout, ro.WriteTimeout = answerTimeout, answerTimeout
	ro.DisableIdentity = true
	switch {
	case o.Sentinel != nil:
		c = redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: o.Sentinel.Master, SentinelAddrs: o.Sentinel.Addresses, SentinelPassword: o.Sentinel.Password,
			Username: ro.Username, Password: ro.Password, DB: ro.DB, TLSConfig: ro.TLSConfig,
			ReadTimeout: answerTimeout, WriteTimeout: answerTimeout, DialTimeout: dialTimeout, DisableIdentity: true,
			DialerRetries: 1, // each asks all sentinels, several times
		})
		from = whence{fmt.Sprintf("master %s of the sentinels %s", o.Sentinel.Master, strings.Join(o.Sentinel.Addresses, ", ")),
			"check that the sentinels run and know the master by this name, and the password in redis.url"}
	case len(o.Cluster) > 0:
		c = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: o.Cluster, Username: ro.Username, Password: ro.Password, TLSConfig: ro.TLSConfig,
			ReadTimeout: answerTimeout, WriteTimeout: answerTimeout, DialTimeout: dialTimeout, DisableIdentity: true,
			// Every command of ours names its key, so that nobody need ask for COMMAND.
			DisableRoutingPolicies: true, ClusterStateReloadInterval: reloadEvery,
		})
		from = whence{"cluster " + strings.Join(o.Cluster, ", "), "check that the nodes run and are a Redis Cluster, and the password in redis.url"}
	default:
		c = redis.NewClient(ro)
		from = whence{ro.Addr, "check that the server runs and that redis.url has the right address and password"}
		if ro.TLSConfig != nil {
			from.hint += ", and that the server speaks TLS at this port (redis:// is without)"
		}
	}
	return c, from, nil
}

// apply sets up TLS for a rediss:// address. Of several servers each is known by the
// host it is reached at.
func (t *TLS) apply(ro *redis.Options, several bool) error {
	if ro.TLSConfig == nil {
		if t != nil {
			return &cdc.SetupError{What: "redis.tls is given, but redis.url does not ask for TLS", Hint: "write redis.url: rediss://…"}
		}
		return nil
	}
	if several {
		ro.TLSConfig.ServerName = ""
	}
	if t == nil {
		return nil
	}
	if t.ServerName != "" {
		ro.TLSConfig.ServerName = t.ServerName
	}
	ro.TLSConfig.InsecureSkipVerify = t.InsecureSkipVerify
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return &cdc.SetupError{What: "redis.tls.ca cannot be read", Err: err, Hint: "check the path, which is relative to the configuration file, and its permissions"}
		}
		ro.TLSConfig.RootCAs = x509.NewCertPool()
		if !ro.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return &cdc.SetupError{What: fmt.Sprintf("redis.tls.ca: %s holds no certificate", t.CA), Hint: "it is a file of one or more certificates in PEM form"}
		}
	}
	if t.Cert == "" && t.Key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return &cdc.SetupError{What: "redis.tls.cert and redis.tls.key cannot be used", Err: err, Hint: "they are files in PEM form, of a certificate and of its key"}
	}
	ro.TLSConfig.Certificates = []tls.Certificate{pair}
	return nil
}

// Tuning is what a further client does otherwise than the log's own.
type Tuning struct {
	// Timeout bounds the wait for any answer.
	Timeout time.Duration
	// Connections is how many there may be to each server; zero leaves it open.
	Connections int
	// Deadlines tells that the deadline of a context bounds a wait as well.
	Deadlines bool

	// alone makes the client have one connection to each server, for pipelines too,
	// which is kept until it breaks. One that guards lets nobody make a connection
	// whose context is guarded.
	alone, guards bool
}

// Sibling makes a further client for the same server or servers. It answers in the
// older protocol and never repeats by itself a request that went to a server. It
// may be used until c is closed.
func Sibling(c redis.UniversalClient, t Tuning) redis.UniversalClient {
	if cluster, ok := c.(*redis.ClusterClient); ok {
		o := *cluster.Options()
		o.Protocol, o.PushNotificationProcessor, o.ContextTimeoutEnabled = 2, nil, t.Deadlines
		o.ReadTimeout, o.WriteTimeout = t.Timeout, t.Timeout
		if t.Connections > 0 {
			o.PoolSize = t.Connections
		}
		if t.alone {
			o.PoolSize, o.PipelinePoolSize, o.ConnMaxIdleTime = 1, -1, -1
			o.ReadBufferSize, o.WriteBufferSize = pipelineBuffer, pipelineBuffer
			o.DialTimeout, o.DialerRetries = dialTimeout, 1
		}
		if t.guards {
			o.OnConnect = refuseGuarded
		}
		return redis.NewClusterClient(&o)
	}
	one, ok := c.(*redis.Client)
	if !ok { // Log makes only these two
		panic(fmt.Sprintf("redislog: sibling of a %T", c))
	}
	o := *one.Options()
	// What the other client registered for pushed messages is its own.
	o.Protocol, o.PushNotificationProcessor, o.ContextTimeoutEnabled = 2, nil, t.Deadlines
	o.MaxRetries = -1
	o.ReadTimeout, o.WriteTimeout = t.Timeout, t.Timeout
	if t.Connections > 0 {
		o.PoolSize = t.Connections
	}
	if t.alone {
		o.PoolSize, o.PipelinePoolSize, o.ConnMaxIdleTime = 1, -1, -1
		o.ReadBufferSize, o.WriteBufferSize = pipelineBuffer, pipelineBuffer
		o.DialTimeout, o.DialerRetries = dialTimeout, 1 // a send does not end with its context
	}
	if t.guards {
		o.OnConnect = refuseGuarded
	}
	return redis.NewClient(&o)
}

// pipelineBuffer is the size of the buffers of a connection that serves pipelines.
const pipelineBuffer = 64 << 10

// errNewConnection says that the connection broke, and that nobody has looked yet
// what the server behind another one has.
var errNewConnection = errors.New("the connection to the server is a new one")

type guardKey struct{}

// guarded is a context whose commands must go over a connection that is there.
//
// A server that came back without its last writes, or another that took its place,
// would take the next batch over a new connection, above what is missing: then the
// log has a hole that nobody can fill. So the first thing over a new connection is
// the look whether the server has what it should (Writer.verify).
func guarded(ctx context.Context) context.Context { return context.WithValue(ctx, guardKey{}, true) }

func refuseGuarded(ctx context.Context, _ *redis.Conn) error {
	if ctx.Value(guardKey{}) != nil {
		return errNewConnection
	}
	return nil
}

// place is a server with the parts of the log that it holds.
type place struct {
	client *redis.Client
	parts  []int
}

// places deals the parts of the log to the servers that hold them, as the client c
// knows them.
func (l *Log) places(ctx context.Context, c redis.UniversalClient) ([]place, error) {
	cluster, ok := c.(*redis.ClusterClient)
	if !ok {
		one, ok := c.(*redis.Client)
		if !ok {
			return nil, fmt.Errorf("find the server of the log: a %T has none", c)
		}
		return []place{{client: one, parts: []int{0}}}, nil
	}
	var list []place
	at := map[*redis.Client]int{}
	for i := range l.parts {
		node, err := cluster.MasterForKey(ctx, l.parts[i].number)
		if err != nil {
			return nil, fmt.Errorf("find the server of %s: %w", l.parts[i].number, err)
		}
		n, ok := at[node]
		if !ok {
			n = len(list)
			at[node] = n
			list = append(list, place{client: node})
		}
		list[n].parts = append(list[n].parts, i)
	}
	return list, nil
}

// lookAgain makes a client look who the masters are, after a request failed.
func lookAgain(ctx context.Context, c redis.UniversalClient) {
	if cluster, ok := c.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// part is what of the log is held by one server for sure: all of it, or of a
// cluster the streams of one partition, and one more for the description.
type part struct {
	// number is the key that each append to the part leaves its number in, mark the
	// key of its durable mark.
	number, mark string
	// meta tells that the description of the log lies here.
	meta bool
}

// split says which parts the log has, and which part each stream belongs to. Of a
// cluster the first holds the description, and no stream.
func (l *Log) split(several bool) {
	l.parts = []part{{number: l.keys.Appended(), mark: l.keys.Durable(), meta: true}}
	l.partOf = make([]int, len(l.streams))
	if !several {
		return
	}
	for p := range l.partitions {
		l.parts = append(l.parts, part{number: l.keys.AppendedIn(p), mark: l.keys.DurableIn(p)})
	}
	for i, s := range l.streams {
		l.partOf[i] = 1 + s.Partition
	}
}
