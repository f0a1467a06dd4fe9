package wire

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/check"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire/plan"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/state"
)

// Plan is what mapping files would send.
type Plan = plan.Plan

// planner makes one plan.
type planner struct {
	comparing
	settling settling[plan.Finding]
	all      []*mapping.Mapping // that there are files of
	plan     *Plan
	mappings map[*comparedMapping]*plannedMapping
	keys     map[targetObject]*plan.Keys
	targets  map[*comparedTarget]*plannedTarget
	captures bool // a capture is at work
}

// plannedTarget is what is known of a target's delivery.
type plannedTarget struct {
	report   TargetReport // zero where there is no log
	serves   bool         // what changes is delivered now
	known    []string     // mappings of which the state knows keys, or knew some
	began    redislog.Beginning
	isNew    bool // it begins with these files
	detached bool
	backlog  bool // changes wait, and nobody delivers them
	letters  map[string]int64
}

// targetObject is an object of a target with the field that identifies its records.
type targetObject struct{ target, object, key string }

// plannedMapping is one mapping with what was found of it.
type plannedMapping struct {
	*plan.Counter
	additions deliver.Additions
	claims    bool // another row may make the same target key
	settles   bool // what does not agree may be on its way
	back      bool // it comes back, and records without rows go
}

// planPatience bounds the wait for a target to deal with what is committed.
const planPatience = 10 * time.Second

// PlanMappings says what the mapping files of a configuration would send. It reads the tables and
// what was delivered, asks no target, and writes nothing.
func PlanMappings(ctx context.Context, cfg *config.Config, logger *slog.Logger, o RowOptions) (_ *Plan, err error) {
	p := &planner{comparing: comparing{o: o, cfg: cfg, logger: logger, uncaptured: true}, mappings: map[*comparedMapping]*plannedMapping{}, keys: map[targetObject]*plan.Keys{},
		targets: map[*comparedTarget]*plannedTarget{}, plan: &Plan{Notes: []string{}, Sample: o.Sample, Mappings: []plan.Mapping{}, Accounts: []plan.Account{}, Gone: []plan.Gone{}}}
	p.settling = settling[plan.Finding]{c: &p.comparing, patience: planPatience, judge: p.judge, doubts: p.doubts, right: p.count, wrong: p.count, flying: p.flying}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	if err := p.scan(ctx, p.look); err != nil {
		return nil, err
	}
	if err := p.settling.all(ctx); err != nil {
		return nil, err
	}
	if err := p.away(ctx); err != nil {
		return nil, err
	}
	return p.plan, p.finish(ctx)
}

// begin opens what the mappings need that are meant, and finds out how they stand.
func (p *planner) begin(ctx context.Context) (err error) {
	if p.backfills, err = openOrNone(ctx, p.cfg, p.logger); err != nil {
		return err
	}
	if p.all, err = p.comparing.begin(ctx); err != nil {
		return err
	}
	if err := contrary(p.cfg, p.all); err != nil {
		return err
	}
	if err := p.survey(ctx); err != nil {
		return err
	}
	begins, err := p.beginnings(ctx)
	if err != nil {
		return err
	}
	for _, t := range p.tables {
		for _, m := range t.mappings {
			if err := check.Unfit(m.Mapping, sinks.AbilitiesOf(m.target.client, m.Object())); err != nil {
				return err
			}
			p.mappings[m] = p.planned(m, begins[m])
			p.remembers = p.remembers || p.mappings[m].back
		}
	}
	return nil
}

