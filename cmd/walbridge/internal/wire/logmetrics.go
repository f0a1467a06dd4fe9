package wire

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
)

// logCollector gives as metrics what the trimming last saw of the log, so that a
// scrape asks Redis nothing.
type logCollector struct {
	trimmer *redislog.Trimmer
	targets []string

	entries, bytes, trimmed, oldest, over, unread, detached, memory, maxMemory *prometheus.Desc
}

func newLogCollector(t *redislog.Trimmer, targets []string) *logCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("walbridge_log_"+name, help, labels, nil)
	}
	return &logCollector{
		trimmer: t, targets: targets,
		entries:   desc("entries", "Entries in the log.", "lane"),
		bytes:     desc("bytes", "Memory of the log's streams.", "lane"),
		trimmed:   desc("trimmed_entries_total", "Entries removed from the log."),
		oldest:    desc("oldest_entry_age_seconds", "Age of the oldest entry of the log, from its commit; 0 without any."),
		over:      desc("over_bytes", "Bytes above the bound of the log that are kept because somebody has not read them."),
		unread:    desc("unread_bytes", "About how many bytes of the log a reader has not read.", "reader"),
		detached:  desc("target_detached", "1 if the target does not hold the log any more.", "target"),
		memory:    desc("redis_memory_bytes", "Memory of the Redis server that counts against its limit; of a cluster, of the fullest."),
		maxMemory: desc("redis_max_memory_bytes", "Limit of that memory; 0 without one."),
	}
}

// Describe lists the metrics.
func (c *logCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.entries, c.bytes, c.trimmed, c.oldest, c.over, c.unread, c.detached, c.memory, c.maxMemory} {
		ch <- d
	}
}

// Collect gives their values.
func (c *logCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.trimmer.Stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ch <- prometheus.MustNewConstMetric(c.trimmed, prometheus.CounterValue, float64(st.Trimmed))
	s := st.Survey
	if s == nil || !s.Memory.Known { // an embedded server does not tell
		return
	}
	entries, bytes := map[string]int64{}, map[string]int64{}
	for i := range s.Streams {
		entries[s.Streams[i].Stream.Lane] += s.Streams[i].Entries
		bytes[s.Streams[i].Stream.Lane] += s.Streams[i].Bytes
	}
	for _, lane := range cdc.Lanes() {
		gauge(c.entries, float64(entries[lane]), lane)
		gauge(c.bytes, float64(bytes[lane]), lane)
	}
	age := 0.0
	if at := s.Oldest(); !at.IsZero() {
		age = max(0, time.Since(at).Seconds())
	}
	gauge(c.oldest, age)
	gauge(c.over, float64(st.Over))
	gauge(c.memory, float64(s.Memory.Used))
	gauge(c.maxMemory, float64(s.Memory.Max))
	for _, r := range s.Readers(c.targets) {
		gauge(c.unread, float64(s.Unread(r)), r)
	}
	for _, t := range c.targets {
		is := 0.0
		if _, ok := s.Detached[t]; ok {
			is = 1
		}
		gauge(c.detached, is, t)
	}
}
