package sales

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

func TestLifeDoesEveryKindOfThing(t *testing.T) {
	url, conn := newDatabase(t, 1)
	l := NewLife(connector(url), Options{Seed: 3, Rate: -1, Limit: 1500})
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := l.Totals()
	if got.Transactions < 1500 || got.Transactions > 1510 || got.Rows < got.Transactions || got.Reconnects != 0 {
		t.Errorf("totals %+v, want about 1500 transactions of at least a row each", got)
	}
	for _, c := range got.Kinds {
		if c.N == 0 {
			t.Errorf("%s: never happened", c.Kind)
		}
	}
	for what, sql := range map[string]string{
		"a won deal with a probability below 100": "select count(*) from opportunities where stage = 'won' and (probability <> 100 or closed_at is null)",
		"an open deal that was closed":            "select count(*) from opportunities where stage not in ('won', 'lost') and closed_at is not null",
		"a converted lead without a time":         "select count(*) from leads where status = 'converted' and first_touch_at is null",
	} {
		if n := one[int](t, conn, sql); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
}

func TestCreateAndLifeFollowTheSeed(t *testing.T) {
	digests := func(create, live uint64) (created, lived string) {
		url, conn := newDatabase(t, create)
		created = one[string](t, conn, content)
		if err := NewLife(connector(url), Options{Seed: live, Rate: -1, Limit: 300}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return created, one[string](t, conn, content)
	}
	created, lived := digests(1, 5)
	createdAgain, livedAgain := digests(1, 5)
	createdElse, _ := digests(2, 6)
	if created != createdAgain {
		t.Error("the same seed created different rows")
	}
	if lived != livedAgain {
		t.Error("the same seed lived differently")
	}
	if created == createdElse || created == lived {
		t.Error("different seeds, or no life, gave the same rows")
	}
}

// tracer calls f before the n-th statement.
type tracer struct {
	n int
	f func()
}

func (tr *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if tr.n--; tr.n == 0 {
		tr.f()
	}
	return ctx
}

func (tr *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func traced(url string, tr *tracer) Connect {
	return func(ctx context.Context) (*pgx.Conn, error) {
		conf, err := pgx.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		conf.Tracer = tr
		return pgx.ConnectConfig(ctx, conf)
	}
}

func TestLifeGoesOnAfterALostConnection(t *testing.T) {
	url, conn := newDatabase(t, 1)
	kill := func() {
		run(t, conn, "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
	}
	l := NewLife(traced(url, &tracer{n: 60, f: kill}), Options{Seed: 1, Rate: -1, Limit: 100})
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := l.Totals(); got.Reconnects != 1 || got.Transactions < 100 {
		t.Errorf("totals %+v, want 1 reconnect and 100 transactions", got)
	}
}

// TestLifeIsQuiescedWhenRunReturns ends the context in the middle of a
// transaction, at many different statements: the transaction must be carried to
// its end, and Totals must know of it.
func TestLifeIsQuiescedWhenRunReturns(t *testing.T) {
	url, conn := newDatabase(t, 1)
	run(t, conn, `create table audit (x xid8 default pg_current_xact_id());
		create function note() returns trigger language plpgsql as $$ begin insert into audit default values; return null; end $$`)
	for _, table := range Tables() {
		run(t, conn, "create trigger note after insert or update or delete on "+table+" for each row execute function note()")
	}
	committed := func() int64 { return one[int64](t, conn, "select count(distinct x::text) from audit") }
	for n := 2; n < 40; n++ {
		before := committed()
		ctx, cancel := context.WithCancel(t.Context())
		l := NewLife(traced(url, &tracer{n: n, f: cancel}), Options{Seed: uint64(n), Rate: -1})
		if err := l.Run(ctx); err != nil {
			t.Fatalf("statement %d: %v", n, err)
		}
		after, told := committed(), l.Totals().Transactions
		if told < 1 || after-before != told {
			t.Errorf("statement %d: %d transactions were committed, Totals tells of %d, want the same and at least the one cut into", n, after-before, told)
		}
		if open := one[int](t, conn, `select count(*) from pg_stat_activity where datname = current_database()
			and pid <> pg_backend_pid() and xact_start is not null and backend_type = 'client backend'`); open != 0 {
			t.Fatalf("statement %d: %d transactions are open after Run", n, open)
		}
		cancel()
	}
}

func TestLifeSaysWhatIsWrong(t *testing.T) {
	url, conn := newDatabase(t, 1)
	run(t, conn, "drop table activities")
	err := NewLife(connector(url), Options{Seed: 1, Rate: -1}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), ActivityLogged) || !strings.Contains(err.Error(), "does not exist") {
		t.Fatalf("error %v, want one that says what happened and that the table is gone", err)
	}
}

func TestPaceKeepsTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(1, 2000).Draw(t, "rate")
		start := time.Unix(0, 0)
		now, done := start, int64(0)
		p := newPace(rate, start)
		stalled := time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(p.wait(now))
			n := rapid.Int64Range(0, 10).Draw(t, "transactions")
			took := time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
			if rapid.IntRange(0, 20).Draw(t, "stalls") > 0 {
				took = 0
			}
			now = now.Add(took)
			stalled += took
			done += n
			p.spent(now, n)
		}
		most := rate*(now.Sub(start)+slack).Seconds() + 11
		if float64(done) > most*1.01 {
			t.Fatalf("%d transactions in %v at %v a second", done, now.Sub(start), rate)
		}
		if stalled == 0 && p.wait(now) > time.Duration(float64(11*time.Second)/rate) {
			t.Fatalf("waits %v after %d transactions in %v", p.wait(now), done, now.Sub(start))
		}
	})
}

func TestLifeKeepsItsRate(t *testing.T) {
	url, _ := newDatabase(t, 1)
	start := time.Now()
	if err := NewLife(connector(url), Options{Seed: 1, Rate: 200, Limit: 100}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The last event may be a burst of ten, which is not waited for.
	if d := time.Since(start); d < 400*time.Millisecond {
		t.Errorf("100 transactions at 200 a second took %v", d)
	}
}
