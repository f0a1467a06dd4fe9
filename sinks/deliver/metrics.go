package deliver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/queue"
)

// collector gives an engine's Stats as metrics, so that both tell the same.
type collector struct {
	e       *Engine
	counts  []count
	values  []value
	lanes   []laneValue
	slos    []sloCount
	budget  *prometheus.Desc // nil if nobody keeps limits
	latency *prometheus.HistogramVec
}

type count struct {
	desc *prometheus.Desc
	of   func(*Stats) uint64
}

type value struct {
	desc *prometheus.Desc
	of   func(*Stats) float64
}

type laneValue struct {
	desc *prometheus.Desc
	of   func(*LaneStats) float64
}

type sloCount struct {
	desc *prometheus.Desc
	of   func(*SLOStats) uint64
}

func newCollector(target string, e *Engine) *collector {
	labels := prometheus.Labels{"target": target}
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("walbridge_delivery_"+name, help, variable, labels)
	}
	dropped := func(reason string) *prometheus.Desc {
		return prometheus.NewDesc("walbridge_delivery_dead_letters_dropped_total", "Dead letters that were dropped by the bounds of delivery.dead_letters, by reason: data_loss.",
			nil, prometheus.Labels{"target": target, "reason": reason})
	}
	c := &collector{e: e}
	c.counts = []count{
		{desc("entries_read_total", "Entries read from the log."), func(s *Stats) uint64 { return s.Read }},
		{desc("entries_released_total", "Uses of entries that were dealt with."), func(s *Stats) uint64 { return s.Released }},
		{desc("records_delivered_total", "Records that the target accepted."), func(s *Stats) uint64 { return s.Delivered }},
		{desc("changes_delivered_total", "Changes folded into the records that the target accepted."), func(s *Stats) uint64 { return s.Folded }},
		{desc("requests_total", "Requests to the target: of one that speaks HTTP each one that was sent, of others each batch."), func(s *Stats) uint64 { return s.Requests }},
		{desc("records_retried_total", "Records put back to be tried again."), func(s *Stats) uint64 { return s.Retries }},
		{desc("jobs_total", "Bulk jobs of the target; each makes several requests."), func(s *Stats) uint64 { return s.Jobs }},
		{desc("throttles_total", "Requests that the target throttled."), func(s *Stats) uint64 { return s.Throttles }},
		{desc("records_parked_total", "Records put among the dead letters."), func(s *Stats) uint64 { return s.Parked }},
		{desc("dead_letters_resolved_total", "Dead letters that went with a newer state of their key."), func(s *Stats) uint64 { return s.Resolved }},
		{desc("dead_letters_replaced_total", "Dead letters that went with a newer refusal of their key."), func(s *Stats) uint64 { return s.Replaced }},
		{desc("dead_letters_discarded_total", "Dead letters that somebody discarded."), func(s *Stats) uint64 { return s.Discarded }},
		{dropped(LossFull), func(s *Stats) uint64 { return s.DroppedFull }},
		{dropped(LossOld), func(s *Stats) uint64 { return s.DroppedOld }},
		{desc("entries_deferred_total", "Entries of keys in back-off that were put aside, so that they do not hold the checkpoint."), func(s *Stats) uint64 { return s.Aside }},
		{desc("records_awaiting_parent_total", "Records held back since one that they refer to was not there."), func(s *Stats) uint64 { return s.Awaited }},
		{desc("records_filtered_total", "Records that the mapping did not want sent."), func(s *Stats) uint64 { return s.Filtered }},
		{desc("records_suppressed_total", "Records that were not sent, since the target has the same already; they count as filtered, too."), func(s *Stats) uint64 { return s.Suppressed }},
		{desc("states_collected_total", "States of rows that are gone at the target, which hold back nothing any more and were taken away."), func(s *Stats) uint64 { return s.Collected }},
		{desc("records_stale_total", "Records dropped because newer ones were dealt with."), func(s *Stats) uint64 { return s.Stale }},
		{desc("truncates_total", "Truncations of mapped tables, counted in each partition."), func(s *Stats) uint64 { return s.Truncates }},
		{desc("swept_records_total", "Records whose rows were looked for, since a truncate or a generation did not have them."), func(s *Stats) uint64 { return s.Swept }},
	}
	c.values = []value{
		{desc("dead_letters", "Dead letters that there are in the partitions of this process, as it last looked."), func(s *Stats) float64 { return float64(s.DeadLetters) }},
		{desc("deferred", "Entries that wait aside, of keys in back-off."), func(s *Stats) float64 { return float64(s.Deferred) }},
		{desc("deferred_age_seconds", "How long ago the first of those was put aside."), func(s *Stats) float64 {
			if s.DeferredSince.IsZero() {
				return 0
			}
			return max(0, time.Since(s.DeferredSince).Seconds())
		}},
		{desc("deferred_full", "1 if some partition has no room to put more aside: further keys in back-off hold the checkpoint."), func(s *Stats) float64 { return number(s.DeferredFull) }},
		{desc("waiting_for_parent", "Records that wait for one which they refer to."), func(s *Stats) float64 { return float64(s.Waiting) }},
		{desc("states", "Keys of which something is kept, as of the last time that all were looked at."), func(s *Stats) float64 { return float64(s.States) }},
		{desc("keys_pending", "Keys that wait to be sent."), func(s *Stats) float64 { return float64(s.Pending) }},
		{desc("keys_in_flight", "Keys being sent."), func(s *Stats) float64 { return float64(s.InFlight) }},
		{desc("paused_seconds", "How much longer the target is paused."), func(s *Stats) float64 { return max(0, time.Until(s.PausedUntil).Seconds()) }},
		{desc("circuit", "0 if requests go, 1 if the target is paused after a fault, 2 if one request probes it."), func(s *Stats) float64 { return float64(s.Condition.Circuit) }},
		{desc("owner", "1 if this process owns partitions of the target."), func(s *Stats) float64 { return number(s.Owner) }},
		{desc("partitions", "Partitions of the target that this process owns."), func(s *Stats) float64 { return float64(s.Partitions) }},
	}
	if e.o.Rate != nil {
		c.counts = append(c.counts, count{desc("rate_lowered_total", "How often throttling lowered the rate of the target's account."), func(s *Stats) uint64 { return uint64(s.Rate.Lowered) }})
		c.values = append(c.values, value{desc("request_rate", "Requests a second that the target's account allows now; 0 if any number."), func(s *Stats) float64 { return s.Rate.Rate }})
		c.budget = desc("budget_left", "Requests of the day that are left for walbridge; there only if they are known.")
	}
	c.lanes = []laneValue{
		{desc("entries_open", "Entries read and not released.", "lane"), func(l *LaneStats) float64 { return float64(l.Open) }},
		{desc("lag_seconds", "Age of the oldest entry read and not released, counted from its commit.", "lane"), func(l *LaneStats) float64 { return l.Age(time.Now()).Seconds() }},
		{desc("read_lsn", "LSN of the highest entry read.", "lane"), func(l *LaneStats) float64 { return float64(l.Read.LSN) }},
	}
	c.slos = sloCounts(labels)
	c.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "walbridge_delivery_latency_seconds", ConstLabels: labels,
		Help:    "Time from the commit of a record's oldest change to its acceptance by the target.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
	}, []string{"lane"})
	var byLane [laneCount]prometheus.Observer
	for i, lane := range cdc.Lanes() {
		byLane[i] = c.latency.WithLabelValues(lane)
	}
	e.stats.observe = func(lane queue.Lane, d time.Duration) { byLane[lane].Observe(d.Seconds()) }
	return c
}