// planned begins to count a mapping.
func (p *planner) planned(m *comparedMapping, begins *plan.Begins) *plannedMapping {
	limits, t := m.target.limits, p.targets[m.target]
	of := plan.Mapping{Mapping: m.Name(), Target: m.Target(), Object: m.Object(), Table: m.Table().String(), Begins: begins, Delete: string(m.Delete()),
		Batch: deliver.MostInBatch(m.Coalesce(), limits), Jobs: limits.Bulk.From, DeadLetters: t.letters[m.Name()]}
	out := &plannedMapping{claims: p.claims(m)}
	var keys *plan.Keys
	if out.claims {
		at := targetObject{m.Target(), m.Object(), m.Outputs()[0].Name}
		if p.keys[at] == nil {
			seed := maphash.MakeSeed()
			p.keys[at] = plan.NewKeys(func(key string) uint64 { return maphash.String(seed, key) })
		}
		keys = p.keys[at]
	}
	out.Counter = plan.NewCounter(of, keys)
	begun := begins == nil || begins.How == plan.ByReading
	if slices.Contains(t.known, m.Name()) {
		out.Known()
		out.back = begins != nil && begins.How == plan.ByBackfill
	}
	out.settles = begun && t.serves
	out.Backlog = begun && (t.backlog || !p.captures)
	return out
}

// claims tells whether another row may make the same target key.
func (p *planner) claims(m *comparedMapping) bool {
	c, ok := sinks.As[sinks.Collation](m.target.client)
	others := slices.ContainsFunc(p.all, func(o *mapping.Mapping) bool {
		return o != m.Mapping && o.Target() == m.Target() && o.Object() == m.Object()
	})
	return !m.KeyIsSource() || others || ok && c.Folds()
}

// look judges rows of a table.
func (p *planner) look(ctx context.Context, t *comparedTable, rows []cdc.Change) error {
	for _, m := range t.mappings {
		p.mappings[m].Rows += int64(len(rows))
		if err := p.settling.compare(ctx, t, m, rows); err != nil {
			return err
		}
	}
	for _, m := range t.mappings { // so many differ, once they were looked at twice, that the mapping is it
		if len(p.settling.doubted[m]) >= settleMost {
			p.mappings[m].settles = false
		}
	}
	return p.settling.some(ctx, t)
}

func (p *planner) doubts(m *comparedMapping) bool { return p.mappings[m].settles }

func (p *planner) count(m *comparedMapping, key string, f plan.Finding) {
	p.mappings[m].Count(key, f)
}

func (p *planner) flying(m *comparedMapping, n int64, waited bool) {
	r := p.mappings[m]
	r.InFlight += n
	r.Waited = r.Waited || waited
}

// judge says what comes of each of some rows.
func (p *planner) judge(ctx context.Context, t *comparedTable, m *comparedMapping, changes []cdc.Change) ([]plan.Finding, error) {
	known, err := p.known(ctx, t, m, changes)
	if err != nil {
		return nil, err
	}
	out := make([]plan.Finding, len(changes))
	for i := range changes {
		if known[i].Err != nil { // the next delivery writes it anew
			out[i] = plan.Finding{Kind: plan.Update, Unsettled: true}
			continue
		}
		out[i] = p.finding(m, &changes[i], &known[i].Known)
	}
	return out, nil
}

func (p *planner) finding(of *comparedMapping, ch *cdc.Change, k *state.Known) plan.Finding {
	m := p.mappings[of]
	standing, rec, err := deliver.Compare(of, ch, *k)
	r := plan.Row{Standing: standing, Record: rec, Known: *k, Err: err, Deletes: of.Deletes(), SameKey: true}
	if standing == deliver.Stale && rec != nil {
		r.SameKey = k.Key.Name == rec.Key.Name && of.target.fold(of.Object(), k.Key) == of.target.fold(of.Object(), rec.Key)
	}
	f := plan.Judge(r)
	f.Orphan = f.Kind == plan.Remove && ch.Op == cdc.OpDelete
	if rec == nil {
		return f
	}
	if m.claims {
		f.Key, f.Claims = of.target.fold(of.Object(), rec.Key), true
	}
	if f.Kind == plan.Update && f.Differs && m.Looked < plan.FieldsMost {
		f.Looked, f.Added, f.Changed = true, m.additions.Of(rec, k.Payload), of.Signed(k.Sent, rec.Sent)
	}
	return f
}
