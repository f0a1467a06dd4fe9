package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRedisFull lets Redis run out of memory again and again while a backlog is
// drained into it: what is refused is sent again, and no stream has a hole (I2).
func TestRedisFull(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	b := newBridge(t, options{ownServers: true, rewrite: func(s string) string {
		return strings.Replace(s, "bulk_after:", "high_mark: 0%, bulk_after:", 1) // the whole log is looked at in the end
	}})
	p := b.start("run")
	b.waitSlot(p)
	b.drain(30*time.Second, p)
	p.kill() // the backlog gathers while nobody reads
	rows := 8000
	if full() {
		rows = 80_000
	}
	b.backlog(rows)
	w := b.writer(pace{seed: seed, every: 40 * time.Millisecond})
	used := b.redisInfo("memory", `used_memory:(\d+)`)
	b.maxMemory(used + 1<<20)
	p = b.start("run")
	const times = 5
	for i := range times {
		before := b.redisInfo("errorstats", `errorstat_OOM:count=(\d+)`)
		until(t, 30*time.Second, func() string {
			p.mustRun()
			return unless(b.redisInfo("errorstats", `errorstat_OOM:count=(\d+)`) > before+3, fmt.Sprintf("redis is not full for the %d. time", i+1))
		})
		b.maxMemory(b.redisInfo("memory", `used_memory:(\d+)`) + int64(1+i%2)<<19)
	}
	b.maxMemory(0)
	w.goesOn(t, 20, time.Minute)
	w.stop()
	b.drain(2*time.Minute, p)
	b.checkAll(verdict{})
	t.Logf("redis refused %d commands", b.redisInfo("errorstats", `errorstat_OOM:count=(\d+)`))
}

// backlog writes rows for all lanes: in transactions of one row, of some, and of
// more than go into the first lane.
func (b *bridge) backlog(rows int) {
	b.t.Helper()
	b.exec(fmt.Sprintf(`DO $$ BEGIN
FOR i IN 1..%d LOOP
  INSERT INTO deals VALUES (10000 + i, i %% 7, 'backlog ' || i, CASE i %% 3 WHEN 0 THEN 'won' END, i, repeat('x', 300), now());
  INSERT INTO forecasts VALUES ('backlog', i, i, repeat('y', 200));
  IF i %% 20 = 0 OR i > %[1]d / 2 AND i %% 500 <> 0 AND i %% 3 = 0 THEN COMMIT; END IF;
END LOOP;
UPDATE deals SET amount = amount + 1 WHERE id > 10000;
END $$`, rows))
}

// redisInfo reads a number from INFO; zero where it is not told.
func (b *bridge) redisInfo(section, pattern string) int64 {
	b.t.Helper()
	text, err := b.rdb.Info(context.Background(), section).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bridge) maxMemory(bytes int64) {
	b.t.Helper()
	if err := b.rdb.ConfigSet(context.Background(), "maxmemory", strconv.FormatInt(bytes, 10)).Err(); err != nil {
		b.t.Fatal(err)
	}
}
