package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/test/fault"
)

// chaos hurts a bridge for a round.
type chaos struct {
	b   *bridge
	rng *rand.Rand
	// patient has connections vanish for so long that only a time-out finds it.
	patient bool
}

// deed is one thing that is done. It mends what it broke before it returns, but for
// what the bridge must mend itself.
type deed struct {
	kind string
	do   func(*chaos) error
}

// lane is one of those who do deeds at the same time, each to a thing of its own.
type lane struct {
	rest  time.Duration // between two deeds, at the most
	deeds []deed
}

// lanes are who hurts what.
func (b *bridge) lanes() []lane {
	all := []lane{
		{2 * time.Second, captureDeeds()},
		{4 * time.Second, redisDeeds()},
		{5 * time.Second, postgresDeeds()},
		{4 * time.Second, networkDeeds("postgres", b.pgNet)},
		{4 * time.Second, networkDeeds("redis", b.redisNet)},
	}
	if deeds := backfillDeeds(); len(deeds) > 0 {
		all = append(all, lane{3 * time.Second, deeds})
	}
	return all
}

// round has every lane do its deeds until the time is over, and mends everything.
func (b *bridge) round(rng *rand.Rand, length time.Duration, patient bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var g errgroup.Group
	for _, l := range b.lanes() {
		c := &chaos{b: b, rng: rand.New(rand.NewPCG(rng.Uint64(), 1)), patient: patient}
		g.Go(func() error { return c.run(ctx, l) })
	}
	if err := g.Wait(); err != nil {
		b.t.Fatalf("the nemesis failed itself: %v\n%s", err, b.deeds.last(15))
	}
}

func (c *chaos) run(ctx context.Context, l lane) error {
	for {
		c.wait(ctx, 50*time.Millisecond, l.rest)
		if ctx.Err() != nil {
			return nil
		}
		d := l.deeds[c.rng.IntN(len(l.deeds))]
		end := c.b.deeds.begin(d.kind, "")
		err := d.do(c)
		end()
		if errors.Is(err, errNothing) {
			c.b.deeds.undo(d.kind)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.kind, err)
		}
	}
}

// errNothing says that there was nothing to do.
var errNothing = errors.New("nothing to do")

