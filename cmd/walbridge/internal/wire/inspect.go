package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
)

// Report is what is found of a bridge from outside its processes: in PostgreSQL and
// in Redis. It needs no process of the bridge to be alive.
type Report struct {
	Name string    `json:"name"`
	Now  time.Time `json:"now"`
	// Problems say what somebody has to look at; empty if nothing.
	Problems []string       `json:"problems"`
	Source   *SourceReport  `json:"source"` // nil if it could not be read
	Log      *LogReport     `json:"log"`    // likewise
	Targets  []TargetReport `json:"targets"`
	// Backfills are those that have not ended well.
	Backfills []cdc.BackfillStatus `json:"backfills"`
	// Replays are those under way.
	Replays []ReplayReport `json:"replays"`
}

// SourceReport is of the database.
type SourceReport struct {
	Version     int    `json:"version"`
	Slot        string `json:"slot"`
	Exists      bool   `json:"exists"`
	ActivePID   int32  `json:"active_pid"`
	Holder      string `json:"holder"`
	WALStatus   string `json:"wal_status"`
	Invalidated string `json:"invalidation_reason"`
	Failover    bool   `json:"failover"`
	Confirmed   string `json:"confirmed"`
	Restart     string `json:"restart"`
	ServerEnd   string `json:"server_end"`
	Retained    int64  `json:"retained_wal_bytes"`
	Budget      int64  `json:"wal_budget_bytes"`
	Safe        int64  `json:"safe_wal_bytes"` // until the server gives the slot up; negative without a limit
	Publication string `json:"publication"`
	Tables      int    `json:"tables"`
	Warning     string `json:"warning"` // of the WAL that the slot keeps; empty below half of the budget
}

// LogReport is of the log in Redis.
type LogReport struct {
	Partitions    int               `json:"partitions"`
	Appended      string            `json:"appended"`     // the highest Position
	AppendedLSN   string            `json:"appended_lsn"` // the same as an LSN of the source
	Durable       string            `json:"durable"`      // source LSN up to which it was known to be whole
	Base          string            `json:"epoch_base"`
	CompleteUntil time.Time         `json:"complete_until,omitzero"`
	LagBytes      int64             `json:"lag_bytes"`
	LagSeconds    float64           `json:"lag_seconds"`
	Stopped       map[string]string `json:"stopped_tables"`
	// Durability is what the servers do to keep the log, empty if that is not known;
	// DurabilityHint how they would keep it, if they do not.
	Durability     string      `json:"durability"`
	DurabilityHint string      `json:"durability_hint,omitempty"`
	Held           *HeldReport `json:"held"`
}

// TargetReport is of the delivery to a target.
type TargetReport struct {
	Name string `json:"name"`
	// Owner are the processes that deliver to it, empty if none does; Workers tells more.
	Owner   string         `json:"owner"`
	Workers []WorkerReport `json:"workers"`
	// Unowned are the partitions that nobody owns, Partitions is how many there are.
	Unowned    []int `json:"unowned_partitions"`
	Partitions int   `json:"partitions"`
	// State is running, paused or probing, Until the end of a pause and Why what for; empty
	// without an owner.
	State string    `json:"state"`
	Until time.Time `json:"until,omitzero"`
	Why   string    `json:"why,omitempty"`
	// Waits says which mappings wait for somebody to mend something; empty if none.
	Waits       string       `json:"waits,omitempty"`
	Rate        *RateReport  `json:"rate,omitempty"`
	DeadLetters int64        `json:"dead_letters"`
	Deferred    int64        `json:"deferred"` // entries that wait aside
	Lanes       []LaneReport `json:"lanes"`
}

