package wire

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire/plan"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks/deadletter"
)

// survey finds out how the capture and the targets stand.
func (p *planner) survey(ctx context.Context) error {
	facts, err := readFacts(ctx, p.cfg, p.logger)
	if err != nil {
		return err
	}
	p.captures = facts.HasSlot && facts.Active != 0
	switch log := p.log(); {
	case log == nil:
		text := "there is no log of this bridge in Redis yet: nothing was ever delivered, so all mappings count as new"
		if facts.HasSlot {
			text += fmt.Sprintf("; a slot %s is there all the same", p.cfg.Postgres.Slot)
		}
		p.note("%s", text)
	case !p.captures:
		p.note("no capture is running: what was committed since is compared as it is in the tables, and counts with what the files would send")
	}
	for _, t := range p.comparing.targets {
		if p.targets[t], err = p.targetOf(ctx, t); err != nil {
			return fmt.Errorf("look at target %s: %w", t.name, err)
		}
	}
	for _, name := range p.cfg.TargetNames() {
		if t := p.comparing.targets[name]; t != nil && p.log() != nil {
			p.noteTarget(p.targets[t])
		}
	}
	return nil
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}

// noteTarget says what of a target's delivery has to do with the numbers.
func (p *planner) noteTarget(t *plannedTarget) {
	if t.detached {
		p.note("target %s is detached from the log: when it comes back, the tables of its mappings are read for it, and all rows that they mean are sent", t.report.Name)
	}
	if t.report.Owner != "" || t.isNew {
		return
	}
	var entries int64
	more := ""
	for _, l := range t.report.Lanes {
		entries += l.Entries
		if l.More {
			more = "more than "
		}
	}
	text := "no process delivers to target " + t.report.Name
	if entries > 0 {
		t.backlog = true
		text += fmt.Sprintf(": %s%d changes wait for it in the log; rows of which they are count with what the files would send, and go by themselves once one runs", more, entries)
	}
	p.note("%s", text)
}

// targetOf finds out how a target stands.
func (p *planner) targetOf(ctx context.Context, of *comparedTarget) (*plannedTarget, error) {
	t, log := &plannedTarget{isNew: true, letters: map[string]int64{}}, p.log()
	if log == nil {
		return t, nil
	}
	r := Report{Now: time.Now()}
	if err := r.target(ctx, log, of.name); err != nil {
		return nil, err
	}
	t.report = r.Targets[0]
	t.serves = p.captures && t.report.Owner != ""
	for n := range log.Partitions() {
		names, err := of.view.Mappings(ctx, n)
		if err != nil {
			return nil, err
		}
		t.known = append(t.known, names...)
	}
	slices.Sort(t.known)
	t.known = slices.Compact(t.known)
	if t.report.DeadLetters > 0 {
		box := deadletter.Box{Client: log.Client(), Keys: log.Keys(), Target: of.name, Partitions: log.Partitions()}
		if err := box.Each(ctx, deadletter.Filter{}, func(e deadletter.Entry) error { t.letters[e.Mapping]++; return nil }); err != nil {
			return nil, err
		}
	}
	cfg, _ := p.cfg.Target(of.name)
	began, ok, err := log.Began(ctx, of.name)
	t.began, t.isNew = began, !ok || began.From != "" && !began.Served && began.From != fromOf(cfg)
	if err != nil {
		return nil, err
	}
	detached, err := log.Detached(ctx)
	_, t.detached = detached[of.name]
	return t, err
}

// beginnings says how each mapping begins that is meant; one that has begun is not there, but
// where its table is being read.
func (p *planner) beginnings(ctx context.Context) (map[*comparedMapping]*plan.Begins, error) {
	var (
		started, rowless map[string]bool
		reading          []cdc.BackfillStatus
		err              error
	)
	if log := p.log(); log != nil {
		if started, err = log.Started(ctx); err != nil {
			return nil, err
		}
		if rowless, err = log.WithoutRows(ctx); err != nil {
			return nil, err
		}
		if reading, err = log.Backfills(ctx); err != nil {
			return nil, err
		}
	}
	out := map[*comparedMapping]*plan.Begins{}
	for _, t := range p.tables {
		for _, m := range t.mappings {
			name := m.Target() + "/" + m.Name()
			if !started[name] {
				out[m] = p.beginning(m, rowless[name])
				continue
			}
			i := slices.IndexFunc(reading, func(b cdc.BackfillStatus) bool {
				return !b.Progress.State.Final() && b.Whole() && b.Table.String() == t.logName && meantFor(b.For, m.Target(), m.Name())
			})
			if i >= 0 {
				out[m] = &plan.Begins{How: plan.ByReading, Backfill: reading[i].ID}
			}
		}
	}
	return out, p.countLog(ctx, out)
}

// beginning says how a mapping begins that the capture has not begun with; rowless tells that its
// target was noted to begin without rows, and so does the mapping.
func (p *planner) beginning(m *comparedMapping, rowless bool) *plan.Begins {
	t := p.targets[m.target]
	cfg, _ := p.cfg.Target(m.Target())
	from := t.began.From
	if t.isNew {
		from, rowless = fromOf(cfg), fromOf(cfg) != redislog.FromBackfill && m.Start() == ""
	}
	b := &plan.Begins{How: plan.ByBackfill, NewTarget: t.isNew}
	switch {
	case m.Start() == mapping.StartNow && (!t.isNew || from == redislog.FromNow):
		b.How, b.Setting = plan.ByNow, "start: now"
	case m.Start() == mapping.StartNow:
		b.How, b.Setting = plan.ByLog, "start: now"
	case rowless && from == redislog.FromNow:
		b.How, b.Setting = plan.ByNow, fmt.Sprintf("targets.%s.from: now", m.Target())
	case rowless:
		b.How, b.Setting = plan.ByLog, fmt.Sprintf("targets.%s.from: %s", m.Target(), cmp.Or(from, redislog.FromBeginning))
	}
	return b
}

// meantFor tells whether what was read for some targets and mappings, for all if there are none,
// is for a mapping.
func meantFor(names []string, target, mapping string) bool {
	return len(names) == 0 || slices.Contains(names, target) || slices.Contains(names, target+"/"+mapping)
}

// countLog counts the rows of which the log has changes, for those mappings that begin with it.
func (p *planner) countLog(ctx context.Context, begins map[*comparedMapping]*plan.Begins) error {
	each := map[*comparedMapping]*distinct{}
	tables := map[string][]*comparedMapping{}
	for _, t := range p.tables {
		for _, m := range t.mappings {
			if b := begins[m]; b != nil && b.How == plan.ByLog {
				each[m], tables[t.logName] = &distinct{}, append(tables[t.logName], m)
			}
		}
	}
	log := p.log()
	if log == nil { // it will be empty
		for m := range each {
			begins[m].Log = 0
		}
	}
	if len(each) == 0 || log == nil {
		return nil
	}
	tail, err := log.Tail(ctx)
	if err != nil {
		return err
	}
	err = log.Walk(ctx, redislog.Span{To: redislog.Bound{Position: tail}}, func(e *cdc.Message) error {
		for _, m := range tables[e.Change.Table.String()] {
			if e.Change.Op.Keyed() && meantFor(e.Change.For, m.Target(), m.Name()) {
				each[m].add(m.Name(), e.Change.Key)
			}
		}
		return nil
	})
	for m, d := range each {
		begins[m].Log = d.count()
	}
	return err
}
