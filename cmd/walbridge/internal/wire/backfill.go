package wire

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/nearest"
)

// Backfills is the backfills of a bridge, as somebody outside of its processes sees them.
type Backfills struct {
	cfg    *config.Config
	logger *slog.Logger
	log    *redislog.Log
}

// OpenBackfills connects to the log of a configuration. That it was not made yet is an
// error: nobody would work on a backfill.
func OpenBackfills(ctx context.Context, cfg *config.Config, logger *slog.Logger) (*Backfills, error) {
	b, err := openOrNone(ctx, cfg, logger)
	if err == nil && b == nil {
		return nil, &cdc.SetupError{What: "there is no log of this bridge in Redis yet", Hint: "start walbridge run, or walbridge capture: it reads the tables of new mappings by itself"}
	}
	return b, err
}

// openOrNone connects to the log of a configuration; it gives nil if that was not made yet.
func openOrNone(ctx context.Context, cfg *config.Config, logger *slog.Logger) (*Backfills, error) {
	o := logOptions(cfg, logger)
	o.Look = true
	l, err := redislog.Open(ctx, o)
	if errors.Is(err, redislog.ErrNoLog) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Backfills{cfg: cfg, logger: logger, log: l}, nil
}

// Close ends the connections.
func (b *Backfills) Close() error { return b.log.Close() }

// List lists the backfills that are remembered, the oldest first.
func (b *Backfills) List(ctx context.Context) ([]cdc.BackfillStatus, error) {
	return b.log.Backfills(ctx)
}

// Find gives the backfill of an id, or of the beginning of one.
func (b *Backfills) Find(ctx context.Context, id string) (s cdc.BackfillStatus, err error) {
	list, err := b.List(ctx)
	if err != nil {
		return s, err
	}
	var ids []string
	for i := range list {
		if strings.HasPrefix(list[i].ID, id) && id != "" {
			s = list[i]
			ids = append(ids, list[i].ID)
		}
	}
	if len(ids) != 1 {
		return s, fmt.Errorf("backfill %q: %w; walbridge backfill list shows them", id, redislog.ErrNoBackfill)
	}
	return s, nil
}

// Wish says what is wanted of a backfill. One that failed goes on where it was, or is given up.
func (b *Backfills) Wish(ctx context.Context, s cdc.BackfillStatus, w cdc.BackfillWish) error {
	switch state := s.Progress.State; {
	case state == cdc.BackfillFailed && w == cdc.WishRun, state == cdc.BackfillPaused && w == cdc.WishRun:
		s.Progress.State, s.Progress.Note = cdc.BackfillWaiting, ""
		if err := b.log.SetBackfillProgress(ctx, s.ID, s.Progress); err != nil {
			return err
		}
	case state == cdc.BackfillFailed && w == cdc.WishCancel, state == cdc.BackfillPaused && w == cdc.WishCancel:
		s.Progress.State = cdc.BackfillCancelled
		if err := b.log.SetBackfillProgress(ctx, s.ID, s.Progress); err != nil {
			return err
		}
	case state.Final():
		return fmt.Errorf("backfill %s has ended already: it is %s", s.ID, state)
	}
	return b.log.WishBackfill(ctx, s.ID, w)
}

// Request is a backfill that somebody asks for.
type Request struct {
	Table, Where string
	// Keys are values of a key of one column, or JSON objects.
	Keys       []string
	Rate       int
	For        []string
	Generation bool
	// Reason is cdc.ReasonRequest if empty.
	Reason string
}

// keysMost bounds the keys of a request: they are kept with it.
const keysMost = 5_000

