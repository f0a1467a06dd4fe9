package mapping

import (
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// Column is what the source's catalog says of a column.
type Column struct {
	Name string
	// Type is what format_type gives, such as numeric(12,2); of a domain, its
	// base type.
	Type    string
	TypeOID uint32
	NotNull bool
	// Key tells that the column is part of the replica identity.
	Key bool
	// Labels are those of an enum; nil for any other type.
	Labels []string
}

// Catalog knows the tables of the source. It may also have Tables, Other and Targets,
// which make errors more helpful and find unknown targets.
type Catalog interface {
	// Columns gives the columns of a table in their order; false if there is no
	// such table.
	Columns(t cdc.Table) ([]Column, bool)
}

// tableLister is the ability to name all tables, for hints.
type tableLister interface{ Tables() []cdc.Table }

// otherKnower is the ability to tell what it is that has a name and is no table; empty for
// nothing.
type otherKnower interface{ Other(t cdc.Table) string }

// targetLister is the ability to name the configured targets.
type targetLister interface{ Targets() []string }

// MemoryCatalog is a Catalog that is filled by hand, for tests and for work
// without a database.
type MemoryCatalog struct {
	// TableColumns has the columns of each table.
	TableColumns map[cdc.Table][]Column
	// Others are what stands beside tables and cannot be captured, with what each is, such
	// as "a view". They are not saved.
	Others map[cdc.Table]string
	// TargetNames are the configured targets; nil if they are not known.
	TargetNames []string
	// Schemas has what targets said of their objects, by the names of both.
	Schemas map[string]map[string]*sinks.Schema
}

// Columns gives the columns of a table.
func (c *MemoryCatalog) Columns(t cdc.Table) ([]Column, bool) {
	cols, ok := c.TableColumns[t]
	return cols, ok
}

// Other tells what a thing is that is no table.
func (c *MemoryCatalog) Other(t cdc.Table) string { return c.Others[t] }

// Tables gives all tables by name.
func (c *MemoryCatalog) Tables() []cdc.Table {
	tables := make([]cdc.Table, 0, len(c.TableColumns))
	for t := range c.TableColumns {
		tables = append(tables, t)
	}
	slices.SortFunc(tables, func(a, b cdc.Table) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	return tables
}

// Targets gives the configured targets.
func (c *MemoryCatalog) Targets() []string { return c.TargetNames }
