package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// What status tells of several workers, in each situation that there is.
func TestWriteWorkers(t *testing.T) {
	now := time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC)
	const closed = "delivery to crm: status 503"
	worker := func(name string, partitions ...int) wire.WorkerReport {
		return wire.WorkerReport{Name: name + " pid 7 since 2026-11-29T05:00:00.000Z", Partitions: partitions}
	}
	console := worker("app-1", 0, 1, 2)
	console.Address = "10.0.0.7:8642"
	paused := worker("app-2", 3, 5)
	paused.State, paused.Until, paused.Why = "paused", now.Add(time.Minute), closed
	silent := worker("app-3", 4)
	silent.Silent = true
	older := worker("app-4")
	older.Lacks = []string{"deals-to-crm", "won-to-crm"}
	target := func(name string, unowned []int, workers ...wire.WorkerReport) wire.TargetReport {
		return wire.TargetReport{Name: name, Owner: worker("app-1").Name, Workers: workers, Unowned: unowned, Partitions: 8, State: "running"}
	}
	quiet := worker("app-0", 6)
	quiet.QuietSeconds = 4.2
	trouble := target("trouble", []int{7}, quiet, console, paused, silent, older, worker("app-5"))
	trouble.State, trouble.Until, trouble.Why = paused.State, paused.Until, closed
	account := target("account", nil, worker("app-1", 0, 1, 2, 3), worker("app-2", 4, 5, 6, 7))
	account.State, account.Until, account.Why = "paused", now.Add(time.Hour), "the account asked for a wait"
	many := target("many", nil, worker("app-1", 0), worker("app-2", 1), worker("app-3"))
	many.Partitions = 2
	r := wire.Report{Name: "demo", Now: now, Targets: []wire.TargetReport{
		trouble, account, many,
		target("one", nil, worker("app-1", 0, 1, 2, 3, 4, 5, 6, 7)),
		target("begins", []int{0, 1, 2, 3, 4, 5, 6, 7}, worker("app-1")),
		target("nobody", []int{0, 1, 2, 3, 4, 5, 6, 7}),
	}}
	var b bytes.Buffer
	if err := writeReport(&b, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "workers.golden", b.Bytes())
}
