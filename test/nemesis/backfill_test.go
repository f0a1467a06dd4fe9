package nemesis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// command runs a command of the program on the servers themselves and gives what it
// printed.
func (b *bridge) command(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "-c", "direct.yaml")...)
	cmd.Dir = b.dir
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("walbridge %q: %w: %s", args, err, wrong.Bytes())
	}
	return out, nil
}

// backfills lists what became of those that were asked for.
func (b *bridge) backfills() (list []cdc.BackfillStatus, err error) {
	out, err := b.command("backfill", "list", "--json")
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	return list, err
}

// tried is a deed that a server that is away may spoil: the next may succeed. What the
// server does not understand is a mistake of the test.
func tried(do func(*chaos) error) func(*chaos) error {
	return func(c *chaos) error {
		err := do(c)
		var refused *pgconn.PgError
		if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "42") || errors.Is(err, errNothing) || err != nil && strings.Contains(err.Error(), "unknown flag") {
			return err
		}
		return nil
	}
}

// change makes a change of the tables that is no writer's.
func (c *chaos) change(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.b.inDatabase(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// room tells whether another backfill may be begun: with appendfsync everysec one takes
// many seconds, those of one table come one after another, and all are waited for.
func (c *chaos) room() error {
	const most = 5
	list, err := c.b.backfills()
	if err != nil {
		return err
	}
	left := 0
	for i := range list {
		if !list[i].Progress.State.Final() {
			left++
		}
	}
	if left >= most {
		return errNothing
	}
	return nil
}

// backfillDeeds has backfills come and go.
func backfillDeeds() []deed {
	// wish wants something of one that has not ended.
	wish := func(word string) func(*chaos) error {
		return func(c *chaos) error {
			list, err := c.b.backfills()
			if err != nil {
				return err
			}
			list = slices.DeleteFunc(list, func(s cdc.BackfillStatus) bool { return s.Progress.State.Final() || s.Reason != cdc.ReasonRequest })
			if len(list) == 0 {
				return errNothing
			}
			_, err = c.b.command("backfill", word, list[c.rng.IntN(len(list))].ID)
			return err
		}
	}
	begin := func(more func(*chaos) []string) func(*chaos) error {
		return func(c *chaos) error {
			if err := c.room(); err != nil {
				return err
			}
			_, err := c.b.command(append([]string{"backfill", "--detach"}, more(c)...)...)
			return err
		}
	}
	some := func(c *chaos) string { return tables[c.rng.IntN(len(tables)-1)].name }
	return []deed{
		{"backfill of a table", tried(begin(func(c *chaos) []string { return []string{some(c)} }))},
		{"slow backfill of a table", tried(begin(func(c *chaos) []string {
			return []string{"archive", "--rate", fmt.Sprint(2000 + c.rng.IntN(20_000))}
		}))},
		{"generation of a table", tried(begin(func(c *chaos) []string { return []string{some(c), "--sweep"} }))},
		{"backfill of a condition", tried(begin(func(c *chaos) []string { return []string{"deals", "--where", "id % 3 = 0"} }))},
		{"backfill of keys", tried(begin(func(c *chaos) []string {
			h := hand{rng: c.rng}
			return []string{"deals", "--keys", fmt.Sprintf("%d,%d,%d", h.id(), h.id(), h.id())}
		}))},
		{"unpublished change of a partition", tried(func(c *chaos) error {
			if err := c.room(); err != nil {
				return err
			}
			return c.change(unpublished[c.rng.IntN(len(unpublished))])
		})},
		{"pause of a backfill", tried(wish("pause"))},
		{"resume of a backfill", tried(wish("resume"))},
		{"cancel of a backfill", tried(wish("cancel"))},
	}
}

// partitionsNoted is what the capture knows of partitions. It changes when a backfill was
// asked for that makes up for a change of theirs, or one waits that will.
func (b *bridge) partitionsNoted() string {
	b.t.Helper()
	text, err := b.rdb.HGet(context.Background(), fmt.Sprintf("walbridge:{%s}:meta", name), "note:leaves").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		b.t.Fatal(err)
	}
	return text
}

// endBackfills has the last unpublished change noticed, wakes the backfills that rest,
// cancels those that nobody began with, since a queue of them may take long, and waits
// until all have ended, none of them in failure.
func (b *bridge) endBackfills() {
	b.t.Helper()
	began, before := time.Now(), b.partitionsNoted()
	b.exec("TRUNCATE sales_high") // older ones are noticed with it, at the latest
	rows := int64(0)
	counts := map[string]int{}
	b.until(5*time.Minute, func() string {
		noticed := b.partitionsNoted() != before // before the list, which then has what came of it
		list, err := b.backfills()
		if err != nil {
			return err.Error()
		}
		begun := map[string]int{}
		rows = 0
		clear(counts)
		for i := range list {
			s := &list[i]
			wish := ""
			switch {
			case s.Progress.State.Final():
			case s.Reason == cdc.ReasonRequest && s.Wish == cdc.WishRun && s.Progress.State == cdc.BackfillWaiting:
				wish = "cancel"
			case s.Wish == cdc.WishPause:
				wish = "resume"
			}
			if wish != "" {
				if _, err := b.command("backfill", wish, s.ID); err != nil {
					return err.Error()
				}
			}
			if s.Progress.State == cdc.BackfillFailed {
				b.t.Fatalf("a backfill failed: %+v", s)
			}
			if !s.Progress.State.Final() {
				return fmt.Sprintf("backfill %s of %s (%s) is %s: %+v", s.ID, s.Table, s.Reason, s.Progress.State, s.Progress)
			}
			rows += s.Progress.Rows
			if s.Reason == cdc.ReasonStart {
				begun[s.Table.Name]++
			}
			counts[fmt.Sprintf("%s %s", s.Reason, s.Progress.State)]++
		}
		for i := range tables {
			if n := begun[tables[i].name]; n > 1 { // none: it ended too long ago to be remembered
				b.t.Fatalf("the first load of %s was asked for %d times", tables[i].name, n)
			}
		}
		if !noticed {
			return "nobody has noticed that a partition was truncated"
		}
		return ""
	})
	b.t.Logf("the last backfills: %v, %d rows; they ended in %s", counts, rows, time.Since(began).Round(time.Millisecond))
}
