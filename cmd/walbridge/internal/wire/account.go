package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/queue"
	"github.com/walbridge/walbridge/sinks/rate"
	"github.com/walbridge/walbridge/sinks/state"
)

// account is this process's part in the limits that targets share.
type account struct {
	keeper *rate.Keeper
	store  *rate.Redis
}

// counted counts the requests that a target makes with a context, and tells the account of
// those beyond the first, in the lane of the least urgent.
func (a *account) counted(ctx context.Context) (context.Context, *sinks.Requests) {
	return sinks.CountRequests(ctx, func() { a.keeper.More(queue.Bulk) })
}

// counts tells whether a target tells of each request that it makes.
func counts(t sinks.Target) bool {
	c, ok := sinks.As[sinks.RequestCounter](t)
	return ok && c.CountsRequests()
}

func (a *account) close() error {
	a.keeper.Close()
	return a.store.Close()
}

// account gives a target's account, one for all targets of it.
func (b *Bridge) account(t config.Target) *account {
	name := t.Account()
	if a, ok := b.accounts[name]; ok {
		return a
	}
	store := rate.NewRedis(b.log.Client(), b.log.Keys().Account(name))
	a := &account{keeper: rate.New(name, settingsOf(b.cfg.RateOf(name)), store, b.logger), store: store}
	b.accounts[name] = a
	return a
}

func settingsOf(r config.Rate) rate.Settings {
	return rate.Settings{PerSecond: r.PerSecond, Burst: r.Burst, BulkFloor: float64(r.BulkFloor) / 100,
		Daily: int64(r.Daily), KeepShare: float64(r.KeepPercent) / 100, Keep: int64(r.Keep)}
}

// held tells what keeps requests back for the sake of the account, and until when.
func held(v rate.View) (until time.Time, why string) {
	switch {
	case !v.SpentUntil.IsZero():
		why = "the requests of the day are used up"
		if v.Kept > 0 {
			why += fmt.Sprintf(", but for the %d that are kept for people", v.Kept)
		}
		return v.SpentUntil, why
	case !v.PausedUntil.IsZero():
		return v.PausedUntil, "the target asked to wait"
	}
	return time.Time{}, ""
}

// condition is how a target is, as it is noted in Redis while not all is well.
type condition struct {
	State string    `json:"state"` // running, paused or probing
	Until time.Time `json:"until,omitzero"`
	Why   string    `json:"why"`
	Waits string    `json:"waits,omitempty"` // which mappings do, and what for
}

// conditions notes in Redis how a target is, so that walbridge status sees it from
// outside. What it has not come to write yet is replaced by what is newer.
type conditions struct {
	client redis.UniversalClient
	log    *redislog.Log
	key    string
	target string
	owner  string // the name of this process
	logger *slog.Logger
	next   chan deliver.Condition
	tidied bool // what processes that are gone have noted is taken away
}

func newConditions(l *redislog.Log, target, owner string, logger *slog.Logger) *conditions {
	return &conditions{client: l.Client(), log: l, key: l.Keys().Conditions(), target: target, owner: owner, logger: logger, next: make(chan deliver.Condition, 1)}
}

// tell takes a condition to be written. It is called by one goroutine, and does not wait.
func (c *conditions) tell(now deliver.Condition) {
	select {
	case <-c.next:
	default:
	}
	c.next <- now
}

// noteEvery is how soon a condition is tried to be noted again.
const noteEvery = time.Second

// run writes conditions until ctx ends.
func (c *conditions) run(ctx context.Context) error {
	failing := false
	for {
		var now deliver.Condition
		select {
		case <-ctx.Done():
			return nil
		case now = <-c.next:
		}
		for err := c.note(ctx, now); err != nil && ctx.Err() == nil && len(c.next) == 0; err = c.note(ctx, now) {
			if !failing {
				c.logger.Warn("how the target is cannot be noted for walbridge status", "target", c.target, "error", err)
			}
			failing = true
			if cdc.Sleep(ctx, noteEvery) != nil {
				return nil
			}
		}
		failing = false
	}
}

func (c *conditions) note(ctx context.Context, now deliver.Condition) error {
	if !c.tidied {
		if err := c.tidy(ctx); err != nil {
			return err
		}
		c.tidied = true
	}
	field := redislog.ConditionOf(c.target, c.owner)
	if now == (deliver.Condition{}) {
		return c.client.HDel(ctx, c.key, field).Err()
	}
	text, err := json.Marshal(condition{State: now.Circuit.String(), Until: now.Until.UTC(), Why: now.Why, Waits: now.Waits})
	if err != nil {
		return err
	}
	return c.client.HSet(ctx, c.key, field, text).Err()
}

