package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/rate"
)

// VerifyOptions say what a verification looks at.
type VerifyOptions struct {
	RowOptions
	// StateOnly does not ask targets.
	StateOnly bool
	// Repair asks for what is found to be read and delivered again, and looks once more.
	Repair bool
}

// verifier is one verification.
type verifier struct {
	comparing
	settling settling[suspicion]
	o        VerifyOptions
	targets  map[*comparedTarget]*verifiedTarget
	mappings map[*comparedMapping]*verifiedMapping
}

// verifiedTarget is a target as it is asked for what it holds.
type verifiedTarget struct {
	*comparedTarget
	reads   sinks.ReadBack // nil if it is not asked
	most    int            // keys in a request
	account *account
}

// verifiedMapping is one mapping with what was found of it.
type verifiedMapping struct {
	*mapping.Mapping
	target *verifiedTarget
	report MappingVerified
	// always are the fields that are written always, references those of them that refer to
	// another record.
	always, references map[string]bool
}

// typeReference is the type of a field that refers to another record (mapping.Output).
const typeReference = "reference"

// suspicion is what was found of a row.
type suspicion struct {
	standing deliver.Standing
	meant    bool     // the row makes a record
	code     string   // why no record can be made
	gone     bool     // the target does not hold it
	fields   []string // those that differ at the target
}

func (s suspicion) Bad() bool {
	return s.standing != deliver.Right && s.standing != deliver.Unsure || s.gone || len(s.fields) > 0
}

// Verify compares every source row, through its mappings, with what was delivered, and with
// what the target holds where that can be read. It changes nothing, but for a repair, which
// is asked for as any backfill.
func Verify(ctx context.Context, cfg *config.Config, logger *slog.Logger, o VerifyOptions) (_ *Verified, err error) {
	v := &verifier{o: o, comparing: comparing{o: o.RowOptions, cfg: cfg, logger: logger, remembers: true}, targets: map[*comparedTarget]*verifiedTarget{}, mappings: map[*comparedMapping]*verifiedMapping{}}
	v.settling = settling[suspicion]{c: &v.comparing, patience: settleWithin, judge: v.judge, doubts: everything, right: v.right, wrong: v.wrong, flying: v.flying}
	defer func() { err = errors.Join(err, v.close()) }()
	if err := v.begin(ctx); err != nil {
		return nil, err
	}
	if err := v.scan(ctx, v.look); err != nil {
		return nil, err
	}
	if err := v.gone(ctx, everything, v.orphans(ctx)); err != nil {
		return nil, fmt.Errorf("look for orphans: %w", err)
	}
	if err := v.settling.all(ctx); err != nil {
		return nil, err
	}
	if o.Repair {
		if err := v.repair(ctx); err != nil {
			return nil, err
		}
	}
	return v.report(), nil
}

// begin opens what the mappings need that are meant.
func (v *verifier) begin(ctx context.Context) (err error) {
	if v.backfills, err = OpenBackfills(ctx, v.cfg, v.logger); err != nil {
		return err
	}
	if _, err := v.comparing.begin(ctx); err != nil {
		return err
	}
	for _, t := range v.tables {
		for _, m := range t.mappings {
			v.mappings[m] = newVerified(m.Mapping, v.targetOf(m.target))
		}
	}
	return nil
}

func newVerified(m *mapping.Mapping, t *verifiedTarget) *verifiedMapping {
	out := &verifiedMapping{Mapping: m, target: t, always: map[string]bool{}, references: map[string]bool{},
		report: MappingVerified{Mapping: m.Name(), Target: m.Target(), Object: m.Object(), Table: m.Table().String(), ReadBack: t.reads != nil, Fields: map[string]int64{}}}
	for _, o := range m.Outputs() {
		out.always[o.Name] = o.Write == mapping.WriteAlways
		out.references[o.Name] = out.always[o.Name] && o.Type == typeReference
	}
	return out
}

// targetOf makes a target ready to be asked, once.
func (v *verifier) targetOf(c *comparedTarget) *verifiedTarget {
	if t := v.targets[c]; t != nil {
		return t
	}
	cfg, _ := v.cfg.Target(c.name)
	of := cfg.Account()
	budget := rate.NewRedis(v.log().Client(), v.log().Keys().Account(of))
	t := &verifiedTarget{comparedTarget: c,
		account: &account{keeper: rate.New(of, settingsOf(v.cfg.RateOf(of)), budget, v.logger), store: budget}}
	v.targets[c] = t
	if q, ok := sinks.As[sinks.QuotaTeller](c.client); ok {
		q.TellQuota(t.account.keeper.Observe)
	}
	if reads, ok := sinks.As[sinks.ReadBack](c.client); ok && !v.o.StateOnly {
		t.reads, t.most = reads, max(1, t.limits.MaxBatch)
		if o, ok := sinks.As[sinks.OneByOne](c.client); ok && o.ReadsOneByOne() {
			t.most = 1
		}
	}
	return t
}

func (v *verifier) close() error {
	var errs []error
	for _, t := range v.targets {
		errs = append(errs, t.account.close())
	}
	return errors.Join(append(errs, v.comparing.close())...)
}

// look compares rows of a table with what is known of them, and with the targets.
func (v *verifier) look(ctx context.Context, t *comparedTable, rows []cdc.Change) error {
	for _, m := range t.mappings {
		v.mappings[m].report.Rows += int64(len(rows))
		if err := v.settling.compare(ctx, t, m, rows); err != nil {
			return err
		}
	}
	return v.settling.some(ctx, t)
}

// orphans doubts keys that have a record and no row.
func (v *verifier) orphans(ctx context.Context) func(*comparedTable, *comparedMapping, []string) error {
	return func(t *comparedTable, m *comparedMapping, keys []string) error {
		for _, key := range keys {
			v.settling.doubt(m, key, doubted[suspicion]{opinion: suspicion{standing: deliver.Orphan}})
		}
		return v.settling.some(ctx, t)
	}
}

// judge gives what is found of each of some rows.
func (v *verifier) judge(ctx context.Context, t *comparedTable, of *comparedMapping, changes []cdc.Change) ([]suspicion, error) {
	known, err := v.known(ctx, t, of, changes)
	if err != nil {
		return nil, err
	}
	m := v.mappings[of]
	out := make([]suspicion, len(changes))
	var ask []asked
	for i := range changes {
		if known[i].Err != nil {
			out[i] = suspicion{standing: deliver.Stale}
			continue
		}
		standing, rec, err := deliver.Compare(m, &changes[i], known[i].Known)
		out[i] = suspicion{standing: standing, meant: rec != nil}
		if err != nil {
			out[i].code = sinks.Code(err)
		}
		if (standing == deliver.Right || standing == deliver.Unsure) && rec != nil && m.report.ReadBack {
			ask = append(ask, asked{i, rec})
		}
	}
	return out, v.readBack(ctx, m, ask, out)
}

func (v *verifier) right(m *comparedMapping, _ string, s suspicion) { v.mappings[m].report.count(s) }

func (v *verifier) wrong(m *comparedMapping, key string, s suspicion) {
	v.mappings[m].report.found(key, s)
}

func (v *verifier) flying(m *comparedMapping, n int64, waited bool) {
	r := &v.mappings[m].report
	r.InFlight += n
	r.Waited = r.Waited || waited
}
