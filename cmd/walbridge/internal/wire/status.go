package wire

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
)

// rates turns counters into changes a second, over at least rateWindow.
type rates struct {
	mu   sync.Mutex // covers last
	last map[string]sample
}

type sample struct {
	at    time.Time
	count uint64
	rate  float64
}

const rateWindow = time.Second

// of gives the rate of a counter by name. Several readers share it: the first
// that comes after the window moves it on.
func (r *rates) of(name string, count uint64, now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string]sample{}
	}
	s, ok := r.last[name]
	if d := now.Sub(s.at); !ok || d >= rateWindow {
		n := sample{at: now, count: count}
		if ok && count >= s.count {
			n.rate = float64(count-s.count) / d.Seconds()
		}
		r.last[name] = n
		return n.rate
	}
	return s.rate
}

// stallAfter is after how long without a word from the server the capture is not
// ready. The server sends a keepalive after half of wal_sender_timeout, and the
// heartbeat comes sooner.
const stallAfter = time.Minute

// Ready tells why the process makes no progress; nil if it does.
func (b *Bridge) Ready() error {
	var errs []error
	if b.capture != nil {
		s := b.capture.Stats()
		switch {
		case s.State == pgsource.Standby: // it does what it should: it waits
		case s.State != pgsource.Streaming:
			errs = append(errs, errors.New("the capture has no replication connection"))
		case time.Since(s.Progress) > stallAfter:
			errs = append(errs, fmt.Errorf("the capture has heard nothing for %s", time.Since(s.Progress).Round(time.Second)))
		}
		errs = append(errs, b.blockedReady())
	}
	for _, t := range b.targets {
		if err := t.ready(); err != nil {
			errs = append(errs, fmt.Errorf("target %s: %w", t.name, err))
		}
	}
	return errors.Join(errs...)
}

// Status is what the console shows.
func (b *Bridge) Status() console.Status {
	now := time.Now()
	s := console.Status{Name: b.cfg.Name, Version: b.options.Version, Started: b.started, Now: now}
	if b.capture != nil {
		c := b.capture.Stats()
		s.Capture = &console.Capture{
			State: c.State.String(), Slot: b.cfg.Postgres.Slot, Publication: b.cfg.Postgres.Publication,
			Rows: c.Rows, Transactions: c.Transactions, Bytes: c.Bytes, Entries: b.log.Stats().Entries,
			RowsPerSecond: b.rates.of("capture", c.Rows, now),
			Appended:      c.Appended.String(), Confirmed: c.Confirmed.String(), ServerEnd: c.ServerEnd.String(),
			Durability: b.log.Durability(), Progress: c.Progress, CompleteUntil: c.CompleteUntil,
			Retained: c.Retained, Budget: b.cfg.Postgres.WALBudget,
		}
		s.Capture.Backfills = shownBackfills(b.capture.Backfills())
		for _, n := range c.Losses {
			s.Capture.Losses += n
		}
		if c.ServerEnd > c.Appended && !c.CompleteUntil.IsZero() {
			s.Capture.LagMS = max(0, float64(now.Sub(c.CompleteUntil))/float64(time.Millisecond))
		}
		if c.ServerEnd > c.Confirmed {
			s.Capture.LagBytes = uint64(c.ServerEnd - c.Confirmed)
		}
	}
	if b.trimmer != nil {
		s.Log = b.logStatus()
	}
	for _, t := range b.targets {
		s.Targets = append(s.Targets, t.status(&b.rates, now))
	}
	return s
}

// registerCapture makes metrics of what the capture and the log count.
func (b *Bridge) registerCapture() {
	counter := func(name, help string, f func() float64) {
		b.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "walbridge", Subsystem: "capture", Name: name, Help: help}, f))
	}
	gauge := func(name, help string, f func() float64) {
		b.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "walbridge", Subsystem: "capture", Name: name, Help: help}, f))
	}
	c, l := b.capture, b.log
	counter("rows_total", "Row changes passed to the log.", func() float64 { return float64(c.Stats().Rows) })
	counter("filtered_rows_total", "Row changes of tables that no mapping names.", func() float64 { return float64(c.Stats().Filtered) })
	counter("transactions_total", "Transactions read.", func() float64 { return float64(c.Stats().Transactions) })
	counter("received_bytes_total", "Bytes of WAL messages received.", func() float64 { return float64(c.Stats().Bytes) })
	counter("log_entries_total", "Entries appended to the log.", func() float64 { return float64(l.Stats().Entries) })
	counter("log_held_total", "Entries sent again that the log held already.", func() float64 { return float64(l.Stats().Held) })
	counter("log_blocked_seconds_total", "How long the log took nothing of what it was given, so that the capture waited.", func() float64 {
		_, _, total := l.Blocked()
		return total.Seconds()
	})
	counter("log_retries_total", "Batches that the log refused or did not answer.", func() float64 { return float64(l.Stats().Retries) })
	gauge("server_end_lsn", "End of the server's WAL as it last said.", func() float64 { return float64(c.Stats().ServerEnd) })
	gauge("appended_lsn", "LSN up to which the log holds everything.", func() float64 { return float64(c.Stats().Appended) })
	gauge("confirmed_lsn", "LSN up to which the server may forget.", func() float64 { return float64(c.Stats().Confirmed) })
	gauge("lag_bytes", "Bytes of WAL that the log does not hold yet.", func() float64 {
		s := c.Stats()
		return max(0, float64(s.ServerEnd)-float64(s.Appended))
	})
	gauge("complete_until_timestamp_seconds", "Up to when, by the source's clock, the log holds all that was committed.", func() float64 {
		if at := c.Stats().CompleteUntil; !at.IsZero() {
			return float64(at.UnixMicro()) / 1e6
		}
		return 0
	})
	counter("backfilled_rows_total", "Rows that backfills put into the log.", func() float64 { return float64(c.Stats().Backfilled) })
	b.registry.MustRegister(&backfillCollector{list: c.Backfills})
	gauge("retained_wal_bytes", "Bytes of WAL that the slot keeps on the server.", func() float64 { return float64(c.Stats().Retained) })
	gauge("wal_budget_bytes", "How many bytes of WAL the slot may keep, as configured.", func() float64 { return float64(b.cfg.Postgres.WALBudget) })
	gauge("state", "0 connecting, 1 standby, 2 streaming.", func() float64 { return float64(c.Stats().State) })
	counter("unread_values_total", "Values of composite types that could not be read, which are named in the field unread of their entries.", func() float64 { return float64(c.Stats().Misfits) })
	counter("keyless_rows_total", "Rows of tables that lost their key, which are not in the log.", func() float64 { return float64(c.Stats().Keyless) })
	for _, reason := range pgsource.Losses() {
		b.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "walbridge", Name: "data_loss_total",
			Help: "Losses of changes, by reason.", ConstLabels: prometheus.Labels{"reason": reason}},
			func() float64 { return float64(c.Stats().Losses[reason]) }))
	}
}
