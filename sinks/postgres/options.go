package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// DefaultPosition is the name of the column for the Position where Options name none.
const DefaultPosition = "_walbridge_position"

// Options say which database, and how to write to it.
type Options struct {
	// URL is postgres://user:password@host/database, as libpq takes it; several hosts with
	// target_session_attrs=read-write find the primary after a failover.
	URL transport.Secret
	// Schema is where tables are whose object does not name one; public if empty.
	Schema string
	// Create makes missing schemas, tables and columns, as Tables describe them.
	Create bool
	// Tables are the columns that records have, by object.
	Tables map[string]Table
	// Position is the name of the column for the Position; DefaultPosition if empty.
	Position string
	// Timeout bounds one Deliver, and at the server one statement; 15 s if zero.
	Timeout time.Duration
	// MaxBatch is the greatest number of records of a Deliver; 1000 if zero.
	MaxBatch int
	// MaxInFlight is the greatest number at once, and of connections; 4 if zero.
	MaxInFlight int
	// IgnoreKeyCase tells that keys which differ in case only are the same, as those of type
	// citext are.
	IgnoreKeyCase bool
	// Addresses are which addresses may be connected to; all if empty.
	Addresses sinks.Addresses
}

// Table is what records of an object have.
type Table struct {
	// Columns are those of the records, and Key the name of the one that identifies them.
	Key     string
	Columns []Column
}

// Column is a column that Create may have to make.
type Column struct {
	Name string
	// Type is PostgreSQL's name of the type, such as numeric or text[].
	Type string
}

func (o *Options) defaults() {
	if o.Schema == "" {
		o.Schema = "public"
	}
	if o.Position == "" {
		o.Position = DefaultPosition
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 1000
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 4
	}
}

// pool makes the configuration of the connections. Its errors do not quote the URL.
func (o *Options) pool() (*pgxpool.Config, error) {
	url := o.URL.Reveal()
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, errors.New("url: want postgres://user:password@host/database")
	}
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("url: it is not valid; want postgres://user:password@host/database, with special characters of the password as %XX")
	}
	c.MaxConns, c.MinConns = int32(o.MaxInFlight), 0
	params := c.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name":  "walbridge",
		"statement_timeout": fmt.Sprint(o.Timeout.Milliseconds()),
		// What has no zone of its own is read the same on every server.
		"TimeZone": "UTC", "DateStyle": "ISO, MDY",
	} {
		if _, set := params[name]; !set {
			params[name] = value
		}
	}
	// The look whether a connection still is one costs a round trip.
	c.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > pingAfter }
	d := transport.Dialer(o.Addresses)
	c.ConnConfig.DialFunc = d.DialContext
	return c, nil
}

// pingAfter is how long a connection may be idle and is taken to be there all the same.
const pingAfter = 5 * time.Second

// name splits an object into schema and table.
func (o *Options) name(object string) (schema, table string) {
	if s, t, ok := strings.Cut(object, "."); ok {
		return s, t
	}
	return o.Schema, object
}
