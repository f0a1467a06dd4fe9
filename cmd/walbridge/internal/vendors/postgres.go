package vendors

import (
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/postgres"
	"github.com/walbridge/walbridge/sinks/transport"
)

func openPostgres(cfg config.Target, _ transport.Vault) (Target, error) {
	return postgres.New(postgresOptions(cfg))
}

func postgresOptions(cfg config.Target) postgres.Options {
	return postgres.Options{URL: transport.Secret(cfg.URL.Reveal()), Schema: cfg.Postgres.Schema, Create: cfg.Postgres.Create, Position: cfg.Postgres.Position,
		Timeout: cfg.Timeout, MaxBatch: cfg.MaxBatch, MaxInFlight: cfg.MaxInFlight, IgnoreKeyCase: cfg.KeyCase == config.KeyCaseInsensitive, Addresses: cfg.Addresses}
}

// Expect tells a target what the records of its mappings have, where it wants to know: one that
// makes tables does.
func Expect(t Target, mappings []*mapping.Mapping) {
	if e, ok := sinks.As[interface {
		Expect(tables map[string]postgres.Table)
	}](t); ok {
		e.Expect(tablesOf(mappings))
	}
}

// Mend gives the statements that make what an object lacks for its mappings, where the target has
// such: held is what it said of the object, nil if there is none.
func Mend(cfg config.Target, object string, mappings []*mapping.Mapping, held *sinks.Schema) []string {
	if cfg.Type != config.TypePostgres {
		return nil
	}
	o := postgresOptions(cfg)
	o.Tables = tablesOf(slices.DeleteFunc(slices.Clone(mappings), func(m *mapping.Mapping) bool { return m.Target() != cfg.Name }))
	return postgres.Mend(o, object, held)
}

// tablesOf gives the columns that records have: of all mappings that lead to an object, those of
// each. A column that two of them fill with different types is a text.
func tablesOf(mappings []*mapping.Mapping) map[string]postgres.Table {
	tables := make(map[string]postgres.Table)
	for _, m := range mappings {
		t := tables[m.Object()]
		for _, o := range append(slices.Clone(m.Outputs()), m.Sets()...) {
			if o.Key && t.Key == "" {
				t.Key = o.Name
			}
			t.Columns = merge(t.Columns, postgres.Column{Name: o.Name, Type: columnType(&o)})
		}
		tables[m.Object()] = t
	}
	return tables
}

func merge(columns []postgres.Column, c postgres.Column) []postgres.Column {
	i := slices.IndexFunc(columns, func(k postgres.Column) bool { return k.Name == c.Name })
	switch {
	case i < 0:
		return append(columns, c)
	case columns[i].Type == c.Type:
	case numeric(columns[i].Type) && numeric(c.Type):
		columns[i].Type = "numeric"
	default:
		columns[i].Type = "text"
	}
	return columns
}

func numeric(t string) bool { return t == "numeric" || t == "bigint" }

// columnType is the type of a column that takes all that an output gives: the most general one of
// its kind, since a length or precision of the source may grow.
func columnType(o *mapping.Output) string {
	switch o.Type {
	case "boolean", "date", "timestamptz", "timestamp":
		return o.Type
	case "integer":
		return "bigint"
	case "decimal":
		return "numeric"
	case "json":
		return "jsonb"
	case "list":
		if base, ok := strings.CutSuffix(o.SQLType, "[]"); ok && slices.Contains(listed, base) {
			return o.SQLType
		}
		return "text[]"
	}
	return "text" // a text, the key of another record whatever that is, and what is always null
}

// listed are the types whose lists are made as they are at the source.
var listed = []string{"text", "bigint", "integer", "smallint", "numeric", "boolean", "date", "timestamp with time zone", "double precision"}
