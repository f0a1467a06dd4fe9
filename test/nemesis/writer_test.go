package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// writer commits random transactions, several at a time, until it is stopped. It
// lives through the loss of the server: whether a transaction that was being
// committed then is there, only the witness knows.
type writer struct {
	b       *bridge
	quit    chan struct{}
	done    sync.WaitGroup
	commits atomic.Int64 // answered
	refused atomic.Int64 // transactions, by deadlocks and the like
	lost    atomic.Int64 // connections

	mu  sync.Mutex // covers odd
	odd map[string]int
}

// write starts writers: most are quick, one holds its transactions open for long,
// one does not wait for its commits.
func (b *bridge) writer(seed uint64, every time.Duration) *writer {
	w := &writer{b: b, quit: make(chan struct{}), odd: map[string]int{}}
	for i := range 5 {
		h := &hand{rng: rand.New(rand.NewPCG(seed, uint64(i))), quit: w.quit}
		setting := "SET lock_timeout = '3s'"
		switch i {
		case 3:
			h.slow = 400 * time.Millisecond
		case 4:
			setting += "; SET synchronous_commit = off"
		}
		w.done.Go(func() { w.run(h, setting, every) })
	}
	b.t.Cleanup(w.stop)
	return w
}

// stop ends the writing after the transactions under way.
func (w *writer) stop() {
	select {
	case <-w.quit:
		return
	default:
	}
	close(w.quit)
	w.done.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, n := range w.odd {
		w.b.t.Errorf("the writer was refused %d times: %s", n, what)
	}
}

// goesOn waits for further commits.
func (w *writer) goesOn(commits int64, within time.Duration) {
	w.b.t.Helper()
	want := w.commits.Load() + commits
	w.b.until(within, func() string {
		if have := w.commits.Load(); have < want {
			return fmt.Sprintf("%d of %d commits", have, want)
		}
		return ""
	})
}

func (w *writer) run(h *hand, setting string, every time.Duration) {
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
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		var err error
		if conn == nil || conn.IsClosed() {
			if conn, err = w.b.connect(ctx); err == nil {
				_, err = conn.Exec(ctx, setting)
			}
		}
		if err == nil {
			err = w.transaction(ctx, conn, h)
		}
		cancel()
		w.note(err)
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
	for range 1 + h.rng.IntN(5) {
		if err := h.step(ctx, tx, 0); err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
		if h.slow > 0 {
			h.pause()
		}
	}
	if err := end(ctx); err != nil {
		return err
	}
	w.commits.Add(1)
	return nil
}

// note tells errors that are to be expected from those that say that the test is
// wrong.
func (w *writer) note(err error) {
	var refused *pgconn.PgError
	switch {
	case err == nil:
	case !errors.As(err, &refused):
		w.lost.Add(1)
	case slices.Contains([]string{"40P01", "55P03", "23505", "40001"}, refused.Code): // deadlock, lock timeout, a key taken, a row moved
		w.refused.Add(1)
	case refused.Code[:2] == "57" || refused.Code[:2] == "53": // shut down, starting up; no more connections
		w.lost.Add(1)
	default:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.odd[refused.Error()]++
	}
}
