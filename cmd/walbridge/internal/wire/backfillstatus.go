package wire

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
)

// shown tells whether a backfill is of interest: under way, or failed.
func shown(b *cdc.BackfillStatus) bool {
	return b.Progress.State == cdc.BackfillFailed || !b.Progress.State.Final()
}

// shownBackfills gives them in the form of the console.
func shownBackfills(list []cdc.BackfillStatus) []console.Backfill {
	out := []console.Backfill{}
	for i := range list {
		b := &list[i]
		if !shown(b) {
			continue
		}
		p := &b.Progress
		out = append(out, console.Backfill{ID: b.ID, Table: b.Table.String(), State: string(p.State), Rows: p.Rows, Estimate: p.Estimate,
			RowsPerSecond: p.RowsPerSecond, LeftSeconds: b.Left().Seconds(), Reason: b.Reason, Note: p.Note})
	}
	return out
}

// backfillCollector gives the metrics of backfills: their labels come and go.
type backfillCollector struct{ list func() []cdc.BackfillStatus }

var (
	backfillLabels = []string{"id", "table"}
	backfillRows   = prometheus.NewDesc("walbridge_backfill_rows", "Rows that a backfill under way has put into the log.", backfillLabels, nil)
	backfillAbout  = prometheus.NewDesc("walbridge_backfill_estimated_rows", "About how many rows a backfill has to read; 0 if that is not known.", backfillLabels, nil)
	backfillRate   = prometheus.NewDesc("walbridge_backfill_rows_per_second", "Rows a second that a backfill reads of late.", backfillLabels, nil)
	backfillStates = prometheus.NewDesc("walbridge_backfills", "Backfills by state, of those that are remembered.", []string{"state"}, nil)
)

// Describe implements prometheus.Collector.
func (c *backfillCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- backfillRows
	ch <- backfillAbout
	ch <- backfillRate
	ch <- backfillStates
}

// Collect implements prometheus.Collector.
func (c *backfillCollector) Collect(ch chan<- prometheus.Metric) {
	states := map[cdc.BackfillState]int{cdc.BackfillWaiting: 0, cdc.BackfillRunning: 0, cdc.BackfillPaused: 0, cdc.BackfillFailed: 0}
	list := c.list()
	for i := range list {
		b := &list[i]
		states[b.Progress.State]++
		if !shown(b) {
			continue
		}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, b.ID, b.Table.String())
		}
		gauge(backfillRows, float64(b.Progress.Rows))
		gauge(backfillAbout, float64(b.Progress.Estimate))
		gauge(backfillRate, b.Progress.RowsPerSecond)
	}
	for s, n := range states {
		ch <- prometheus.MustNewConstMetric(backfillStates, prometheus.GaugeValue, float64(n), string(s))
	}
}
