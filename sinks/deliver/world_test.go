package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/rate"
)

// world is everything around an engine.
type world struct {
	testing.TB
	log    *fakeLog
	store  *fakeStore
	target *fakeTarget
	source *fakeSource
	mapper *fakeMapper
	lines  *lines
	// replays may be asked for at any time.
	replays *fakeReplays
	last    int
	// maxCommit is the engine's, if above zero.
	maxCommit int
	quietJob  time.Duration // likewise
	slack     time.Duration // the engine's clockSlack
	// account is where the keeper of the next start keeps its state; without one there is
	// no keeper.
	account *fakeAccount
	limits  rate.Settings
	keeper  *rate.Keeper

	// more are the workers beside the engine; joined were so many.
	more   []*worker
	joined int
	// orphaned counts those that were killed while they owned something.
	orphaned int

	engine *Engine
	stop   context.CancelFunc
	ended  chan struct{}
}

func newWorld(t testing.TB) *world {
	w := &world{
		TB: t, slack: time.Minute, log: newFakeLog(), store: newFakeStore(), target: newFakeTarget(), lines: &lines{},
		source: &fakeSource{rows: map[string]string{}, gone: map[string]bool{}},
		mapper: &fakeMapper{coalesce: sinks.Coalesce{MaxBatch: 10}, filtered: map[string]bool{}},
	}
	w.replays = newFakeReplays(w.log, w.store)
	return w
}

func (w *world) start(change ...func(*Options)) {
	w.Helper()
	o := w.launch("one", change...)
	w.engine, w.stop, w.ended, w.keeper = o.engine, o.stop, o.ended, o.keeper
}

// launch starts an engine that has a name among the workers.
func (w *world) launch(name string, change ...func(*Options)) *worker {
	w.Helper()
	o := Options{
		Name: "crm", Target: w.target, Mappers: []Mapper{w.mapper}, Reader: w.log, Oldest: w.log.oldest, Partitions: partitions, Completer: w.source, Replays: w.replays,
		Logger: slog.New(slog.NewTextHandler(w.lines, nil)), MaxAttempts: 5,
	}
	if name != "one" {
		o.Logger = o.Logger.With("worker", name)
	}
	out := &worker{name: name, ended: make(chan struct{})}
	if w.account != nil {
		out.keeper = rate.New("crm", w.limits, w.account, o.Logger)
		o.Rate = out.keeper
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if out.engine, err = newEngine(o, w.store.leasesOf(name)); err != nil {
		w.Fatal(err)
	}
	w.tune(out.engine)
	var ctx context.Context
	ctx, out.stop = context.WithCancel(context.Background())
	go func() {
		defer close(out.ended)
		if err := out.engine.Run(ctx); err != nil {
			w.Error(err)
		}
		if out.keeper != nil {
			out.keeper.Close()
		}
	}()
	return out
}

// tune sets what only tests do.
func (w *world) tune(e *Engine) {
	e.clockSlack = w.slack
	if w.maxCommit > 0 {
		e.maxCommit = w.maxCommit
	}
	if w.quietJob > 0 {
		e.quietJob = w.quietJob
	}
	e.collectEvery = 4 * time.Second
}

// answers sets what the target does from now on.
func (w *world) answers(a answer) {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	w.target.answer = a
}

// holds sets a row of the source.
func (w *world) holds(id int, row string) {
	w.source.mu.Lock()
	defer w.source.mu.Unlock()
	w.source.rows[keyOf(id)] = row
}

// giveAtMost bounds what the log gives at once.
func (w *world) giveAtMost(n int) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.max = n
}

// storeFails sets what happens to the calls of the store.
func (w *world) storeFails(fault func(call string) (before, after error)) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.fault = fault
}

// end stops the engine in order.
func (w *world) end() {
	w.stop()
	<-w.ended
}

// crash ends the engine as a kill -9 would, but for the goroutines.
func (w *world) crash() {
	w.engine.kill(errKilled)
	<-w.ended
	w.stop()
	w.store.kill("one")
}

// put appends a change of a row with these columns, written as "a=1 note=?".
func (w *world) put(lane string, id int, columns string) cdc.Position {
	return w.putIn(deals, lane, id, columns)
}

// putIn is put for a row of a table.
func (w *world) putIn(table cdc.Table, lane string, id int, columns string) cdc.Position {
	w.last++
	ch := cdc.Change{Position: at(w.last), Op: cdc.OpUpdate, Table: table, Key: keyOf(id), Time: time.Now(), XID: uint64(w.last)}
	row := []string{fmt.Sprintf(`"id":%d`, id)}
	for _, c := range strings.Fields(columns) {
		name, v, _ := strings.Cut(c, "=")
		if v == "?" {
			ch.Absent = append(ch.Absent, name)
		} else {
			row = append(row, fmt.Sprintf("%q:%s", name, v))
		}
	}
	ch.After = "{" + strings.Join(row, ",") + "}"
	if columns == "gone" {
		ch.Op, ch.After = cdc.OpDelete, ""
	}
	w.log.append(lane, ch)
	return ch.Position
}

// caughtUp tells whether every entry is behind the checkpoint.
func (w *world) caughtUp() bool {
	tails := w.log.tails()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for s, tail := range tails {
		if w.store.checkpoints[s] != tail {
			return false
		}
	}
	return true
}

func (w *world) has(id int) string {
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	h, ok := w.target.rows[strconv.Itoa(id)]
	if !ok {
		return "nothing"
	}
	var out []string
	for name, v := range h.fields {
		out = append(out, name+"="+strings.Trim(v, `"`))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (w *world) wantHas(id int, want string) {
	w.Helper()
	if got := w.has(id); got != want {
		w.Fatalf("the target has %s of %d, want %s", got, id, want)
	}
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(w.lines, nil)) }