// sloCounts are the counts of the mappings that have an objective.
func sloCounts(labels prometheus.Labels) []sloCount {
	slo := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("walbridge_slo_"+name, help, []string{"mapping"}, labels)
	}
	return []sloCount{
		{slo("met_total", "Accepted records whose newest change was committed no longer ago than the mapping's slo."), func(s *SLOStats) uint64 { return s.Met }},
		{slo("missed_total", "Accepted records whose newest change was committed longer ago than the mapping's slo."), func(s *SLOStats) uint64 { return s.Missed }},
	}
}

// number is 1 for true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe lists the metrics.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.counts {
		ch <- m.desc
	}
	for _, m := range c.values {
		ch <- m.desc
	}
	for _, m := range c.lanes {
		ch <- m.desc
	}
	for _, m := range c.slos {
		ch <- m.desc
	}
	if c.budget != nil {
		ch <- c.budget
	}
	c.latency.Describe(ch)
}

// Collect gives their values.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.e.Stats()
	for _, m := range c.counts {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.of(&s)))
	}
	for _, m := range c.values {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.of(&s))
	}
	for i := range s.Lanes {
		for _, m := range c.lanes {
			ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.of(&s.Lanes[i]), s.Lanes[i].Lane)
		}
	}
	for i := range s.SLO {
		for _, m := range c.slos {
			ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.of(&s.SLO[i])), s.SLO[i].Mapping)
		}
	}
	if c.budget != nil && s.Rate.Budget {
		ch <- prometheus.MustNewConstMetric(c.budget, prometheus.GaugeValue, float64(s.Rate.Left))
	}
	c.latency.Collect(ch)
}
