package demo

import (
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/demo/show"
)

// introduce says what runs and where to look.
func (d *demo) introduce(cfg *config.Config) error {
	lines := append([]string{"", "walbridge demo: a sales team's database, bridged to three targets", ""}, d.stage.lines...)
	if a := d.bridge.ConsoleAddr(); a != "" {
		lines = append(lines, "  console      http://"+a+"/  (metrics at /metrics)")
	}
	lines = append(lines, "  mapping      "+cfg.Dir+"/mappings", "  log          "+d.logFile.Name(), "")
	if d.options.Duration > 0 {
		lines = append(lines, "It runs for "+d.options.Duration.String()+" and then compares source and targets.", "")
	} else {
		lines = append(lines, "It runs until Ctrl-C and then compares source and targets.", "")
	}
	return d.say("%s\n", strings.Join(lines, "\n"))
}

// snapshot is what the live table shows.
func (d *demo) snapshot() show.Snapshot {
	st := d.bridge.Status()
	s := show.Snapshot{Elapsed: time.Since(d.started), SlotLag: -1}
	if c := st.Capture; c != nil {
		s.SourceRowsPerSecond, s.SourceRows = c.RowsPerSecond, int64(c.Rows)
		s.SlotLag, s.LogEntries = int64(c.LagBytes), int64(c.Entries)
	}
	for _, k := range d.life.Totals().Kinds {
		s.Life = append(s.Life, show.Count{Name: k.Kind, N: k.N})
	}
	for _, t := range st.Targets {
		first := true
		for _, l := range t.Lanes {
			if l.Changes == 0 && l.Lag == 0 && l.Name != cdc.LaneNormal {
				continue // a lane that nothing has come through
			}
			row := show.Row{
				Target: t.Name, Lane: l.Name, ChangesPerSecond: l.ChangesPerSecond, RecordsPerSecond: l.RecordsPerSecond,
				LagEntries: int64(l.Lag), LagTime: l.Age, Changes: int64(l.Changes), Records: int64(l.Records),
				P50: l.P50, P95: l.P95, P99: l.P99,
			}
			if first { // requests are the target's, not a lane's
				first = false
				row.Requests, row.Retries, row.Parked = int64(t.Requests), int64(t.Retries), int64(t.Parked)
			}
			s.Rows = append(s.Rows, row)
		}
	}
	return s
}

// summary prints the table a last time, as totals.
func (d *demo) summary() error {
	s := d.snapshot()
	return d.say("%s\n", show.Render(s, summaryWidth))
}

const summaryWidth = 80
