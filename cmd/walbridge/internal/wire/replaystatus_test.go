package wire

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// How far replays are is in the metrics, of the targets of this process; of those that have
// ended only how many there are.
func TestReplayMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now()
		of := func(id, target string, state cdc.ReplayState, left int, p cdc.ReplayProgress) cdc.ReplayStatus {
			p.Updated = at.Add(10 * time.Second)
			return cdc.ReplayStatus{Replay: cdc.Replay{ID: id, Target: target, Changes: 400, Created: at}, State: state, Progress: p, Partitions: 8, Left: left}
		}
		var fails error
		var said strings.Builder
		w := &replayWatch{targets: []string{"crm"}, logger: slog.New(slog.NewTextHandler(&said, nil)), list: func(context.Context) ([]cdc.ReplayStatus, error) {
			return []cdc.ReplayStatus{
				of("a", "crm", cdc.ReplayRunning, 6, cdc.ReplayProgress{Changes: 100, Same: 60, Older: 30, Queued: 10, Source: 2}),
				of("b", "crm", cdc.ReplayStopped, 8, cdc.ReplayProgress{}),
				of("c", "crm", cdc.ReplayDone, 0, cdc.ReplayProgress{Changes: 400}),
				of("d", "erp", cdc.ReplayRunning, 8, cdc.ReplayProgress{}),
			}, fails
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.run(ctx) }()
		synctest.Wait()
		want := map[string]float64{
			"walbridge_replay_changes a crm": 100, "walbridge_replay_expected_changes a crm": 400, "walbridge_replay_done_ratio a crm": .25,
			"walbridge_replay_remaining_seconds a crm": 30, "walbridge_replay_same_records a crm": 60, "walbridge_replay_older_changes a crm": 30,
			"walbridge_replay_queued_records a crm": 10, "walbridge_replay_source_records a crm": 2, "walbridge_replay_partitions_left a crm": 6, "walbridge_replay_running a crm": 1,
			"walbridge_replay_changes b crm": 0, "walbridge_replay_expected_changes b crm": 400, "walbridge_replay_done_ratio b crm": 0,
			"walbridge_replay_remaining_seconds b crm": 0, "walbridge_replay_same_records b crm": 0, "walbridge_replay_older_changes b crm": 0,
			"walbridge_replay_queued_records b crm": 0, "walbridge_replay_source_records b crm": 0, "walbridge_replay_partitions_left b crm": 8, "walbridge_replay_running b crm": 0,
			"walbridge_replays running crm": 1, "walbridge_replays stopped crm": 1, "walbridge_replays done crm": 1, "walbridge_replays cancelled crm": 0,
		}
		if got := gather(t, w); !maps.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
		// What cannot be read is told once, and what was known stays.
		fails = errors.New("redis is away")
		time.Sleep(5 * replayWatchEvery)
		if n := strings.Count(said.String(), "redis is away"); n != 1 || !maps.Equal(gather(t, w), want) {
			t.Errorf("told %d times: %s", n, said.String())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
