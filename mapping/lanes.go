package mapping

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/expr"
)

// laneRules say in which lane a row travels: the first rule that holds decides.
type laneRules struct {
	Rules []laneRule `json:"rules,omitempty"`
	// Else is the lane where none holds.
	Else string `json:"else"`
	// columns are those that the rules read.
	columns []Column
}

// firstUserOID is the lowest OID that a type of the user's own can have (FirstNormalObjectId
// in PostgreSQL's access/transam.h).
const firstUserOID = 16384

type laneRule struct {
	When string `json:"when"`
	Lane string `json:"lane"`
}

// laneRules checks the rules of a file; nil if it has none.
func (c *compiler) laneRules(columns []Column) *laneRules {
	if len(c.f.LaneRules) == 0 {
		return nil
	}
	out := &laneRules{Else: c.f.Lane}
	scope := expr.NewScope(exprColumns(columns), nil).Lasting()
	for _, r := range c.f.LaneRules {
		p, err := scope.Compile(r.When.Source, expr.Bool)
		if err != nil {
			c.fail(r.When, err)
			continue
		}
		if p.IsConstant() {
			c.doc.Fail(r.When.node, "the condition is the same for every row:", r.When.Source, "name a column, or write the lane alone")
		}
		out.Rules = append(out.Rules, laneRule{When: r.When.Source, Lane: r.Lane})
		for _, slot := range p.Inputs() {
			name := scope.Used()[slot]
			col := columns[slices.IndexFunc(columns, func(col Column) bool { return col.Name == name })]
			if col.TypeOID >= firstUserOID && expr.TypeOf(col.Type) != expr.Text {
				c.doc.Fail(r.When.node, "a lane rule may not read a column of a domain or an array of a type of your own:", name,
					"what such a column has follows from the catalog, which may be another when a row is sent again: take a column of a type of PostgreSQL's")
			}
			if !slices.ContainsFunc(out.columns, func(have Column) bool { return have.Name == name }) {
				out.columns = append(out.columns, col)
			}
		}
	}
	return out
}

// tableRules is the text that the log keeps of the rules of a table: all that decides
// where a row goes, so that a row that is sent again goes where it went the first time.
type tableRules struct {
	// Version is that of this form and of what expressions mean; rulesVersion.
	Version int `json:"version"`
	// Columns are the types of the columns as of then, by name.
	Columns map[string]string `json:"columns"`
	// Mappings has the rules of each mapping of the table: the most urgent lane wins.
	Mappings []laneRules `json:"mappings"`
}

// rulesVersion changes when a rule may give another lane than before for the same row.
// Texts of older versions must still be followed.
const rulesVersion = 1

// LaneRules gives the rules by which rows of a table travel, for the tables of mappings
// where they are not all in one lane.
func LaneRules(mappings []*Mapping) (map[cdc.Table]string, error) {
	all := map[cdc.Table]*tableRules{}
	for _, m := range mappings {
		if m.rules != nil {
			all[m.table] = &tableRules{Version: rulesVersion, Columns: map[string]string{}}
		}
	}
	for _, m := range mappings {
		t := all[m.table]
		if t == nil {
			continue
		}
		rules := laneRules{Else: m.lane}
		if m.rules != nil {
			rules = *m.rules
			for _, col := range m.rules.columns {
				t.Columns[col.Name] = col.Type
			}
		}
		t.Mappings = append(t.Mappings, rules)
	}
	out := map[cdc.Table]string{}
	for table, t := range all {
		text, err := json.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("encode lane rules of %s: %w", table, err)
		}
		out[table] = string(text)
	}
	return out, nil
}

// DefaultLane is the lane of rows for which no rule of the mapping holds.
func (m *Mapping) DefaultLane() string { return m.lane }

// CompileLaneRules makes of a text of LaneRules what gives a row's lane. A rule does not
// hold where a column of it is absent, or where it has no value. What it gives is safe for
// concurrent use.
func CompileLaneRules(text string) (func(row string) string, error) {
	var t tableRules
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("read lane rules: %w", err)
	}
	if t.Version != rulesVersion {
		return nil, fmt.Errorf("read lane rules: they are of version %d, and this walbridge knows %d", t.Version, rulesVersion)
	}
	var columns []expr.Column
	for name, typ := range t.Columns {
		columns = append(columns, expr.Column{Name: name, Type: typ})
	}
	scope := expr.NewScope(columns, nil).Lasting()
	l := &laneFinder{rank: map[string]int{}}
	for i, lane := range cdc.Lanes() {
		l.rank[lane] = i
	}
	for _, m := range t.Mappings {
		rules := foundRules{otherwise: m.Else}
		for _, r := range m.Rules {
			p, err := scope.Compile(r.When, expr.Bool)
			if err != nil {
				return nil, fmt.Errorf("read lane rule %q: %w", r.When, err)
			}
			rules.when, rules.lane = append(rules.when, p), append(rules.lane, r.Lane)
		}
		l.mappings = append(l.mappings, rules)
	}
	slots := map[string]int{}
	for i, name := range scope.Used() {
		slots[name] = i
	}
	l.rows = &sync.Pool{New: func() any {
		r := &laneRow{cols: scope.NewRow()}
		r.take = func(name string, v cdc.Value) bool {
			if i, ok := slots[name]; ok {
				r.cols.Values[i] = v
			}
			return true
		}
		return r
	}}
	return l.lane, nil
}

// laneFinder gives the lanes of a table's rows.
type laneFinder struct {
	mappings []foundRules
	rank     map[string]int
	rows     *sync.Pool // of *laneRow
}

type foundRules struct {
	when      []*expr.Program
	lane      []string // by when
	otherwise string
}

type laneRow struct {
	cols *expr.Row
	take func(string, cdc.Value) bool
}

func (l *laneFinder) lane(row string) string {
	r, ok := l.rows.Get().(*laneRow)
	if !ok { // the pool holds nothing else
		return ""
	}
	defer func() {
		r.cols.Reset()
		l.rows.Put(r)
	}()
	if err := cdc.EachColumn(row, r.take); err != nil {
		r.cols.Reset() // the capture makes nothing of the kind; then no rule holds
	}
	best := ""
	for i := range l.mappings {
		if lane := l.mappings[i].find(r.cols); best == "" || l.rank[lane] < l.rank[best] {
			best = lane
		}
	}
	return best
}

func (f *foundRules) find(row *expr.Row) string {
	for i, p := range f.when {
		if slices.ContainsFunc(p.Inputs(), func(slot int) bool { return row.Values[slot].IsAbsent() }) {
			continue
		}
		if holds, err := p.IsTrue(row); err == nil && holds {
			return f.lane[i]
		}
	}
	return f.otherwise
}
