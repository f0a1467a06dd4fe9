package sales

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// How long one transaction may take, and how long the server may be away.
const (
	txTimeout       = 15 * time.Second
	reconnectWithin = 60 * time.Second
)

// Options configure a Life.
type Options struct {
	// Seed decides what happens; the same seed on the same rows does the same,
	// in the same order.
	Seed uint64
	// Rate is the number of transactions a second; zero means 60, a negative
	// number as many as the server takes.
	Rate float64
	// Limit ends the life after so many transactions (a burst is finished);
	// zero means none.
	Limit int64
	// Logger gets the lifecycle; nil means silence.
	Logger *slog.Logger
}

// Connect makes a new connection to the sales database.
type Connect func(ctx context.Context) (*pgx.Conn, error)

// Count is how often a kind of event happened.
type Count struct {
	Kind string
	N    int64
}

// Totals are the counters of a Life.
type Totals struct {
	// Transactions committed, and rows changed in them by statements; rows that
	// a foreign key changed along are not counted.
	Transactions, Rows int64
	// Reconnects counts connections lost and made again. A transaction that was
	// cut off is not counted, whether or not it was committed.
	Reconnects int64
	// Kinds counts the events, always the same kinds in the same order.
	Kinds []Count
}

// Life changes a sales database as a sales team would. All it knows is in the
// database, so it goes on after a lost connection.
type Life struct {
	connect Connect
	opts    Options
	logger  *slog.Logger
	fiction fiction

	// conn belongs to the goroutine of Run.
	conn *pgx.Conn

	mu     sync.Mutex // covers totals
	totals Totals
	byKind map[string]int
}

// NewLife makes a Life on a database that Create made.
func NewLife(connect Connect, o Options) *Life {
	if o.Rate == 0 {
		o.Rate = 60
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Life{connect: connect, opts: o, logger: o.Logger, fiction: newFiction(o.Seed), byKind: make(map[string]int)}
	for _, k := range kinds() {
		l.byKind[k] = len(l.totals.Kinds)
		l.totals.Kinds = append(l.totals.Kinds, Count{Kind: k})
	}
	return l
}

// Totals gives the counters so far. It may be called at any time.
func (l *Life) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.totals
	t.Kinds = append([]Count(nil), t.Kinds...)
	return t
}

// Run lives until ctx ends or the limit is reached, and then returns nil. When
// it returns, no transaction of its own is open: the one under way when ctx
// ended was committed or rolled back first. It makes a lost connection again;
// an error means that the server stayed away for a minute, or refused a
// statement. It may be called once.
func (l *Life) Run(ctx context.Context) error {
	if err := l.reconnect(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { l.close(ctx) }()
	p := newPace(l.opts.Rate, time.Now())
	for !l.over(ctx) {
		if cdc.Sleep(ctx, p.wait(time.Now())) != nil {
			return nil
		}
		before := l.Totals().Transactions
		err := l.happen(ctx)
		p.spent(time.Now(), l.Totals().Transactions-before)
		switch {
		case err == nil:
		case ctx.Err() != nil && (l.conn.IsClosed() || errors.Is(err, ctx.Err())):
			return nil
		case !l.conn.IsClosed():
			return fmt.Errorf("live: %w", err)
		default:
			l.logger.Warn("life_connection_lost", "error", err)
			if err := l.reconnect(ctx); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			l.count(func(t *Totals) { t.Reconnects++ })
		}
	}
	return nil
}

func (l *Life) over(ctx context.Context) bool {
	return ctx.Err() != nil || l.opts.Limit > 0 && l.Totals().Transactions >= l.opts.Limit
}

// reconnect makes a connection, patiently.
func (l *Life) reconnect(ctx context.Context) error {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(reconnectWithin))
	err := backoff.Retry(func() error {
		conn, err := l.connect(ctx)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "set search_path = public; set synchronous_commit = on"); err != nil {
			// The first error is the one to tell; the connection is thrown away.
			_ = conn.Close(ctx)
			return err
		}
		l.conn = conn
		return nil
	}, backoff.WithContext(b, ctx))
	if err != nil {
		return fmt.Errorf("connect to the sales database: %w", err)
	}
	return nil
}

func (l *Life) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), txTimeout)
	defer cancel()
	if err := l.conn.Close(ctx); err != nil {
		l.logger.Warn("life_close", "error", err)
	}
}

// errNothing tells that an event found no row to happen to.
var errNothing = errors.New("nothing to do")

// happen lets one event happen, of a kind that finds something to happen to.
func (l *Life) happen(ctx context.Context) error {
	for range 100 {
		kind, err := l.draw().do(ctx, l)
		if errors.Is(err, errNothing) {
			continue
		}
		if err != nil {
			return err
		}
		l.count(func(t *Totals) { t.Kinds[l.byKind[kind]].N++ })
		return nil
	}
	return errors.New("no kind of event finds a row; was the database emptied?")
}

// tx runs f in a transaction. Once begun, the end of ctx does not cut it off:
// what is under way is committed or rolled back.
func (l *Life) tx(ctx context.Context, f func(ctx context.Context, w *work) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), txTimeout)
	defer cancel()
	tx, err := l.conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	w := &work{tx: tx}
	if err := f(ctx, w); err != nil {
		if rerr := tx.Rollback(ctx); rerr != nil && !l.conn.IsClosed() {
			return fmt.Errorf("%w; roll back: %w", err, rerr)
		}
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	l.count(func(t *Totals) { t.Transactions++; t.Rows += w.rows })
	return nil
}

func (l *Life) count(f func(*Totals)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.totals)
}

// pace spreads transactions over time. It is pure: time is an argument.
type pace struct {
	every time.Duration
	next  time.Time
}

// slack is the most that is caught up after a stall.
const slack = time.Second

func newPace(rate float64, now time.Time) *pace {
	p := &pace{next: now}
	if rate > 0 {
		p.every = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait says how long until the next transaction may begin.
func (p *pace) wait(now time.Time) time.Duration { return max(0, p.next.Sub(now)) }

// spent says that n transactions were made.
func (p *pace) spent(now time.Time, n int64) {
	p.next = p.next.Add(time.Duration(n) * p.every)
	if earliest := now.Add(-slack); p.next.Before(earliest) {
		p.next = earliest
	}
}
