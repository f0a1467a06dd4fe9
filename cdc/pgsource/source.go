package pgsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
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
	// Tables are those to capture.
	Tables map[cdc.Table]Lanes
	// CompileRules compiles the rules of Tables, and those of the log. It may be nil where
	// there are none.
	CompileRules CompileRules
	// Mappings are started when the log does not know them yet.
	Mappings []Start
	// BulkAfter is after how many rows of one transaction the rest goes to the
	// bulk lane.
	BulkAfter int
	// Heartbeat is how often a logical message is written, so that an idle
	// database does not hold its WAL back.
	Heartbeat time.Duration
	// SlotWait is how long a first session waits for a slot that somebody holds who
	// is no capture of this bridge.
	SlotWait time.Duration
	// WALBudget is how many bytes of WAL the slot may keep on the server before that
	// is called too much; zero for no limit. It is only told, never acted upon.
	WALBudget int64
	// AfterLoss says what comes of a Loss.
	AfterLoss AfterLoss
	Logger    *slog.Logger
}

// AfterLoss is what comes of changes that were lost.
type AfterLoss uint8

// What can come of them: the end; a new epoch of the log without them; or one that is
// filled again from the tables.
const (
	StopAfterLoss AfterLoss = iota
	GoOnAfterLoss
	HealAfterLoss
)

// Start is a mapping that starts with the rows that its table has, or only with what
// changes from now on.
type Start struct {
	Name  string // target/mapping
	Table cdc.Table
	Now   bool
	// Parents are the mappings, each as target/mapping, whose records those of this one
	// refer to.
	Parents []string
}

// Source is a database that changes are captured from.
type Source struct {
	options Options
	logger  *slog.Logger
	config  *pgx.ConnConfig
	where   string // host:port/database, for messages

	mu      sync.Mutex // covers stopped and withheld, and options.Tables once it runs
	stopped map[cdc.Table]bool
	// withheld are those of them that cannot be put into the publication by us.
	withheld map[cdc.Table]bool
}

// stop leaves a table out of the publication from now on.
func (s *Source) stop(t cdc.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped[t] = true
}

// stoppedTables lists the tables that are left out.
func (s *Source) stoppedTables() []cdc.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.stopped), cdc.Table.Compare)
}

// unstop takes tables back that were left out.
func (s *Source) unstop(tables []cdc.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tables {
		delete(s.stopped, t)
		delete(s.withheld, t)
	}
}

// withhold notes that somebody else has to put a table into the publication.
func (s *Source) withhold(t cdc.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withheld[t] = true
}

func (s *Source) isWithheld(t cdc.Table) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.withheld[t]
}

func (s *Source) isStopped(t cdc.Table) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped[t]
}

// rename gives the tables to capture the names that they have now.
func (s *Source) rename(was, now map[uint32]cdc.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tables := maps.Clone(s.options.Tables) // the caller's
	renamed := func(oid uint32) bool {
		return now[oid] != (cdc.Table{}) && now[oid] != was[oid] && !s.stopped[was[oid]]
	}
	for oid, name := range was {
		if renamed(oid) {
			delete(tables, name) // all of them first: two may have changed their names
		}
	}
	for oid, name := range was {
		if lanes, ok := s.options.Tables[name]; ok && renamed(oid) {
			tables[now[oid]] = lanes
			s.tellRenamed(name, now[oid])
		}
	}
	s.options.Tables = tables
}

func (s *Source) tellRenamed(was, is cdc.Table) {
	s.logger.Warn("a table was renamed; its entries keep the name that the log knows", "was", was.String(), "is", is.String(),
		"hint", "write the new name into from: of its mapping files before the next start")
}

// applicationName is what the replication connection calls itself, so that
// captures of one bridge know each other. The server keeps 63 bytes of it.
func (s *Source) applicationName() string {
	name := "walbridge " + s.options.Slot
	return name[:min(len(name), 63)]
}

// SetTables says which tables to capture, with their lanes, and what the mappings begin
// with. It is called before the capture runs: mappings are compiled against the catalog
// that the source tells.
func (s *Source) SetTables(tables map[cdc.Table]Lanes, mappings []Start) {
	s.options.Tables, s.options.Mappings = tables, mappings
}

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
	// Rows that a policy hides would be taken for rows that are gone: an error is
	// better.
	"row_security": "off",
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
	return &Source{options: o, logger: o.Logger, config: cfg, stopped: map[cdc.Table]bool{}, withheld: map[cdc.Table]bool{},
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
	cfg.RuntimeParams["application_name"] = s.applicationName()
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
	var hint string
	switch pe.Code {
	case "28000", "28P01":
		hint = "check the user and password of postgres.url, and pg_hba.conf on the server"
	case "3D000":
		hint = "check the database name of postgres.url"
	case forbidden:
		hint = fmt.Sprintf("run ALTER ROLE %s REPLICATION", cdc.QuoteIdent(s.config.User))
	default: // it may pass: too many connections, starting up, shutting down, a pooler's own
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