// Add checks a request against the database and the log, and asks for it.
func (b *Backfills) Add(ctx context.Context, r Request) (cdc.Backfill, error) {
	spec := cdc.Backfill{ID: cdc.NewBackfillID(), Where: r.Where, Rate: r.Rate, For: r.For, Generation: r.Generation,
		Reason: cmp.Or(r.Reason, cdc.ReasonRequest), Created: time.Now().UTC()}
	if r.Generation && (r.Where != "" || len(r.Keys) > 0) {
		return spec, errors.New("--sweep needs the whole table: leave out --where and --keys")
	}
	if len(r.Keys) > keysMost {
		return spec, fmt.Errorf("%d keys are too many, at most %d; use --where", len(r.Keys), keysMost)
	}
	at, err := cdc.ParseTable(r.Table)
	if err != nil {
		return spec, err
	}
	src, err := pgsource.New(pgsource.Options{URL: b.cfg.Postgres.URL.Reveal(), Slot: b.cfg.Postgres.Slot, Publication: b.cfg.Postgres.Publication, Logger: b.logger})
	if err != nil {
		return spec, err
	}
	conn, err := src.Connect(ctx)
	if err != nil {
		return spec, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what was asked for is said already
	info, err := b.captured(ctx, conn, at)
	if err != nil {
		return spec, err
	}
	spec.Table = info.name
	if spec.Keys, err = keysOf(info.table, r.Keys); err != nil {
		return spec, err
	}
	if err := pgsource.CheckKeys(ctx, conn, info.table, spec.Keys); err != nil {
		return spec, err
	}
	if err := pgsource.CheckWhere(ctx, conn, at, r.Where); err != nil {
		return spec, err
	}
	if err := b.checkFor(r.For, at); err != nil {
		return spec, err
	}
	return spec, b.log.AddBackfills(ctx, []cdc.Backfill{spec})
}

type capturedTable struct {
	name  cdc.Table // in the log
	table pgsource.TableInfo
}

// captured finds a table among those that the log has a route for; one that it has none for is
// an error.
func (b *Backfills) captured(ctx context.Context, conn *pgx.Conn, at cdc.Table) (capturedTable, error) {
	t, known, err := b.route(ctx, conn, at)
	if err == nil && t.name == (cdc.Table{}) {
		err = &cdc.SetupError{What: fmt.Sprintf("table %s is not captured", at),
			Hint: nearest.Hint(at.String(), known, "captured are "+nearest.List(known)+"; a table is captured from when a capture starts with a mapping of it")}
	}
	return t, err
}

// route finds a table among those that the log has a route for; without one its name is empty,
// and known are those that have.
func (b *Backfills) route(ctx context.Context, conn *pgx.Conn, at cdc.Table) (found capturedTable, known []string, err error) {
	tables, err := pgsource.Tables(ctx, conn)
	if err != nil {
		return found, nil, err
	}
	list, err := b.log.Routings(ctx)
	if err != nil {
		return found, nil, err
	}
	for _, t := range tables {
		if len(list) == 0 {
			break
		}
		r := list[len(list)-1].Table(t.OID)
		if r == nil {
			continue
		}
		if t.Table == at {
			return capturedTable{name: r.Name, table: t}, nil, nil
		}
		known = append(known, t.Table.String())
	}
	return found, known, nil
}

// keysOf makes keys of what a person writes: JSON objects, or values of a key that has
// one column.
func keysOf(t pgsource.TableInfo, texts []string) (out []string, err error) {
	var columns []string
	for _, c := range t.Columns {
		if c.Key {
			columns = append(columns, c.Name)
		}
	}
	for _, text := range texts {
		key, err := keyOf(columns, text)
		if err != nil {
			return nil, fmt.Errorf("--keys %s: %w", text, err)
		}
		out = append(out, key)
	}
	return out, nil
}

func keyOf(columns []string, text string) (string, error) {
	if !strings.HasPrefix(text, "{") {
		if len(columns) != 1 {
			return "", fmt.Errorf("the key has the columns %s: write a JSON object with them", strings.Join(columns, ", "))
		}
		return fmt.Sprintf("{%s:%s}", jsonText(columns[0]), jsonText(text)), nil
	}
	row, err := cdc.ParseRow(text)
	if err != nil {
		return "", errors.New("not a JSON object")
	}
	for _, c := range row {
		if !slices.Contains(columns, c.Name) || c.Value.IsNull() {
			return "", fmt.Errorf("the key has the columns %s, all with values", strings.Join(columns, ", "))
		}
	}
	if len(row) != len(columns) {
		return "", fmt.Errorf("the key has the columns %s, all of them", strings.Join(columns, ", "))
	}
	return text, nil
}

// checkFor holds names of targets and mappings against the configuration.
func (b *Backfills) checkFor(names []string, t cdc.Table) error {
	if len(names) == 0 {
		return nil
	}
	files, err := mapping.LoadGlob(b.cfg.Mappings, b.cfg.Dir)
	if err != nil {
		return err
	}
	var known []string
	for _, f := range files {
		if f.From == t {
			known = append(known, f.Target, f.Target+"/"+f.Name)
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return fmt.Errorf("--for %s: no such target or target/mapping of table %s; %s", n, t, nearest.Hint(n, known, "there are "+nearest.List(known)))
		}
	}
	return nil
}

func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		return `""`
	}
	return string(b)
}

// backfills reads those that are under way, and those that failed.
func (r *Report) backfills(ctx context.Context, l *redislog.Log) {
	list, err := l.Backfills(ctx)
	if err != nil {
		r.problem(err.Error())
		return
	}
	for _, b := range list {
		if b.Progress.State == cdc.BackfillFailed {
			r.problem(fmt.Sprintf("backfill %s of %s failed: %s; mend it, then walbridge backfill resume %s, or give it up: walbridge backfill cancel %[1]s", b.ID, b.Table, b.Progress.Note, b.ID))
		}
		if shown(&b) {
			r.Backfills = append(r.Backfills, b)
		}
	}
}
