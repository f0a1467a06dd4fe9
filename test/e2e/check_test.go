package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/judge"
)

// verdict says what a check leaves out.
type verdict struct {
	// refused are the keys, as app/object key, that may be wrong at the target.
	refused map[string]bool
	// pauses are those of workers, which excuse what they had under way.
	pauses []pause
}

// checkAll judges a run that is drained, by all checkers.
func (b *bridge) checkAll(v verdict) {
	b.t.Helper()
	b.report("the log against the contract", b.checkLog())
	backwards, late := b.backwards(v.pauses)
	maps.Copy(late, v.refused)
	b.report("the targets against the tables", b.checkTargets(late))
	b.report("keys that went backwards at a target (I4)", backwards)
	for app, s := range b.apps.Stats() {
		if s.HistoryLost > 0 {
			b.t.Errorf("the sandbox forgot %d records of %s: the history proves nothing", s.HistoryLost, app)
		}
		if s.BadRequests > 0 {
			b.t.Errorf("%d requests to %s were not understood", s.BadRequests, app)
		}
	}
}

func (b *bridge) report(what string, findings []string) {
	b.t.Helper()
	if len(findings) > 0 {
		b.t.Errorf("%s: %d findings:\n  %s", what, len(findings), strings.Join(brief(findings), "\n  "))
	}
}

// checkLog holds the log against the witness and the tables. The witness is read on,
// since a log may be judged several times.
func (b *bridge) checkLog() (findings []string) {
	b.t.Helper()
	var v *judge.Verdict
	err := b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
		w := judge.Witness{Slot: b.witness(), Publication: b.publication()}
		more, err := w.Read(ctx, c)
		if err != nil {
			return err
		}
		b.witnessed = append(b.witnessed, more...)
		v, err = judge.Compare(ctx, b.log(), b.witnessed, b.tables())
		return err
	})
	if err != nil {
		b.t.Fatalf("judge the log: %v", err)
	}
	b.t.Logf("%d entries (lanes %v, ops %v), %d with absent columns; %d rows in the end", v.Entries, v.Lanes, v.Ops, v.Absent, v.Rows)
	return words(v.Findings)
}

func words(found []judge.Finding) (out []string) {
	for _, f := range found {
		out = append(out, f.What)
	}
	return out
}

func (b *bridge) log() *judge.Log {
	return &judge.Log{Client: b.rdb, Name: b.name, Partitions: partitions}
}

// tables reads the tables as to_jsonb gives them.
func (b *bridge) tables() judge.Rows {
	b.t.Helper()
	return b.objects(`SELECT 'public.deals', format('id="%s"', id), to_jsonb(d) FROM deals d
UNION ALL SELECT 'public.forecasts', format('quarter="%s" region=%s', quarter, to_json(region)), to_jsonb(f) FROM forecasts f`)
}

// objects runs a query that gives two texts, which name a thing, and an object.
func (b *bridge) objects(sql string) judge.Rows {
	b.t.Helper()
	out := judge.Rows{}
	err := b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
		list, err := c.Query(ctx, sql)
		if err != nil {
			return err
		}
		var kind, key string
		var object map[string]json.RawMessage
		_, err = pgx.ForEachRow(list, []any{&kind, &key, &object}, func() error {
			out.Add(kind, key, object)
			object = nil
			return nil
		})
		return err
	})
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// checkTargets compares the targets with what SQL says they should hold.
func (b *bridge) checkTargets(refused map[string]bool) []string {
	b.t.Helper()
	want := b.objects(`SELECT 'crm/Deal', id::text, to_jsonb(d) - 'id' FROM deals d
UNION ALL SELECT 'commission/Deal', id::text, jsonb_build_object('owner', owner, 'amount', amount, 'label', name || ' #' || id)
  FROM deals WHERE stage = 'won'
UNION ALL SELECT 'forecast/Forecast', region || '/' || quarter,
  jsonb_build_object('region', region, 'quarter', quarter, 'total', amount, 'remark', remark) FROM forecasts`)
	have := judge.Rows{}
	for _, place := range []string{"crm/Deal", "commission/Deal", "forecast/Forecast"} {
		app, object, _ := strings.Cut(place, "/")
		for key, fields := range b.apps.Fields(app, object) {
			have.Add(place, key, fields)
		}
	}
	for name := range refused {
		place, key, _ := strings.Cut(name, " ")
		delete(want[place], key)
		delete(have[place], key)
	}
	b.t.Logf("%d objects at the targets", have.Count())
	return words(judge.Differences(want, have))
}

// sampler looks again and again whether the slot is confirmed above what the log
// holds durably (I1).
type sampler struct {
	quit     chan struct{}
	done     sync.WaitGroup
	samples  int // and the rest: after done
	findings []string
}

// sample starts a sampler.
func (b *bridge) sample() *sampler {
	s := &sampler{quit: make(chan struct{})}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-tick.C:
				s.look(b)
			}
		}
	}()
	b.t.Cleanup(s.stop)
	return s
}

func (s *sampler) stop() {
	select {
	case <-s.quit:
	default:
		close(s.quit)
	}
	s.done.Wait()
}

// look takes one sample. The slot is read first: the mark only rises. A server
// that is down gives none.
func (s *sampler) look(b *bridge) {
	text, err := b.text("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", b.slot())
	if err != nil {
		return
	}
	confirmed, err := cdc.ParseLSN(text)
	if err != nil {
		s.findings = append(s.findings, err.Error())
		return
	}
	durable, err := b.durable()
	if err != nil {
		return
	}
	s.samples++
	if confirmed > durable {
		s.findings = append(s.findings, fmt.Sprintf("the slot is confirmed up to %v, the log holds up to %v", confirmed, durable))
	}
}

// judge ends the sampling and says what was found.
func (s *sampler) judge(t testing.TB, b *bridge) {
	t.Helper()
	s.stop()
	if s.samples == 0 {
		t.Error("not one sample of the confirmed LSN was taken")
	}
	b.report("the slot against the log (I1)", s.findings)
	t.Logf("%d samples of the confirmed LSN", s.samples)
}