// tidy takes away what was noted by processes that are gone.
func (c *conditions) tidy(ctx context.Context) error {
	m, err := state.Look(ctx, c.client, c.log.Keys(), c.target, c.log.Partitions())
	if err != nil {
		return err
	}
	all, err := redislog.ConditionsOf(ctx, c.client, c.log.Keys(), c.target)
	if err != nil {
		return err
	}
	for owner := range all {
		if owner != c.owner && !slices.ContainsFunc(m.Workers, func(w state.Worker) bool { return w.Name == owner }) {
			if err := c.client.HDel(ctx, c.key, redislog.ConditionOf(c.target, owner)).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// RateReport is what the account of a target allows.
type RateReport struct {
	Account string `json:"account"`
	// PerSecond is how many requests a second go now, Limit the setting; 0 is any number.
	PerSecond float64 `json:"per_second"`
	Limit     float64 `json:"limit_per_second"`
	// Daily is how many requests the day has, Kept of them for people, Left of the others;
	// Known tells that anybody knows.
	Known bool  `json:"daily_known"`
	Daily int64 `json:"daily"`
	Kept  int64 `json:"kept_for_people"`
	Left  int64 `json:"left"`
	// BulkUntil is until when nothing of the bulk lane is sent.
	BulkUntil time.Time `json:"bulk_until,omitzero"`
}

// circuit adds how a target is to its report.
func (r *Report) circuit(ctx context.Context, cfg *config.Config, l *redislog.Log, t *TargetReport) error {
	target, ok := cfg.Target(t.Name)
	if !ok {
		return nil
	}
	if err := r.conditions(ctx, l, t); err != nil {
		return fmt.Errorf("read how it is: %w", err)
	}
	name := target.Account()
	v, err := rate.Look(ctx, l.Client(), l.Keys().Account(name), settingsOf(cfg.RateOf(name)))
	if err != nil {
		return err
	}
	t.Rate = rateReport(name, v)
	if until, why := held(v); why != "" && (t.State == "running" || until.After(t.Until)) {
		t.State, t.Until, t.Why = "paused", until.UTC(), why
	}
	if t.Owner == "" { // what the last owner noted is over
		t.State, t.Until, t.Why, t.Waits = "", time.Time{}, "", ""
		return nil
	}
	if t.State != "running" {
		r.problem(fmt.Sprintf("target %s is %s", t.Name, t.Condition(r.Now)))
	}
	if t.Waits != "" {
		r.problem(fmt.Sprintf("target %s: %s", t.Name, t.Waits))
	}
	return nil
}

// conditions adds what the workers of a target have noted. Each asks the target for itself, and
// may be paused alone.
func (r *Report) conditions(ctx context.Context, l *redislog.Log, t *TargetReport) error {
	t.State = "running"
	all, err := redislog.ConditionsOf(ctx, l.Client(), l.Keys(), t.Name)
	if err != nil {
		return err
	}
	rank := []string{"running", deliver.Probing.String(), deliver.Open.String()}
	for i := range t.Workers {
		w := &t.Workers[i]
		text, ok := all[w.Name]
		if !ok {
			continue
		}
		var c condition
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return err
		}
		if c.State == deliver.Open.String() && !r.Now.Before(c.Until) {
			c.State = deliver.Probing.String()
		}
		if c.State != "running" {
			w.State, w.Until, w.Why = c.State, c.Until, c.Why
		}
		if slices.Index(rank, c.State) > slices.Index(rank, t.State) {
			t.State, t.Until, t.Why = c.State, c.Until, c.Why
		}
		if t.Waits == "" {
			t.Waits = c.Waits
		}
	}
	return nil
}

// rateReport tells what an account allows.
func rateReport(name string, v rate.View) *RateReport {
	return &RateReport{Account: name, PerSecond: v.Rate, Limit: v.Limit, Known: v.Budget, Daily: v.Daily, Kept: v.Kept, Left: v.Left, BulkUntil: v.BulkSpentUntil.UTC()}
}

// Condition says in words how the target is, and to how many workers if not to all.
func (t *TargetReport) Condition(now time.Time) string {
	return inWords(t.State, t.Until, t.Why, now) + t.among()
}

func inWords(state string, until time.Time, why string, now time.Time) string {
	switch {
	case state == deliver.Open.String() && until.After(now):
		return fmt.Sprintf("paused until %s: %s", until.Format(time.RFC3339), why)
	case state != "running" && why != "":
		return state + ": " + why
	}
	return state
}

// Words says what the account allows.
func (r *RateReport) Words() string {
	text := "any number of requests a second"
	if r.PerSecond > 0 {
		text = number(r.PerSecond) + " requests a second"
		if r.Limit > 0 && r.PerSecond < r.Limit {
			text += " of " + number(r.Limit) + ", lowered by throttling"
		} else if r.Limit == 0 {
			text += ", lowered by throttling"
		}
	}
	if r.Known {
		text += fmt.Sprintf("; %d requests left of %d in a day", r.Left, r.Daily)
		if r.Kept > 0 {
			text += fmt.Sprintf(", %d kept for people", r.Kept)
		}
	}
	return text
}

// number writes a rate with three digits that matter.
func number(f float64) string { return strconv.FormatFloat(f, 'g', 3, 64) }
