package nemesis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// rate is how many changes a second are made during an outage.
const rate = 1000

// TestOutage takes Redis away for a while under a steady load, once frozen and once
// ended: what piled up comes in afterwards, and nothing is lost.
func TestOutage(t *testing.T) {
	length := choose(*outageFlag, 10*time.Second, time.Minute)
	for _, how := range []struct {
		name       string
		away, back func(*bridge) error
	}{
		{"frozen", func(b *bridge) error { return b.redis.Signal(syscall.SIGSTOP) }, func(b *bridge) error { return b.redis.Signal(syscall.SIGCONT) }},
		{"ended", func(b *bridge) error { return b.redis.Stop(context.Background()) }, func(b *bridge) error { return b.redis.Start(context.Background()) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, options{aof: "always", captures: 1})
			s := b.steady()
			s.reaches(rate)
			b.catchUp(time.Minute)
			before, end := s.changes.Load(), b.deeds.begin("redis is "+how.name, "")
			if err := how.away(b); err != nil {
				t.Fatal(err)
			}
			sleep := time.NewTimer(length) // the outage itself
			<-sleep.C
			written := s.changes.Load() - before
			if err := how.back(b); err != nil {
				t.Fatal(err)
			}
			end()
			held := b.entries()
			first, drain := b.drains(held, time.Minute+length)
			came := b.entries() - held
			s.stop()
			b.judge()
			said := fmt.Sprintf("redis %s for %s, %d changes piled up; the first came in %s after its return, the last %s later, at %.0f entries/s beside a writer of %d changes/s",
				how.name, length, written, first.Round(time.Millisecond), drain.Round(time.Millisecond), float64(came)/drain.Seconds(), rate)
			t.Log(said)
			if written < int64(length.Seconds()*rate*8/10) {
				t.Errorf("the writer made only %d changes in %s, which is not the load that was wanted", written, length)
			}
		})
	}
}

// drains waits until the log has what is committed by now, durably or not, while
// the writer goes on. It gives when the first entry came in, and how long after that
// the last.
func (b *bridge) drains(held int64, within time.Duration) (first, last time.Duration) {
	b.t.Helper()
	began := time.Now()
	b.exec("INSERT INTO marks SELECT coalesce(max(id), 0) + 1 FROM marks")
	ctx := context.Background()
	b.until(within, func() string {
		if first == 0 && b.entries() > held {
			first = time.Since(began)
		}
		for p := range partitions { // marks travel alone in the urgent lane
			key := fmt.Sprintf("walbridge:{%s:%d}:log:urgent", name, p)
			if n, err := b.rdb.XLen(ctx, key).Result(); err == nil && n > 0 {
				return ""
			}
		}
		return "the mark has not arrived"
	})
	return first, time.Since(began) - first
}

// entries is how many entries the log has.
func (b *bridge) entries() (n int64) {
	b.t.Helper()
	ctx := context.Background()
	for p := range partitions {
		for _, lane := range []string{"urgent", "normal", "bulk"} {
			l, err := b.rdb.XLen(ctx, fmt.Sprintf("walbridge:{%s:%d}:log:%s", name, p, lane)).Result()
			if err != nil {
				b.t.Fatalf("read the length of a stream: %v", err)
			}
			n += l
		}
	}
	return n
}

// steady writes at an even rate.
type steady struct {
	b       *bridge
	quit    chan struct{}
	done    sync.WaitGroup
	changes atomic.Int64
	err     error // after done
}

func (b *bridge) steady() *steady {
	s := &steady{b: b, quit: make(chan struct{})}
	s.done.Go(func() { s.err = s.run() })
	b.t.Cleanup(s.stop)
	return s
}

// run makes a hundredth of the rate's changes a hundred times a second, and makes up
// for what it is late.
func (s *steady) run() error {
	return s.b.inDatabase(context.Background(), func(ctx context.Context, conn *pgx.Conn) error {
		const each = rate / 100
		began := time.Now()
		tick := time.NewTicker(time.Second / 100)
		defer tick.Stop()
		for {
			select {
			case <-s.quit:
				return nil
			case <-tick.C:
			}
			for due := int64(time.Since(began).Seconds() * rate); s.changes.Load()+each <= due; {
				if _, err := conn.Exec(ctx, `INSERT INTO deals SELECT 1 + ($1::bigint + g) % 4000, 1, 'steady', 'new', $1::bigint, NULL, now()
FROM generate_series(1, $2::int) g ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, updated_at = excluded.updated_at`, s.changes.Load(), each); err != nil {
					return err
				}
				s.changes.Add(each)
			}
		}
	})
}

// reaches waits for a number of changes.
func (s *steady) reaches(changes int64) {
	s.b.t.Helper()
	s.b.until(time.Minute, func() string {
		if n := s.changes.Load(); n < changes {
			return fmt.Sprintf("%d of %d changes", n, changes)
		}
		return ""
	})
}

func (s *steady) stop() {
	select {
	case <-s.quit:
		return
	default:
	}
	close(s.quit)
	s.done.Wait()
	if s.err != nil && !errors.Is(s.err, context.Canceled) {
		s.b.t.Errorf("the steady writer: %v", s.err)
	}
}
