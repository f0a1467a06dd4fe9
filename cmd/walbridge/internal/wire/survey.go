package wire

import (
	"context"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc/pgoutput"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/initial"
	"github.com/walbridge/walbridge/mapping"
)

// Survey is a look at a database of which there is no configuration yet. It changes
// nothing there.
type Survey struct {
	// Tables are all tables that a user made.
	Tables []initial.Table
	source *pgsource.Source
}

// NewSurvey looks at the tables of a database.
func NewSurvey(ctx context.Context, url string) (*Survey, error) {
	src, err := pgsource.New(pgsource.Options{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	list, err := src.Describe(ctx)
	if err != nil {
		return nil, err
	}
	s := &Survey{source: src}
	for i := range list {
		s.Tables = append(s.Tables, initialTable(&list[i]))
	}
	return s, nil
}

// Measure looks how large the values of a table's columns are. A table that cannot be
// read is left as it is: it is for the comments of a file.
func (s *Survey) Measure(ctx context.Context, t *initial.Table) error {
	sizes, err := s.source.Measure(ctx, t.Name, t.LargeColumns())
	if err != nil {
		return err
	}
	for i := range t.Columns {
		t.Columns[i].Most = sizes[t.Columns[i].Name]
	}
	return nil
}

func initialTable(d *pgsource.Description) initial.Table {
	t := initial.Table{Name: d.Table, Rows: d.Rows, Root: d.Root}
	for _, detail := range d.Details {
		c := initial.Column{Column: mapping.Column{Name: detail.Name, Type: detail.Type}, Generated: detail.Generated, Large: detail.Large, Comment: detail.Comment}
		if i := slices.IndexFunc(d.Columns, func(c pgsource.Column) bool { return c.Name == detail.Name }); i >= 0 {
			sent := d.Columns[i]
			c.TypeOID, c.NotNull, c.Key, c.Labels = sent.TypeOID, sent.NotNull, sent.Key && d.Keyed(), sent.Labels
		}
		t.Columns = append(t.Columns, c)
	}
	t.Trouble, t.Mend = trouble(d, &t)
	return t
}

// trouble says what keeps a table from being captured, with a whole statement where there
// is one.
func trouble(d *pgsource.Description, t *initial.Table) (what, mend string) {
	var columns []mapping.Column
	for _, c := range t.Columns {
		if !c.Generated {
			columns = append(columns, c.Column)
		}
	}
	switch {
	case d.Wrong == nil:
		return "", ""
	case d.Logged && !d.Keyed() && d.UniqueIndex != "":
		return d.Wrong.What, "run ALTER TABLE " + d.Table.SQL() + " REPLICA IDENTITY USING INDEX " + pgx.Identifier{d.UniqueIndex}.Sanitize() + ";"
	case d.Logged && !d.Keyed() && d.Identity != pgoutput.IdentityNothing:
		return d.Wrong.What, mapping.IdentityHint(d.Table, columns)
	}
	return d.Wrong.What, d.Wrong.Hint
}
