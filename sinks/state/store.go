package state

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/deadletter"
)

// answerTimeout bounds the wait for any answer, and so how long a stop may take.
const answerTimeout = 3 * time.Second

// Options say whose state it is.
type Options struct {
	// Client says how to reach the server; the store makes connections of its own.
	Client redis.UniversalClient
	// Keys names the bridge's keys, Target the target: the name of its consumer
	// groups too.
	Keys       redislog.Keys
	Target     string
	Partitions int
	// Owner names this process among all that may ask for the lease. It must not
	// be used by two at a time; made of host, process and chance if empty.
	Owner string
	// TTL is how long a lease lasts that is not renewed; 10 s if zero.
	TTL time.Duration
	// DeadLetters bound what is kept of parked records.
	DeadLetters deadletter.Bounds
}

// newOwner makes a name that no other process has, and that tells a person which
// one it is.
func newOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%08x", host, os.Getpid(), rand.Uint32())
}

// Store is the state of one target.
type Store struct {
	o   Options
	rdb redis.UniversalClient
}

// New gives a store. It does not connect.
func New(o Options) *Store {
	if o.Owner == "" {
		o.Owner = newOwner()
	}
	if o.TTL <= 0 {
		o.TTL = 10 * time.Second
	}
	// A late copy of a request that the client repeated by itself would be one more.
	return &Store{o: o, rdb: redislog.Sibling(o.Client, redislog.Tuning{Timeout: answerTimeout, Deadlines: true})}
}

// TTL is how long a lease lasts that is not renewed.
func (s *Store) TTL() time.Duration { return s.o.TTL }

// Owner is the name of this process in the leases.
func (s *Store) Owner() string { return s.o.Owner }

// Close ends the connections.
func (s *Store) Close() error { return s.rdb.Close() }
