package check

import (
	"errors"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// Facts are what was found. What is nil was not looked at.
type Facts struct {
	// Offline tells that no server was asked, but what was saved of them.
	Offline bool
	// Config is the path of the configuration; ConfigErr is what is wrong with it.
	Config    string
	ConfigErr error
	// Files are the mapping files whose form is right, Mappings those that fit the tables,
	// FileErr what is wrong with the others.
	Files    []*mapping.File
	Mappings []*mapping.Mapping
	FileErr  error
	// Compiled tells that the tables are known, so that the files were held against them.
	Compiled bool
	// CatalogErr says why what was saved cannot be used, or cannot be saved.
	CatalogErr error
	// Saved is the file that was written; empty if none was.
	Saved string

	Postgres *Postgres
	Redis    *Redis
	Targets  []Target
}

// Aspect is something that a start needs.
type Aspect struct {
	Good    string
	Trouble *cdc.SetupError // nil if it is as it has to be
}

// Postgres is what the source's server is like.
type Postgres struct {
	// Err says why it could not be looked at.
	Err   error
	User  string
	Needs []Aspect
	// SystemID names the server; empty where it does not tell.
	SystemID string
	// Slot tells that ours is made, Active that it is read.
	Slot, Active                         bool
	Slots, MaxSlots, Senders, MaxSenders int
	// MaxKeep is what the server lets a slot keep, negative without a bound; Budget is
	// postgres.wal_budget.
	MaxKeep, Budget int64
	SenderTimeout   time.Duration
	Tables          map[cdc.Table]Table
}

// Table is what the server has of a table that a mapping names.
type Table struct {
	Trouble     *cdc.SetupError
	Enter, Read bool     // its schema, and itself
	Filtered    bool     // by row level security
	Apart       []string // columns that an update may leave out
	Large       bool     // it has values that are stored apart
	Generated   map[string]string
	Unique      [][]string // columns that no two rows share, the key of its entries first
}

// Redis is what the log's servers are like.
type Redis struct {
	Err     error
	Servers []RedisServer
	// Durability is empty where it is not known, and none where nothing is kept over a
	// restart. Why says what keeps it from being more.
	Durability, Why string
	Troubles        []*cdc.SetupError
	// SystemID is the server that the log was filled from; empty for a new log.
	SystemID string
	// Retention is redis.retention.bytes, HighMark redis.high_mark in per cent; zero where
	// there is no bound.
	Retention int64
	HighMark  int
	// Began tells where the targets started that have taken something; the text is empty where
	// that is not known.
	Began map[string]string
}

// RedisServer is one of them.
type RedisServer struct {
	Address, Version string
	// Silent tells that it does not let us ask; Hint is what to do.
	Silent    bool
	Hint      string
	Policy    string
	MaxMemory int64 // zero without a bound
}

// Target is what a target says of itself.
type Target struct {
	Name string
	// From is the setting that says where it starts; empty if it is not set.
	From string
	// Err says why it cannot be reached, or what is wrong with its part of the
	// configuration.
	Err error
	// MaxBatch is the setting, zero if there is none, MostInBatch how many records a request
	// to it has at most, MaxBatchAt where that is written.
	MaxBatch, MostInBatch int
	MaxBatchAt            mapping.Place
	// Named are the objects that the configuration, or its form, has names for; none if it
	// has none.
	Named []string
	// Abilities tells what it can do with an object; nil if that is not known.
	Abilities func(object string) sinks.Abilities
	// Describes tells that it can tell its objects.
	Describes bool
	Objects   map[string]Object
}

// Object is what a target says of an object that a mapping writes.
type Object struct {
	Schema *sinks.Schema
	Err    error // why it does not tell; *sinks.UnknownObject if it has none of that name
	// Mend are statements that make it, or what it lacks, as the mappings want it.
	Mend []string
}

// Tables gives the tables that files name, each once.
func Tables(files []*mapping.File) (out []cdc.Table) {
	seen := map[cdc.Table]bool{}
	for _, f := range files {
		if !seen[f.From] && f.From != (cdc.Table{}) { // of a file with mistakes it may not be known
			seen[f.From] = true
			out = append(out, f.From)
		}
	}
	return out
}

// Objects gives the objects of a target that files write, each once.
func Objects(files []*mapping.File, target string) (out []string) {
	seen := map[string]bool{}
	for _, f := range files {
		if f.Target == target && !seen[f.Object] {
			seen[f.Object] = true
			out = append(out, f.Object)
		}
	}
	return out
}

// trouble tells of an error, with what to do where it knows.
func (r *Report) trouble(about string, err error, fix string) {
	var se *cdc.SetupError
	var mis *sinks.Misconfigured
	switch {
	case errors.As(err, &se):
		what := se.What
		if se.Err != nil {
			what += ": " + se.Err.Error()
		}
		r.fail(about, what, se.Hint)
	case errors.As(err, &mis):
		r.fail(about, mis.Err.Error(), mis.Hint)
	default:
		r.fail(about, strings.TrimSpace(err.Error()), fix)
	}
}