// LaneReport is what of a lane a target has not dealt with.
type LaneReport struct {
	Lane    string `json:"lane"`
	Entries int64  `json:"entries"`
	// More tells that there are more entries than were counted.
	More bool `json:"more"`
	// Seconds is the age of the oldest of them, Bytes how much WAL lies behind it.
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"wal_bytes"`
}

// Inspect looks at a bridge. What cannot be reached is a problem of the report, not
// an error.
func Inspect(ctx context.Context, cfg *config.Config, logger *slog.Logger) Report {
	r := Report{Name: cfg.Name, Now: time.Now().UTC(), Problems: []string{}, Targets: []TargetReport{}, Backfills: []cdc.BackfillStatus{}, Replays: []ReplayReport{}}
	o := logOptions(cfg, logger)
	o.Look = true
	l, err := redislog.Open(ctx, o)
	var before pgsource.LogFacts // a capture at work moves both log and source on meanwhile
	if err == nil {
		if before, err = pgsource.ReadLog(ctx, l); err != nil {
			err = errors.Join(err, l.Close())
		}
	}
	facts := r.source(ctx, cfg, logger)
	switch {
	case errors.Is(err, redislog.ErrNoLog):
		r.problem("there is no log of this bridge in Redis yet: walbridge capture, or run, has not been started")
		return r
	case err != nil:
		r.problem(err.Error())
		return r
	}
	defer func() {
		if err := l.Close(); err != nil {
			r.problem(err.Error())
		}
	}()
	r.log(ctx, l, facts, before)
	if r.Log != nil {
		if err := r.held(ctx, cfg, l); err != nil {
			r.problem(err.Error())
		}
	}
	r.backfills(ctx, l)
	r.replays(ctx, l)
	for _, t := range cfg.TargetNames() {
		err := r.target(ctx, l, t)
		if err == nil {
			err = r.circuit(ctx, cfg, l, &r.Targets[len(r.Targets)-1])
		}
		if err != nil {
			r.problem(fmt.Sprintf("target %s: %v", t, err))
		}
	}
	return r
}

func (r *Report) problem(text string) { r.Problems = append(r.Problems, text) }

// source reads the database; it gives the facts for the log to be held against.
func (r *Report) source(ctx context.Context, cfg *config.Config, logger *slog.Logger) *pgsource.Facts {
	f, err := readFacts(ctx, cfg, logger)
	if err != nil {
		r.problem(err.Error())
		return nil
	}
	r.Source = sourceReport(cfg, f)
	if f.HasSlot && f.Active == 0 { // what a slot that is gone means the log says
		r.problem(fmt.Sprintf("nobody reads slot %s: the capture is not running, and the server keeps its WAL", cfg.Postgres.Slot))
	}
	if r.Source.Warning != "" {
		r.problem(r.Source.Warning)
	}
	for _, t := range f.Publication.Tables {
		if t.Lost != "" {
			r.problem(t.Lost)
		}
	}
	return &f
}

// pressure warns of the WAL that the slot keeps, early: from half of the budget on.
func pressure(slot string, f *pgsource.Facts, budget int64) string {
	if f.Pressure(budget) == 0 {
		return ""
	}
	text := fmt.Sprintf("slot %s keeps %s of WAL on the server; the budget is %s", slot, Bytes(f.Retained), Bytes(budget))
	switch f.WALStatus {
	case "unreserved":
		text += "; the server is about to remove WAL that the slot needs"
	case "lost":
		text += "; the server has removed WAL that the slot needed"
	}
	return text
}

func readFacts(ctx context.Context, cfg *config.Config, logger *slog.Logger) (f pgsource.Facts, err error) {
	s, err := OpenSlot(ctx, cfg, logger)
	if err != nil {
		return f, err
	}
	return s.facts, s.Close()
}

func sourceReport(cfg *config.Config, f pgsource.Facts) *SourceReport {
	return &SourceReport{
		Version: f.Version, Slot: cfg.Postgres.Slot, Exists: f.HasSlot, ActivePID: f.Active, Holder: f.Holder,
		WALStatus: f.WALStatus, Invalidated: f.Invalidation, Failover: f.Failover,
		Confirmed: f.Confirmed.String(), Restart: f.Restart.String(), ServerEnd: f.Now.String(),
		Retained: f.Retained, Budget: cfg.Postgres.WALBudget, Safe: f.Safe,
		Publication: cfg.Postgres.Publication, Tables: len(f.Publication.Tables),
		Warning: pressure(cfg.Postgres.Slot, &f, cfg.Postgres.WALBudget),
	}
}

// log reads the log and holds it against the source.
func (r *Report) log(ctx context.Context, l *redislog.Log, f *pgsource.Facts, before pgsource.LogFacts) {
	fail := func(err error) bool {
		if err != nil {
			r.problem(err.Error())
		}
		return err != nil
	}
	facts, err := pgsource.ReadLog(ctx, l)
	if fail(err) {
		return
	}
	tail, err := l.Tail(ctx)
	if fail(err) {
		return
	}
	until, err := l.CompleteUntil(ctx)
	if fail(err) {
		return
	}
	stopped, err := l.Stopped(ctx)
	if fail(err) {
		return
	}
	r.Log = &LogReport{Partitions: l.Partitions(), Appended: tail.String(), AppendedLSN: (tail.LSN - min(tail.LSN, facts.Epoch.Base)).String(), Durable: facts.Mark.String(), Base: facts.Epoch.Base.String(),
		CompleteUntil: until, Stopped: map[string]string{}}
	r.durability(ctx, l)
	for t, why := range stopped {
		r.Log.Stopped[t.String()] = why
		r.problem(fmt.Sprintf("data_loss: table %s is stopped: %s", t, why))
	}
	if f == nil {
		return
	}
	list, err := l.Routings(ctx)
	if fail(err) {
		return
	}
	slot := r.Source.Slot
	if loss := pgsource.Diagnose(slot, *f, before, facts); loss != nil {
		r.problem(loss.Error())
	} else if n := len(list); n > 0 {
		for _, what := range f.Publication.Lacks(slot, &list[n-1]) {
			r.problem("data_loss: " + what)
		}
	}
	if f.Now > facts.Mark {
		r.Log.LagBytes = int64(f.Now - facts.Mark)
		if !until.IsZero() {
			r.Log.LagSeconds = max(0, r.Now.Sub(until).Seconds())
		}
	}
}

// durability tells what the servers do to keep the log.
func (r *Report) durability(ctx context.Context, l *redislog.Log) {
	mode, why, err := l.FindDurability(ctx)
	if err != nil {
		r.problem(err.Error())
	}
	r.Log.Durability, r.Log.DurabilityHint = string(mode), why
}

// countMost is how many entries of a stream are counted.
const countMost = 1000

// aheadScript tells what lies behind a position of a stream: how many entries, at
// most so many, and the id and the commit time of the first; nothing if there is none.
//
// KEYS: the stream. ARGV: the position, and how many to count at most.
var aheadScript = redis.NewScript(`
local e = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
if #e == 0 then return {} end
for i = 1, #e[1][2], 2 do
  if e[1][2][i] == 'ts' then return {tostring(#e), e[1][1], e[1][2][i + 1]} end
end
return redis.error_reply('ERR entry ' .. e[1][1] .. ' has no ts')`)

func (r *Report) target(ctx context.Context, l *redislog.Log, name string) error {
	t := TargetReport{Name: name}
	if err := r.workers(ctx, l, &t); err != nil {
		return err
	}
	for part := range l.Partitions() {
		n, err := l.Client().XLen(ctx, l.Keys().DeadLetters(name, part)).Result()
		if err != nil {
			return fmt.Errorf("count dead letters: %w", err)
		}
		t.DeadLetters += n
		if n, err = l.Client().HLen(ctx, l.Keys().Deferred(name, part)).Result(); err != nil {
			return fmt.Errorf("count deferred entries: %w", err)
		}
		t.Deferred += n
	}
	for _, lane := range cdc.Lanes() {
		lr := LaneReport{Lane: lane}
		for part := range l.Partitions() {
			if err := r.ahead(ctx, l, name, cdc.Stream{Lane: lane, Partition: part}, &lr); err != nil {
				return err
			}
		}
		t.Lanes = append(t.Lanes, lr)
	}
	if t.Owner == "" {
		r.problem("no process delivers to target " + name)
	}
	if t.DeadLetters > 0 {
		r.problem(fmt.Sprintf("target %s has %s; walbridge dlq list --target %[1]s tells why", name, Letters(t.DeadLetters)))
	}
	r.Targets = append(r.Targets, t)
	return nil
}

// ahead adds what a target has not dealt with of one stream.
func (r *Report) ahead(ctx context.Context, l *redislog.Log, target string, s cdc.Stream, lr *LaneReport) error {
	key := l.Keys().Stream(s)
	at, err := l.Checkpoint(ctx, s, target)
	if err != nil {
		return err
	}
	answer, err := aheadScript.Run(ctx, l.Client(), []string{key}, at.String(), countMost+1).StringSlice()
	if err != nil {
		return fmt.Errorf("look at stream %v: %w", s, err)
	}
	if len(answer) != 3 {
		return nil // nothing lies behind it
	}
	n, err := strconv.ParseInt(answer[0], 10, 64)
	if err != nil {
		return fmt.Errorf("count entries of stream %v: %w", s, err)
	}
	first, err := cdc.ParsePosition(answer[1])
	if err != nil {
		return err
	}
	micros, err := strconv.ParseInt(answer[2], 10, 64)
	if err != nil {
		return fmt.Errorf("read commit time of entry %s: %w", answer[1], err)
	}
	lr.Entries += min(n, countMost)
	lr.More = lr.More || n > countMost
	tail, err := l.TailOf(ctx, s)
	if err != nil {
		return err
	}
	lr.Bytes = max(lr.Bytes, int64(tail.LSN-first.LSN))
	lr.Seconds = max(lr.Seconds, r.Now.Sub(time.UnixMicro(micros)).Seconds())
	return nil
}

// Bytes writes a number of bytes for people, in the units of the configuration.
func Bytes(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + " " + unit
		}
		f /= 1024
	}
	return fmt.Sprintf("%.1f TiB", f)
}
