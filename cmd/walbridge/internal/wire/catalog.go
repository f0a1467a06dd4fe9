package wire

import (
	"context"
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
)

// loadMappings reads the mapping files and compiles them against the database.
func loadMappings(ctx context.Context, cfg *config.Config, src *pgsource.Source) ([]*mapping.Mapping, error) {
	files, wrong := mapping.LoadEach(cfg.Mappings, cfg.Dir)
	cat, err := readCatalog(ctx, cfg, src)
	if err != nil {
		if wrong != nil { // which is nearer to hand than the database
			return nil, wrong
		}
		return nil, err
	}
	out, err := mapping.CompileAll(files, cat)
	return out, mapping.Join(wrong, err)
}

// renamed tells which captured tables the log knows by another name than the
// database does now: entries keep the name that a table had when it was first
// captured.
func (b *Bridge) renamed(ctx context.Context) (map[cdc.Table]cdc.Table, error) {
	list, err := b.log.Routings(ctx)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	tables, err := b.source.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	out := map[cdc.Table]cdc.Table{}
	for i := range tables {
		if t := list[len(list)-1].Table(tables[i].OID); t != nil && t.Name != tables[i].Table {
			out[t.Name] = tables[i].Table
		}
	}
	return out, nil
}

// readCatalog reads the tables of the source in the form that mappings want.
func readCatalog(ctx context.Context, cfg *config.Config, src *pgsource.Source) (*mapping.MemoryCatalog, error) {
	tables, err := src.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	others, err := src.Others(ctx)
	if err != nil {
		return nil, err
	}
	cat := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{}, TargetNames: cfg.TargetNames(), Others: others}
	for _, t := range tables {
		var cols []mapping.Column
		for _, c := range t.Columns {
			cols = append(cols, mapping.Column{Name: c.Name, Type: c.Type, TypeOID: c.TypeOID, NotNull: c.NotNull, Key: c.Key && t.Keyed(), Labels: c.Labels})
		}
		cat.TableColumns[t.Table] = cols
	}
	return cat, nil
}

// laned is what lanes needs of a mapping.
type laned interface {
	Table() cdc.Table
	// Lane is empty where it depends on the row.
	Lane() string
}

// lanes says in which lane the changes of each table travel: the most urgent that a
// mapping of the table asks for, where its rules, which follow from all of its mappings,
// do not decide by the row.
func lanes[M laned](mappings []M, rules map[cdc.Table]string) map[cdc.Table]pgsource.Lanes {
	out := map[cdc.Table]pgsource.Lanes{}
	order := cdc.Lanes()
	for _, m := range mappings {
		l := out[m.Table()]
		l.Rules = rules[m.Table()]
		if m.Lane() != "" && (l.Lane == "" || slices.Index(order, m.Lane()) < slices.Index(order, l.Lane)) {
			l.Lane = m.Lane()
		}
		out[m.Table()] = l
	}
	for t, l := range out {
		if l.Lane == "" {
			l.Lane = cdc.LaneNormal
			out[t] = l
		}
	}
	return out
}

// starts says what each mapping begins with.
func starts(mappings []*mapping.Mapping) (out []pgsource.Start) {
	for _, m := range mappings {
		s := pgsource.Start{Name: m.Target() + "/" + m.Name(), Table: m.Table(), Now: m.Start() == mapping.StartNow}
		for _, parent := range m.Parents() {
			s.Parents = append(s.Parents, m.Target()+"/"+parent)
		}
		out = append(out, s)
	}
	return out
}

// afterLoss gives the meaning of postgres.on_loss.
func afterLoss(setting string) pgsource.AfterLoss {
	switch setting {
	case config.OnLossHeal:
		return pgsource.HealAfterLoss
	case config.OnLossGoOn:
		return pgsource.GoOnAfterLoss
	}
	return pgsource.StopAfterLoss
}
