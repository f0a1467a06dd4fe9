package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/demo/sales"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/demo/show"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// Options say how to run the demo. The zero value of each but Out is a default.
type Options struct {
	// Duration is how long the sales team works; zero until ctx ends.
	Duration time.Duration
	// Postgres and Redis are URLs of servers to use in place of throw-away ones.
	Postgres, Redis string
	// Listen is where the console listens.
	Listen string
	// Seed decides what happens in the database, Rate how many transactions a
	// second do.
	Seed uint64
	Rate float64
	// Out gets what the demo says, TTY tells that it is a terminal.
	Out io.Writer
	TTY bool
	// Version is shown by the console.
	Version string
}

// drainWithin bounds the wait for the last changes to reach the targets.
const drainWithin = 60 * time.Second

// ErrDisagree says that the targets do not hold what the source says.
var ErrDisagree = errors.New("source and targets disagree")

// demo is one run.
type demo struct {
	options Options
	started time.Time
	dir     string
	logFile *os.File
	logger  *slog.Logger
	stage   *stage
	bridge  *wire.Bridge
	life    *sales.Life
}

// Run runs the demo until its duration is over or ctx ends. The error is
// ErrDisagree if source and targets do not agree at the end.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{options: o, started: time.Now()}
	if d.dir, err = os.MkdirTemp("", "walbridge-demo-"); err != nil {
		return fmt.Errorf("make directory of the demo: %w", err)
	}
	// The servers' own users must be able to reach what lies below.
	if err := os.Chmod(d.dir, 0o711); err != nil {
		return fmt.Errorf("make directory of the demo: %w", err)
	}
	if d.logFile, err = os.Create(filepath.Join(d.dir, "walbridge.log")); err != nil {
		return fmt.Errorf("make log of the demo: %w", err)
	}
	d.logger = slog.New(slog.NewTextHandler(d.logFile, nil))
	defer func() { err = errors.Join(err, d.close(err)) }()
	d.stage, err = raise(ctx, d)
	if err != nil {
		return err
	}
	return d.play(ctx)
}

// close stops what was started. After a failure the directory stays, with the
// log in it.
func (d *demo) close(failed error) error {
	var errs []error
	if d.stage != nil {
		errs = append(errs, d.stage.close())
	}
	errs = append(errs, d.logFile.Close())
	if failed != nil && !errors.Is(failed, context.Canceled) {
		return errors.Join(append(errs, d.say("what happened is in %s\n", d.logFile.Name()))...)
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func (d *demo) say(format string, args ...any) error {
	_, err := fmt.Fprintf(d.options.Out, format, args...)
	return err
}

// play runs the bridge and the sales team, then lets the bridge drain and
// compares.
func (d *demo) play(ctx context.Context) error {
	if err := sales.Renew(ctx, d.stage.conn); err != nil {
		return err
	}
	cfg, err := d.configure()
	if err != nil {
		return err
	}
	if d.bridge, err = wire.Open(ctx, cfg, wire.Options{Parts: wire.Parts{Capture: true, AllTargets: true}, Logger: d.logger, Version: d.options.Version}); err != nil {
		return err
	}
	d.life = sales.NewLife(d.stage.connect, sales.Options{Seed: d.options.Seed, Rate: d.options.Rate, Logger: d.logger})
	if err := d.introduce(cfg); err != nil {
		return errors.Join(err, d.bridge.Close())
	}
	// The bridge outlives ctx: it ends after the drain.
	bridgeCtx, stopBridge := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBridge()
	bridgeDone := make(chan error, 1)
	go func() {
		err := d.bridge.Run(bridgeCtx)
		if err != nil {
			stopBridge()
		}
		bridgeDone <- err
	}()
	err = d.work(ctx, bridgeCtx)
	if err == nil {
		err = d.reconcile(bridgeCtx)
	}
	stopBridge()
	return errors.Join(<-bridgeDone, err)
}

// work lets the sales team work and shows the table, until it is time to stop.
func (d *demo) work(ctx, bridgeCtx context.Context) error {
	if d.options.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.options.Duration)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(bridgeCtx, cancel)() // a bridge that failed ends the show
	if err := sales.Seed(bridgeCtx, d.stage.conn, d.options.Seed); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.life.Run(gctx) })
	g.Go(func() error { return show.Run(gctx, d.options.Out, d.snapshot, 500*time.Millisecond, d.options.TTY) })
	return g.Wait()
}

// reconcile waits until everything committed is delivered, and compares.
func (d *demo) reconcile(ctx context.Context) error {
	if err := d.say("\nThe sales team has gone home; the last changes are on their way.\n"); err != nil {
		return err
	}
	began := time.Now()
	wait, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	drained := d.drain(wait)
	if ctx.Err() != nil {
		return nil // the bridge's own error says why
	}
	if drained != nil {
		d.logger.Error("drain incomplete", "error", drained)
		if err := d.say("After %s something was still on its way: %v\n", drainWithin, drained); err != nil {
			return err
		}
	} else if err := d.say("Drained in %s.\n\n", time.Since(began).Round(time.Millisecond)); err != nil {
		return err
	}
	report, err := sales.Reconcile(ctx, d.stage.conn, d.stage.fields)
	if err != nil {
		return fmt.Errorf("compare source and targets: %w", err)
	}
	if err := d.summary(); err != nil {
		return err
	}
	if _, err := report.WriteTo(d.options.Out); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	if back := d.stage.sandbox.Backwards(); len(back) > 0 {
		return errors.Join(ErrDisagree, fmt.Errorf("%d keys went backwards at a target, the first: %s", len(back), back[0]))
	}
	if !report.OK() || drained != nil {
		return ErrDisagree
	}
	return nil
}

// drain waits until the log holds all that is committed and every target has
// accepted all that the log holds.
func (d *demo) drain(ctx context.Context) error {
	var end string
	if err := d.stage.conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		return fmt.Errorf("read end of WAL: %w", err)
	}
	return d.bridge.Drain(ctx, end)
}

// configure writes the mapping files and a configuration like a user's, and
// loads them as `walbridge run` does.
func (d *demo) configure() (*config.Config, error) {
	files, err := sales.Mappings()
	if err != nil {
		return nil, fmt.Errorf("read mappings of the demo: %w", err)
	}
	if err := os.CopyFS(filepath.Join(d.dir, "mappings"), files); err != nil {
		return nil, fmt.Errorf("write mappings of the demo: %w", err)
	}
	var objects []string
	for _, w := range worksheets() {
		objects = append(objects, w.Name+": "+w.ID)
	}
	path := filepath.Join(d.dir, "walbridge.yaml")
	if err := os.WriteFile(path, []byte(fmt.Sprintf(configText, d.stage.name, d.options.Listen, d.stage.targets, strings.Join(objects, ", "))), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration of the demo: %w", err)
	}
	env := map[string]string{"POSTGRES_URL": d.stage.postgresURL, "REDIS_URL": d.stage.redisURL}
	return config.Load(path, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
}

const configText = `name: %s
postgres:
  url: ${POSTGRES_URL}
redis:
  url: ${REDIS_URL}
listen: %q
mappings: [mappings/*.yaml]
targets:
  crm: {type: salesforce, url: "%[3]s/salesforce", login: {grant: client_credentials, client_id: demo, client_secret: demo}}
  forecast: {type: http, url: "%[3]s/forecast/batch"}
  commission:
    type: http
    preset: captivateiq
    url: "%[3]s/captivateiq/ciq/v1"
    auth: {token: demo}
    objects: {%[4]s}
`
