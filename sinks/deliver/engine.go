package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
)

// Engine delivers to one target.
type Engine struct {
	o      Options
	logger *slog.Logger
	leases leases
	routes map[cdc.Table][]Mapper
	byName map[string]Mapper
	keys   *keyRules
	counts bool // the target tells of each request
	wanted wanted
	worker state.Worker // what others are told of this process
	stats  *recorder
	log    *journal

	// Of the goroutine of Run alone: the end of the last pause of the target and its
	// faults in a row, over all sessions.
	pausedUntil time.Time
	faults      int
	why         string // it is paused, or probed
	idle        downtime
	condition   Condition
	toldDropped time.Time                 // when it was last logged that dead letters were dropped
	dropped     map[int]deadletter.Totals // of each partition, as far as this process counted

	maxCommit int // entries of one commit
	quietJob  time.Duration
	// clockSlack is how far the clocks of the source and of this machine may be apart.
	clockSlack time.Duration
	// collectEvery is how often states are looked for that are of no use any more.
	collectEvery time.Duration
	sourceAt     atomic.Int64 // when the source last answered, in Unix nanoseconds
	// answeredAt is when the target last said something of single records.
	answeredAt atomic.Int64

	// mu covers handed: how far partitions were handed to the target, over all
	// sessions. The server may forget that; this process does not.
	mu     sync.Mutex
	handed []reach

	current atomic.Pointer[session] // for who looks at its queue; nil without one

	// hard ends everything at once, unlike the context of Run.
	hard context.Context
	kill context.CancelCauseFunc
}

// New makes an engine. It starts nothing.
func New(o Options) (*Engine, error) {
	if o.State == nil {
		return nil, fmt.Errorf("make delivery to %s: a state store is needed", o.Name)
	}
	return newEngine(o, leasesOf(o.State))
}

func newEngine(o Options, l leases) (*Engine, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.defaults()
	e := &Engine{
		o: o, logger: o.Logger.With("target", o.Name), leases: l,
		routes: map[cdc.Table][]Mapper{}, byName: map[string]Mapper{}, dropped: map[int]deadletter.Totals{}, maxCommit: maxCommit, quietJob: quietJob, clockSlack: time.Minute, collectEvery: collectEvery,
		handed: make([]reach, o.Partitions),
	}
	e.worker.Since = time.Now().UTC()
	e.hard, e.kill = context.WithCancelCause(context.Background())
	for _, m := range o.Mappers {
		e.routes[m.Table()] = append(e.routes[m.Table()], m)
		e.byName[m.Name()] = m
		e.worker.Mappings = append(e.worker.Mappings, m.Name())
	}
	e.keys = newKeyRules(&e.o)
	c, ok := sinks.As[sinks.RequestCounter](o.Target)
	e.counts = ok && c.CountsRequests()
	e.stats = newRecorder(o.Mappers)
	e.log = newJournal(e.logger, e.stats)
	if o.Registerer != nil {
		if err := o.Registerer.Register(newCollector(o.Name, e)); err != nil {
			return nil, fmt.Errorf("register metrics of target %s: %w", o.Name, err)
		}
	}
	return e, nil
}

// errKilled ends a session as a killed process would: nothing is written or
// given back. Tests use it.
var errKilled = errors.New("killed")

// Run delivers until ctx ends; it is for one call. Then it reads and sends no more, waits for the
// requests under way up to the drain timeout, writes what they came to, and
// returns nil. What it cannot reach it tries again for as long as it takes; no
// error of the log, the state or the target ends it.
func (e *Engine) Run(ctx context.Context) error {
	defer e.kill(nil)
	for failures := 0; ; failures++ {
		s := newSession(e)
		err := s.run(ctx, e.hard)
		if ctx.Err() != nil || e.hard.Err() != nil {
			return nil
		}
		if time.Since(s.began) > time.Minute {
			failures = 0
		}
		wait := backOff(restartWaits, failures)
		e.logger.Warn("delivery starts over from the checkpoint", "error", err, "retry_in", wait.Round(time.Millisecond))
		if cdc.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// waits are the bounds of an exponential back-off.
type waits struct{ initial, max time.Duration }

var (
	recordWaits  = waits{500 * time.Millisecond, time.Minute}
	targetWaits  = waits{500 * time.Millisecond, time.Minute}
	settingWaits = waits{5 * time.Second, 5 * time.Minute}
	redisWaits   = waits{100 * time.Millisecond, 5 * time.Second}
	restartWaits = waits{200 * time.Millisecond, 10 * time.Second}
)

// backOff gives a wait after some failures before this one: exponential, with
// full jitter, that is, anything from zero to the bound, so that those who failed
// together do not come back together.
func backOff(w waits, failures int) time.Duration {
	bound := w.max
	if failures < 30 && w.initial<<failures < w.max {
		bound = w.initial << failures
	}
	// The library spreads a wait to both sides: half the bound, spread by all of it.
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(bound/2), backoff.WithRandomizationFactor(1),
		backoff.WithMaxInterval(w.max), backoff.WithMaxElapsedTime(0),
	).NextBackOff()
}
