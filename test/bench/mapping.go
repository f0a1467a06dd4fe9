package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

type mappingFlags struct {
	json  bool
	rows  int
	runs  int
	files int
}

func mappingCommand() *cobra.Command {
	var f mappingFlags
	c := &cobra.Command{
		Use:   "mapping",
		Short: "Rows mapped to records of ten fields, beside plain Go written by hand for the same; and the loading of mapping files",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runMapping(f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.rows, "rows", 300_000, "rows of a run")
	c.Flags().IntVar(&f.runs, "runs", 5, "runs of each, taken in turn; the best counts")
	c.Flags().IntVar(&f.files, "files", 100, "mapping files to load")
	return c
}

// dealsMapping has the ten fields.
const dealsMapping = `name: %s
from: public.deals
to: crm/Opportunity
key: {External_Id__c: id}
fields:
  Contact: first_name + ' ' + last_name
  Email: lower(email)
  Size: |
    amount > 100000 ? 'large' : amount > 10000 ? 'medium' : 'small'
  Total: amount * quantity
  Phone: phone ?? mobile ?? 'none'
  Commission: round(amount * rate / 100, 2)
  CloseDate: format_date(close_date, 'DD.MM.YYYY')
  Hot: active && stage in ['won', 'negotiation']
  Stage: |
    map(stage, {'won': 'Closed Won', 'lost': 'Closed Lost', 'negotiation': 'Negotiation'}, 'Open')
  Number: string(id)
`

func dealsCatalog() *mapping.MemoryCatalog {
	cols := []mapping.Column{{Name: "id", Type: "bigint", NotNull: true, Key: true}}
	for _, c := range [][2]string{
		{"first_name", "text"}, {"last_name", "text"}, {"email", "text"}, {"phone", "text"}, {"mobile", "text"}, {"stage", "deal_stage"},
		{"amount", "numeric(14,2)"}, {"quantity", "integer"}, {"rate", "numeric(5,2)"}, {"active", "boolean"}, {"close_date", "date"},
		{"account_id", "bigint"}, {"owner_id", "bigint"}, {"source", "text"}, {"note", "text"}, {"custom", "jsonb"}, {"created_at", "timestamp with time zone"},
		{"updated_at", "timestamp with time zone"}, {"version", "integer"},
	} {
		cols = append(cols, mapping.Column{Name: c[0], Type: c[1]})
	}
	return &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{{Schema: "public", Name: "deals"}: cols}}
}

// dealRows makes rows of twenty columns, with nulls among them.
func dealRows(n int) []cdc.Change {
	stages := []string{"won", "lost", "negotiation", "prospecting"}
	out := make([]cdc.Change, n)
	for i := range out {
		phone := fmt.Sprintf(`"+43 1 %d"`, i)
		if i%3 == 0 {
			phone = "null"
		}
		out[i] = cdc.Change{Op: cdc.OpUpdate, Table: cdc.Table{Schema: "public", Name: "deals"}, Key: fmt.Sprintf(`{"id":%d}`, i), After: fmt.Sprintf(
			`{"id":%d,"first_name":"Ada","last_name":"Lovelace %d","email":"Ada.%d@Example.COM","phone":%s,"mobile":null,"stage":"%s","amount":%d.%02d,"quantity":%d,"rate":%d.25,"active":%t,"close_date":"2026-%02d-%02d","account_id":%d,"owner_id":%d,"source":"web","note":"called twice, sends \"thanks\"","custom":{"tier":"gold","seats":12},"created_at":"2026-01-31T09:00:00.5+00:00","updated_at":"2026-02-28T17:30:00+00:00","version":%d}`,
			i, i, i, phone, stages[i%4], i*37%200_000, i%100, i%9+1, i%10, i%2 == 0, i%12+1, i%28+1, i%500, i%40, i%7)}
	}
	return out
}

func runMapping(f mappingFlags) error {
	took, files, err := loadFiles(f.files)
	if err != nil {
		return err
	}
	m := files[0]
	rows := dealRows(1000)
	for i := range rows {
		if err := sameRecord(m, &rows[i]); err != nil {
			return err
		}
	}
	best := map[string]time.Duration{}
	for range f.runs {
		for tool, do := range map[string]func(*cdc.Change) (sinks.Record, error){
			"plain_go":  dealByHand,
			"walbridge": func(ch *cdc.Change) (sinks.Record, error) { rec, _, err := m.Map(ch, sinks.Prior{}); return rec, err },
		} {
			began := time.Now()
			for i := range f.rows {
				if _, err := do(&rows[i%len(rows)]); err != nil {
					return err
				}
			}
			if d := time.Since(began); best[tool] == 0 || d < best[tool] {
				best[tool] = d
			}
		}
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(f.rows) / 1000 }
	ratio := float64(best["walbridge"]) / float64(best["plain_go"])
	if f.json {
		for tool, d := range best {
			r := Result{Bench: "mapping", Shape: "10fields", Tool: tool, Rows: int64(f.rows), Seconds: d.Seconds(), RowsPerS: float64(f.rows) / d.Seconds(), Ratio: float64(d) / float64(best["plain_go"])}
			if err := r.print(true); err != nil {
				return err
			}
		}
		return Result{Bench: "mapping", Shape: "load", Tool: "walbridge", Rows: int64(f.files), Seconds: took.Seconds(), RowsPerS: float64(f.files) / took.Seconds()}.print(true)
	}
	_, err = fmt.Printf("mapping a row of 20 columns to a record of 10 fields: plain Go %.2f µs, walbridge %.2f µs, ratio %.2f\nloading %d mapping files of ten fields: %s\n",
		each(best["plain_go"]), each(best["walbridge"]), ratio, f.files, took.Round(100*time.Microsecond))
	return err
}

// loadFiles parses and compiles so many files from disk.
func loadFiles(n int) (took time.Duration, _ []*mapping.Mapping, err error) {
	dir, remove, err := tempDir()
	if err != nil {
		return 0, nil, err
	}
	defer closing(&err, remove)
	for i := range n {
		name := fmt.Sprintf("m%04d", i)
		if err := writeFile(filepath.Join(dir, name+".yaml"), fmt.Sprintf(dealsMapping, name)); err != nil {
			return 0, nil, err
		}
	}
	began := time.Now()
	files, err := mapping.LoadGlob([]string{"*.yaml"}, dir)
	if err != nil {
		return 0, nil, err
	}
	all, err := mapping.CompileAll(files, dealsCatalog())
	return time.Since(began), all, err
}

// sameRecord tells whether both ways make the same record.
func sameRecord(m *mapping.Mapping, ch *cdc.Change) error {
	ours, send, err := m.Map(ch, sinks.Prior{})
	if err != nil || !send {
		return errors.Join(errors.New("walbridge made no record"), err)
	}
	theirs, err := dealByHand(ch)
	if err != nil {
		return err
	}
	ours.Mapping, theirs.Mapping = "", ""
	a, err := json.Marshal(ours)
	if err != nil {
		return err
	}
	b, err := json.Marshal(theirs)
	if err != nil {
		return err
	}
	if !slices.Equal(a, b) {
		return fmt.Errorf("the two ways disagree:\n%s\n%s", a, b)
	}
	return nil
}