// wait lets a random while pass; it is the schedule, not the proof of anything.
func (c *chaos) wait(ctx context.Context, least, most time.Duration) {
	t := time.NewTimer(least + time.Duration(c.rng.Int64N(int64(most-least))))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// last has a deed last for a random while.
func (c *chaos) last(least, most time.Duration) { c.wait(context.Background(), least, most) }

func (c *chaos) capture() *keeper { return c.b.captures[c.rng.IntN(len(c.b.captures))] }

func captureDeeds() []deed {
	return []deed{
		{"kill -9 of a capture", func(c *chaos) error { c.capture().kill(); return nil }},
		{"kill -9 of a capture", func(c *chaos) error { c.capture().kill(); return nil }},
		{"kill -9 of all captures", func(c *chaos) error {
			for _, k := range c.b.captures {
				k.kill()
			}
			return nil
		}},
		{"SIGTERM to a capture", func(c *chaos) error {
			p := c.capture().signal(syscall.SIGTERM)
			deadline := time.NewTimer(30 * time.Second)
			defer deadline.Stop()
			select {
			case <-p.alive.Done():
				return nil
			case <-deadline.C:
				return errors.New("it has not ended in 30 s")
			}
		}},
		// It wakes when another may long be at work.
		{"SIGSTOP of a capture", func(c *chaos) error {
			k := c.capture()
			p := k.signal(syscall.SIGSTOP)
			c.last(200*time.Millisecond, 6*time.Second)
			_ = p.cmd.Process.Signal(syscall.SIGCONT) // fails only if it has ended
			return nil
		}},
	}
}

func redisDeeds() []deed {
	start := func(c *chaos) error { return c.b.redis.Start(context.Background()) }
	return []deed{
		{"kill -9 of redis", func(c *chaos) error { c.b.redis.Kill(); return start(c) }},
		{"kill -9 of redis", func(c *chaos) error {
			c.b.redis.Kill()
			c.last(10*time.Millisecond, 3*time.Second)
			return start(c)
		}},
		{"restart of redis", func(c *chaos) error {
			return errors.Join(c.b.redis.Stop(context.Background()), start(c))
		}},
		{"SIGSTOP of redis", func(c *chaos) error {
			err := c.b.redis.Signal(syscall.SIGSTOP)
			c.last(100*time.Millisecond, 4*time.Second)
			return errors.Join(err, c.b.redis.Signal(syscall.SIGCONT))
		}},
		{"SIGSTOP of redis and kill -9 of all captures", func(c *chaos) error {
			err := c.b.redis.Signal(syscall.SIGSTOP)
			c.last(50*time.Millisecond, time.Second)
			for _, k := range c.b.captures {
				k.kill() // what it sent waits in the server's sockets
			}
			c.last(50*time.Millisecond, 2*time.Second)
			return errors.Join(err, c.b.redis.Signal(syscall.SIGCONT))
		}},
		{"rewrite of the AOF", func(c *chaos) error {
			_ = c.b.rdb.BgRewriteAOF(context.Background()).Err() // one may be under way
			return nil
		}},
		{"redis out of memory", func(c *chaos) error {
			ctx := context.Background()
			if err := c.b.rdb.ConfigSet(ctx, "maxmemory", "1mb").Err(); err != nil {
				return err
			}
			c.last(100*time.Millisecond, 2*time.Second)
			return c.b.rdb.ConfigSet(ctx, "maxmemory", "0").Err()
		}},
	}
}

func postgresDeeds() []deed {
	start := func(c *chaos) error { return c.b.pg.Start(context.Background()) }
	return []deed{
		{"kill -9 of postgres", func(c *chaos) error { c.b.pg.Kill(); return start(c) }},
		{"kill -9 of postgres", func(c *chaos) error {
			c.b.pg.Kill()
			c.last(10*time.Millisecond, 2*time.Second)
			return start(c)
		}},
		{"immediate shutdown of postgres", func(c *chaos) error {
			err := c.b.pg.Signal(syscall.SIGQUIT)
			for err == nil && c.b.pg.PID() != 0 {
				c.last(5*time.Millisecond, 20*time.Millisecond)
			}
			return errors.Join(err, start(c))
		}},
		{"fast restart of postgres", func(c *chaos) error {
			return errors.Join(c.b.pg.Stop(context.Background()), start(c))
		}},
		{"SIGSTOP of postgres", func(c *chaos) error {
			thaw, err := freezeTree(c.b.pg.PID())
			c.last(100*time.Millisecond, 5*time.Second)
			return errors.Join(err, thaw())
		}},
		// The server ends all its connections and recovers.
		{"kill -9 of a walsender", func(c *chaos) error { return c.walsender(syscall.SIGKILL) }},
		{"SIGTERM to a walsender", func(c *chaos) error { return c.walsender(syscall.SIGTERM) }},
		{"checkpoint", func(c *chaos) error {
			return c.b.inDatabase(context.Background(), func(ctx context.Context, conn *pgx.Conn) error {
				_, err := conn.Exec(ctx, "CHECKPOINT")
				return err
			})
		}},
	}
}

// walsender sends a signal to the server process that holds the slot, if there is
// one, and waits until the server can be used.
func (c *chaos) walsender(sig syscall.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var pid int
	err := c.b.inDatabase(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT coalesce((SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1), 0)", slot).Scan(&pid)
	})
	if err != nil || pid == 0 {
		return err
	}
	_ = syscall.Kill(pid, sig) // fails only if it has ended
	for {
		err := c.b.inDatabase(ctx, func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) })
		if err == nil || ctx.Err() != nil {
			return err
		}
		c.wait(ctx, 10*time.Millisecond, 50*time.Millisecond)
	}
}

// networkDeeds hurt the connections of the processes to a server.
func networkDeeds(to string, p *fault.Proxy) []deed {
	name := func(what string) string { return "connections to " + to + " " + what }
	half := func(gone fault.End) func(*chaos) error {
		return func(c *chaos) error {
			p.HalfOpen(gone)
			if c.patient && c.rng.IntN(3) == 0 {
				return nil // for as long as it takes them to find out
			}
			c.last(time.Second, 8*time.Second)
			p.CutAll()
			return nil
		}
	}
	return []deed{
		{name("cut"), func(*chaos) error { p.CutAll(); return nil }},
		{name("cut in the middle"), func(c *chaos) error {
			p.CutRandomly(c.rng.Uint64(), 1<<(8+c.rng.IntN(12)))
			p.CutAll()
			c.last(500*time.Millisecond, 5*time.Second)
			p.CutRandomly(0, 0)
			p.CutAll()
			return nil
		}},
		{name("refused"), func(c *chaos) error {
			p.Refuse(true)
			c.last(100*time.Millisecond, 3*time.Second)
			p.Refuse(false)
			return nil
		}},
		{name("slow"), func(c *chaos) error {
			p.Delay(time.Duration(5+c.rng.IntN(300)) * time.Millisecond)
			c.last(500*time.Millisecond, 5*time.Second)
			p.Delay(0)
			return nil
		}},
		{name("stalled"), func(c *chaos) error {
			p.Stall(true)
			c.last(100*time.Millisecond, 5*time.Second)
			p.Stall(false)
			return nil
		}},
		{name("stalled and then cut"), func(c *chaos) error {
			p.Stall(true)
			c.last(100*time.Millisecond, 5*time.Second)
			p.CutAll()
			p.Stall(false)
			return nil
		}},
		{name("half open: the server is gone"), half(fault.Server)},
		{name("half open: the client is gone"), half(fault.Client)},
	}
}
