package config

import (
	"slices"
	"time"
)

// Config is the configuration of the process.
type Config struct {
	// Name names the slot, the publication and the keys in Redis.
	Name     string
	Postgres Postgres
	Redis    Redis
	// Mappings are patterns of mapping files, relative to Dir.
	Mappings []string
	// Targets are in the order of the file.
	Targets  []Target
	Delivery Delivery
	// Listen is the address of console, metrics and health; "" switches it off.
	Listen string
	Log    Log
	// Dir is the directory of the configuration file; "" stands for the working
	// directory.
	Dir string
}

// Postgres is the source.
type Postgres struct {
	URL         Secret
	Slot        string // walbridge_<name> if empty
	Publication string // walbridge_<name> if empty
	// Heartbeat is how often an idle database gets a message, so that the slot
	// moves on.
	Heartbeat time.Duration
	// WALBudget is how many bytes of WAL the slot may keep on the server before that
	// is called too much.
	WALBudget int64
	// OnLoss says what comes of changes that were lost outside of walbridge.
	OnLoss string
}

// What can come of lost changes: the tables are read again, or the capture stops, or it
// goes on without them.
const (
	OnLossHeal = "heal"
	OnLossStop = "stop"
	OnLossGoOn = "go_on"
)

// Delivery bounds the delivery engine.
type Delivery struct {
	// Lease is how long a worker owns a partition without renewing.
	Lease time.Duration
	// QueueEntries and QueueBytes bound what one target holds in memory.
	QueueEntries int
	QueueBytes   int64
	// Floor is the share of the batches, in per cent, that the normal and the bulk lane
	// each get of what more urgent ones could use; zero for none.
	Floor int
	// Shutdown is how long requests under way may take when the process ends.
	Shutdown    time.Duration
	DeadLetters DeadLetters
	// Hold is how long a key that is tried again and again may hold the checkpoint.
	Hold     time.Duration
	Deferred Deferred
	Parents  Parents
	Trace    Trace
}

// Trace bounds the history that walbridge trace tells from.
type Trace struct {
	// Bytes is about how much of it is kept of one target; zero for none.
	Bytes int64
}

// Parents say how records wait for those that they refer to.
type Parents struct {
	// Wait is for how long.
	Wait time.Duration
}

// Deferred bound what waits aside, of keys that are tried again and again.
type Deferred struct {
	// Count is how many entries wait aside for one target, shared evenly by the partitions.
	Count int
}

// DeadLetters bound what is kept of the records that a target refused.
type DeadLetters struct {
	// Count is how many are kept of one target, shared evenly by the partitions.
	Count int
	// Age is how long they are kept.
	Age time.Duration
}

// Log is the process's own log.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// Default gives the configuration that holds where a file says nothing. It has
// no addresses and is therefore not valid by itself.
func Default() *Config {
	c := &Config{
		Name:     "walbridge",
		Postgres: Postgres{Heartbeat: 10 * time.Second, WALBudget: 10 << 30, OnLoss: OnLossHeal},
		Redis:    Redis{Partitions: 8, BulkAfter: 1000, Retention: Retention{Age: retainDefault}, HighMark: highMarkDefault, OnFull: OnFullDetach},
		Delivery: Delivery{Lease: 10 * time.Second, QueueEntries: 100_000, QueueBytes: 128 << 20, Floor: 10, Shutdown: 15 * time.Second,
			DeadLetters: DeadLetters{Count: 100_000, Age: 30 * 24 * time.Hour},
			Hold:        2 * time.Minute, Deferred: Deferred{Count: 20_000}, Parents: Parents{Wait: 30 * time.Second}, Trace: Trace{Bytes: 16 << 20}},
		Listen: "127.0.0.1:8642",
		Log:    Log{Level: "info", Format: "text"},
	}
	c.derive()
	return c
}

// derive fills in what follows from the name.
func (c *Config) derive() {
	if c.Postgres.Slot == "" {
		c.Postgres.Slot = "walbridge_" + c.Name
	}
	if c.Postgres.Publication == "" {
		c.Postgres.Publication = "walbridge_" + c.Name
	}
}

// Target gives the target of a name.
func (c *Config) Target(name string) (Target, bool) {
	i := slices.IndexFunc(c.Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return Target{}, false
	}
	return c.Targets[i], true
}

// TargetNames gives the names of all targets in the order of the file.
func (c *Config) TargetNames() []string {
	names := make([]string, len(c.Targets))
	for i, t := range c.Targets {
		names[i] = t.Name
	}
	return names
}
