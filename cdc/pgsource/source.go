package pgsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
)

// Options say what to capture and from where.
type Options struct {
	// URL is that of the database. It is a secret.
	URL string
	// Slot and Publication are made if they are missing.
	Slot        string
	Publication string
	// Tables maps the tables to capture to their lane.
	Tables map[cdc.Table]string
	// BulkAfter is after how many rows of one transaction the rest goes to the
	// bulk lane.
	BulkAfter int
	// Heartbeat is how often a logical message is written, so that an idle
	// database does not hold its WAL back.
	Heartbeat time.Duration
	// SlotWait is how long Open waits for a slot that another connection holds,
	// such as that of a process that just died.
	SlotWait time.Duration
	Logger   *slog.Logger
}

// Source is a database that changes are captured from.
type Source struct {
	options Options
	logger  *slog.Logger
	config  *pgx.ConnConfig
	where   string // host:port/database, for messages
}

// SetTables says which tables to capture, and their lanes. It is called before
// the capture runs: mappings are compiled against the catalog that the source
// tells.
func (s *Source) SetTables(tables map[cdc.Table]string) { s.options.Tables = tables }

// pinned are the session settings that the text form of values depends on.
// They are start-up options, so that nothing set for the role or the database
// changes what is captured.
var pinned = map[string]string{
	"client_encoding":    "UTF8",
	"TimeZone":           "UTC",
	"DateStyle":          "ISO, MDY",
	"IntervalStyle":      "postgres",
	"bytea_output":       "hex",
	"extra_float_digits": "3",
	"lc_monetary":        "C",
	"xmlbinary":          "base64",
	"search_path":        "pg_catalog",
}

// connectTimeout bounds the making of a connection.
const connectTimeout = 10 * time.Second

// New reads the options; it does not connect.
func New(o Options) (*Source, error) {
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil {
		// The error of the parser may quote the URL, and so the password.
		return nil, &cdc.SetupError{What: "postgres.url is not a PostgreSQL URL",
			Hint: "write postgres://user:password@host:port/database?sslmode=…"}
	}
	for k, v := range pinned {
		cfg.RuntimeParams[k] = v
	}
	cfg.RuntimeParams["application_name"] = "walbridge"
	cfg.ConnectTimeout = connectTimeout
	return &Source{options: o, logger: o.Logger, config: cfg,
		where: fmt.Sprintf("%s/%s", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)), cfg.Database)}, nil
}

// Connect makes an ordinary connection with the pinned settings.
func (s *Source) Connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return nil, s.connectError(err)
	}
	return conn, nil
}

// firstConnection is Connect at the start of the process, when a server that is
// not there is more likely a mistake than an outage.
func (s *Source) firstConnection(ctx context.Context) (*pgx.Conn, error) {
	conn, err := s.Connect(ctx)
	var se *cdc.SetupError
	if err != nil && !errors.As(err, &se) {
		return nil, &cdc.SetupError{What: "postgres cannot be reached", Err: err,
			Hint: "check that the server runs and that postgres.url has the right address"}
	}
	return conn, err
}

func (s *Source) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	cfg := s.config.Config.Copy()
	cfg.RuntimeParams["replication"] = "database"
	cfg.BuildFrontend = patientFrontend
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, s.connectError(err)
	}
	return conn, nil
}

// connectError names the server without the password that pgx's own text may
// lead to, and says what to do where the server said what is wrong.
func (s *Source) connectError(err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return fmt.Errorf("connect to postgres at %s: %w", s.where, errors.New(reason(err)))
	}
	hint := "check postgres.url"
	switch pe.Code {
	case "28000", "28P01":
		hint = "check the user and password of postgres.url, and pg_hba.conf on the server"
	case "3D000":
		hint = "check the database name of postgres.url"
	case "42501":
		hint = fmt.Sprintf("run ALTER ROLE %s REPLICATION", cdc.QuoteIdent(s.config.User))
	case "53300", "57P03", "57P01", "57P02": // too many connections, starting up, shutting down
		return fmt.Errorf("connect to postgres at %s: %s (SQLSTATE %s)", s.where, pe.Message, pe.Code)
	}
	return &cdc.SetupError{What: "postgres at " + s.where + " refuses the connection",
		Err: fmt.Errorf("%s (SQLSTATE %s)", pe.Message, pe.Code), Hint: hint}
}

// reason is the last part of a connection error: what the system said, without
// the user and database that pgx puts before it.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Error()
	}
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 && strings.Contains(s, "`") {
		return s[i+2:]
	}
	return s
}
