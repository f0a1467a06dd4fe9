package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// writer commits random transactions of all kinds, several at a time, until it
// is stopped. It lives through the loss of the server: whether a transaction
// that was being committed then is there, only the witness knows.
type writer struct {
	b       *bridge
	quit    chan struct{}
	done    sync.WaitGroup
	commits atomic.Int64 // answered
	lost    atomic.Int64 // connections
}

// pace says how a writer works.
type pace struct {
	seed    uint64
	writers int
	every   time.Duration // between two transactions of one writer
	keys    int64         // of deals: 1 to keys
}

// write starts a writer. It is stopped at the end of the test, if not before.
func (b *bridge) writer(p pace) *writer {
	if p.writers == 0 {
		p.writers = 3
	}
	if p.every == 0 {
		p.every = 15 * time.Millisecond
	}
	if p.keys == 0 {
		p.keys = 400
	}
	w := &writer{b: b, quit: make(chan struct{})}
	for i := range p.writers {
		w.done.Add(1)
		go func() {
			defer w.done.Done()
			w.run(&hand{rng: rand.New(rand.NewPCG(p.seed, uint64(i))), keys: p.keys}, p.every)
		}()
	}
	b.t.Cleanup(w.stop)
	return w
}

// stop ends the writing after the transactions under way.
func (w *writer) stop() {
	select {
	case <-w.quit:
	default:
		close(w.quit)
	}
	w.done.Wait()
}

// goesOn waits for further commits.
func (w *writer) goesOn(t testing.TB, commits int64, within time.Duration) {
	t.Helper()
	want := w.commits.Load() + commits
	until(t, within, func() string {
		have := w.commits.Load()
		return unless(have >= want, fmt.Sprintf("%d of %d commits", have, want))
	})
}

func (w *writer) run(h *hand, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.Background()) // the server may be gone
		}
	}()
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		var err error
		if conn == nil || conn.IsClosed() {
			conn, err = w.b.connect(ctx)
		}
		if err == nil {
			err = w.transaction(ctx, conn, h)
		}
		cancel()
		var refused *pgconn.PgError
		if err != nil && !errors.As(err, &refused) { // a deadlock is only a rollback
			w.lost.Add(1)
		}
	}
}

// transaction runs one transaction to its commit, or rolls it back.
func (w *writer) transaction(ctx context.Context, conn *pgx.Conn, h *hand) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	end := tx.Commit
	if h.rng.IntN(10) == 0 {
		end = tx.Rollback
	}
	for range 1 + h.rng.IntN(4) {
		if err := h.step(ctx, tx); err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
	}
	if err := end(ctx); err != nil {
		return err
	}
	w.commits.Add(1)
	return nil
}

// hand chooses what is written.
type hand struct {
	rng  *rand.Rand
	keys int64
}

// step is one statement or two, or a few under a savepoint that is rolled back.
func (h *hand) step(ctx context.Context, tx pgx.Tx) error {
	if h.rng.IntN(12) == 0 {
		point, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		for range 2 {
			if err := h.change(ctx, point); err != nil {
				return err
			}
		}
		return point.Rollback(ctx)
	}
	return h.change(ctx, tx)
}

func (h *hand) id() int64   { return 1 + h.rng.Int64N(h.keys) }
func (h *hand) owner() int  { return 1 + h.rng.IntN(4) }
func (h *hand) amount() any { return fmt.Sprintf("%d.%02d", h.rng.IntN(1_000_000), h.rng.IntN(100)) }

func (h *hand) stage() any {
	return []any{"new", "talks", "won", "won", "lost", nil}[h.rng.IntN(6)]
}

// note is short, or long enough to be stored apart, or null.
func (h *hand) note() any {
	switch h.rng.IntN(5) {
	case 0:
		return nil
	case 1:
		return fmt.Sprintf("short \"quoted\" \\ ünïcode %d\n", h.rng.IntN(1000))
	}
	return strings.Repeat(fmt.Sprintf("long note %d; ", h.rng.IntN(1_000_000)), 230+h.rng.IntN(200))
}

// change is one change of the tables.
func (h *hand) change(ctx context.Context, tx pgx.Tx) error {
	var sql []string
	var args [][]any
	add := func(s string, a ...any) { sql, args = append(sql, s), append(args, a) }
	id := h.id()
	switch h.rng.IntN(24) {
	case 0, 1, 2, 3:
		add(insertDeal, id, h.owner(), fmt.Sprint("deal ", id), h.stage(), h.amount(), h.note())
	case 4, 5, 6, 7, 8: // the note is not touched
		add("UPDATE deals SET stage = $2, amount = $3, updated_at = clock_timestamp() WHERE id = $1", id, h.stage(), h.amount())
	case 9, 10:
		add("UPDATE deals SET note = $2 WHERE id = $1", id, h.note())
	case 11:
		add("UPDATE deals SET name = NULL, owner = NULL WHERE id = $1", id)
	case 12, 13:
		add("DELETE FROM deals WHERE id = $1", id)
	case 14: // delete and make anew
		add("DELETE FROM deals WHERE id = $1", id)
		add(insertDeal, id, h.owner(), "again", h.stage(), h.amount(), h.note())
	case 15, 16: // another key, perhaps one that was there before
		add("UPDATE deals SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM deals WHERE id = $2)", id, h.id())
	case 17: // many rows
		add("UPDATE deals SET amount = amount + 1 WHERE id BETWEEN $1 AND $1 + 12", id)
	case 18: // a whole book
		add("UPDATE deals SET owner = $2 WHERE owner = $1", h.owner(), h.owner())
	default:
		h.forecast(add)
	}
	for i := range sql {
		if _, err := tx.Exec(ctx, sql[i], args[i]...); err != nil {
			return err
		}
	}
	return nil
}

const insertDeal = `INSERT INTO deals VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp()) ON CONFLICT (id) DO NOTHING`

func (h *hand) forecast(add func(string, ...any)) {
	region, quarter := fmt.Sprintf("région %c\"", 'a'+h.rng.IntN(8)), 1+h.rng.IntN(12)
	switch h.rng.IntN(5) {
	case 0:
		add("DELETE FROM forecasts WHERE (region, quarter) = ($1, $2)", region, quarter)
	case 1:
		add(`UPDATE forecasts SET quarter = $3 WHERE (region, quarter) = ($1, $2)
AND NOT EXISTS (SELECT FROM forecasts WHERE (region, quarter) = ($1, $3))`, region, quarter, 1+h.rng.IntN(12))
	default:
		add(`INSERT INTO forecasts VALUES ($1, $2, $3, $4)
ON CONFLICT (region, quarter) DO UPDATE SET amount = excluded.amount, remark = excluded.remark`,
			region, quarter, h.amount(), h.note())
	}
}
