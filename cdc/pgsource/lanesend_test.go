package pgsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// inLanes tells of each entry its lane, in the order of Positions.
func (b *bench) inLanes() (out []string) {
	b.t.Helper()
	type placed struct {
		ch   cdc.Change
		lane string
	}
	var all []placed
	for _, s := range b.log.Streams() {
		for _, ch := range b.read(s) {
			all = append(all, placed{ch, s.Lane})
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return a.ch.Position.Compare(b.ch.Position) })
	for _, p := range all {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %v %s %s", p.lane, p.ch.Op, p.ch.Table.Name, p.ch.Key)))
	}
	return out
}

// Of a key, which travels in several lanes, every entry has its Position. What is no
// row of a change goes where it always did.
func TestRowsOfAKeyInSeveralLanes(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, v int); CREATE TABLE whole (id int PRIMARY KEY, v int); ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE old (id int PRIMARY KEY, v int); INSERT INTO old VALUES (1, 1)`)
	for _, name := range []string{"deals", "whole", "old"} {
		b.options.Tables[public(name)] = Lanes{Lane: cdc.LaneNormal, Rules: "v 3 urgent, v 5 bulk"}
	}
	b.options.BulkAfter, b.options.CompileRules, b.options.Mappings = 2, below, []Start{{Name: "crm/old", Table: public("old")}}
	c := b.start()
	b.loaded(c)
	for _, sql := range []string{`INSERT INTO deals VALUES (1, 1)`, `UPDATE deals SET v = 4`, `UPDATE deals SET v = 5`, `UPDATE deals SET v = NULL`, `UPDATE deals SET id = 2, v = 2`, `DELETE FROM deals`,
		`INSERT INTO whole VALUES (1, 1)`, `UPDATE whole SET v = 9`, `UPDATE whole SET id = 2, v = 4`, `DELETE FROM whole`,
		`INSERT INTO deals VALUES (3, 9), (4, 1), (5, 1)`} {
		b.exec(sql)
	}
	b.wait(c)
	want := []string{`bulk r old {"id":1}`, "urgent s old", "urgent s old", "normal s old", "normal s old", "bulk s old", "bulk s old",
		`urgent c deals {"id":1}`, `bulk u deals {"id":1}`, `normal u deals {"id":1}`, `normal u deals {"id":1}`, `normal d deals {"id":1}`, `urgent c deals {"id":2}`, `normal d deals {"id":2}`,
		`urgent c whole {"id":1}`, `normal u whole {"id":1}`, `normal d whole {"id":1}`, `bulk c whole {"id":2}`, `bulk d whole {"id":2}`,
		`normal c deals {"id":3}`, `urgent c deals {"id":4}`, `bulk c deals {"id":5}`}
	got := b.inLanes()
	// Those of one Position are in no order.
	slices.Sort(got[1:7])
	slices.Sort(want[1:7])
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	b.exec(`TRUNCATE deals`)
	b.wait(c)
	if got := b.inLanes()[len(want):]; len(got) != 6 || slices.ContainsFunc(got, func(s string) bool { return !strings.HasSuffix(s, " t deals") }) {
		t.Errorf("the truncate is %q", got)
	}
}

// A transaction that is sent again while the configuration has other rules, or none, goes
// to the streams of the first time; rows that were committed while nobody captured go by
// the new ones.
func TestSentAgainUnderOtherRules(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, v int)`)
	b.options.CompileRules = below
	set := func(lane, rules string) { b.options.Tables[public("deals")] = Lanes{Lane: lane, Rules: rules} }
	set(cdc.LaneNormal, "v 3 urgent, v 6 bulk")
	c := b.startInto(b.forgetful(all))
	b.exec(`INSERT INTO deals SELECT g, g FROM generate_series(1, 9) g; UPDATE deals SET v = v + 2; UPDATE deals SET id = id + 10 WHERE id > 7; DELETE FROM deals WHERE id < 3`)
	b.wait(c)
	b.stop()
	b.free()
	first := b.placed()
	for round, rules := range []string{"v 9 bulk", "", "v 3 urgent", "id 5 urgent, v 200 normal"} {
		set(cdc.LaneBulk, rules)
		id := 100 * (round + 1)
		b.exec(`INSERT INTO deals VALUES ($1, 1), ($1 + 1, 100)`, id) // while nobody captures
		held := b.log.Stats().Held
		c = b.startInto(b.forgetful(all))
		b.wait(c)
		b.stop()
		b.free()
		if again := b.log.Stats().Held - held; again < uint64(len(first)) {
			t.Errorf("rules %q: only %d entries came again; the test shows nothing", rules, again)
		}
		now := b.placed()
		for id, where := range first {
			if now[id] != where {
				t.Errorf("rules %q: entry %s was in %s, is in %q", rules, id, where, now[id])
			}
		}
		if len(now) != len(first)+2 {
			t.Errorf("rules %q: %d entries, want 2 more than %d", rules, len(now), len(first))
		}
		first = now
		lanes := b.inLanes()
		want := [][]string{{"bulk", "bulk"}, {"bulk", "bulk"}, {"urgent", "bulk"}, {"normal", "normal"}}[round]
		for i, lane := range want {
			if w := fmt.Sprintf(`%s c deals {"id":%d}`, lane, id+i); lanes[len(lanes)-2+i] != w {
				t.Errorf("rules %q: new row %s, want %s", rules, lanes[len(lanes)-2+i], w)
			}
		}
	}
}

// A capture that cannot read the rules of rows that come again ends with what to do, and
// does that no more once the slot is past them.
func TestStartWithRulesOfAnotherVersion(t *testing.T) {
	t.Parallel()
	b := newBench(t, servertest.SharedPostgres(t).URL, `CREATE TABLE deals (id int PRIMARY KEY, v int)`)
	b.options.CompileRules = below
	b.options.Tables[public("deals")] = Lanes{Lane: cdc.LaneNormal, Rules: "v 3 urgent"}
	c := b.startInto(b.forgetful(all))
	b.exec(`INSERT INTO deals VALUES (1, 1), (2, 5)`)
	b.wait(c)
	b.stop()
	b.free()
	b.options.CompileRules = func(text string) (func(string) string, error) {
		if text == "v 3 urgent" {
			return nil, errNotMine
		}
		return below(text)
	}
	b.options.Tables[public("deals")] = Lanes{Lane: cdc.LaneNormal, Rules: "v 4 urgent"}
	s, err := New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	wantSetupError(t, NewCapture(s, b.log).Run(ctx), "rows of table public.deals may come again")
	b.free()

	// The version before, with a plain lane, and more being written meanwhile.
	newer := b.options
	b.options.CompileRules = below
	b.options.Tables = map[cdc.Table]Lanes{public("deals"): {Lane: cdc.LaneNormal}}
	c = b.start()
	b.exec(`INSERT INTO deals VALUES (3, 1)`)
	end := b.end()
	until(t, "the slot to be past the rules", func() bool { return c.Stats().Confirmed >= end })
	b.stop()
	b.free()
	b.options = newer
	c = b.start()
	b.exec(`INSERT INTO deals VALUES (4, 1)`)
	b.wait(c)
	want := []string{`urgent c deals {"id":1}`, `normal c deals {"id":2}`, `normal c deals {"id":3}`, `urgent c deals {"id":4}`}
	if got := b.inLanes(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if list, err := b.log.Routings(context.Background()); err != nil || list[len(list)-1].Tables[0].Rules != "v 4 urgent" {
		t.Errorf("routings %+v, error %v", list, err)
	}
}
