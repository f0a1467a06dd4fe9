package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/queue"
)

// What several processes have is told as one queue, in one order, and no longer than asked.
func TestQueuesAreMerged(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	key := func(stage, lane string, id, until int) console.QueueKey {
		k := console.QueueKey{Stage: stage, Lane: lane, Key: json.RawMessage(fmt.Sprint(id))}
		if until > 0 {
			k.Until = at.Add(time.Duration(until) * time.Second)
		}
		return k
	}
	lanes := func(keys int, oldest time.Time) []console.QueueLane {
		return []console.QueueLane{{Lane: "urgent", Keys: keys, Entries: 2 * keys, Bytes: 10, Oldest: oldest}}
	}
	r := &PeekReport{}
	r.merge(&console.Queue{Owner: "a", Partitions: []int{1, 3}, Matching: 3, Aside: 1, Lanes: lanes(0, time.Time{}), Mappings: []console.QueueMapping{{Mapping: "m"}},
		Keys: []console.QueueKey{key(console.StageInFlight, "bulk", 1, 0), key(console.StageBackOff, "urgent", 2, 9), key(console.StageAside, "", 3, 1)}}, 4)
	r.merge(&console.Queue{Owner: "b", Matching: 3, Lanes: lanes(3, at), Partitions: []int{0, 2}, Holds: []string{"it begins"}, PausedUntil: at, Why: "503", Mappings: []console.QueueMapping{{Mapping: "m"}, {Mapping: "n"}},
		Keys: []console.QueueKey{key(console.StageInFlight, "urgent", 4, 0), key(console.StageReady, "normal", 5, 0), key(console.StageBackOff, "urgent", 6, 5)}}, 4)
	q := r.Queue
	var ids []string
	for _, k := range q.Keys {
		ids = append(ids, string(k.Key))
	}
	if fmt.Sprint(ids) != "[4 1 5 6]" || q.Matching != 6 || q.Aside != 1 || q.Owner != "a, b" || fmt.Sprint(q.Holds, q.Partitions) != "[it begins] [0 1 2 3]" || q.Why != "503" || len(q.Mappings) != 2 {
		t.Errorf("merged %+v with keys %v", q, ids)
	}
	if l := q.Lanes[0]; l.Keys != 3 || l.Entries != 6 || l.Bytes != 20 || !l.Oldest.Equal(at) {
		t.Errorf("merged lanes %+v", q.Lanes)
	}
}

// What holds partitions back is told once for all that it is the same for.
func TestHolds(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	got := holds([]deliver.HeldPart{{Partition: 0}, {Partition: 1, Until: at.Add(time.Second)}, {Partition: 2, Until: at}, {Partition: 3}, {Partition: 4, Until: at}, {Partition: 5, Leaving: true}})
	want := []string{"of partitions 0, 3 the log is read first as far as it was sent before",
		"of partitions 2, 4 requests of a process before may still be carried out, until 2026-03-04T05:06:07Z",
		"of partitions 1 requests of a process before may still be carried out, until 2026-03-04T05:06:08Z",
		"partitions 5 go to another worker, and only what is urgent is sent of them until then"}
	if !slices.Equal(got, want) {
		t.Errorf("held are %q, want %q", got, want)
	}
}

// Each stage has a word, and they are told in the order that the queue gives.
func TestEveryStageHasAName(t *testing.T) {
	last := -1
	for s := queue.InFlight; s <= queue.Aside; s++ {
		at := slices.Index(stageOrder, stageNames[s])
		if stageNames[s] == "" || at <= last {
			t.Errorf("stage %d is %q, at place %d behind %d", s, stageNames[s], at, last)
		}
		last = at
	}
}

// The workers that own something tell where they are.
func TestAddressesOfWorkers(t *testing.T) {
	cfg := &config.Config{Listen: "127.0.0.1:8642"}
	workers := []WorkerReport{{Name: "box-1 pid 7 since …", Address: "10.0.0.7:1", Partitions: []int{0}}, {Name: "box-2 pid 7 since …", Address: "0.0.0.0:2", Partitions: []int{1}},
		{Name: "box-3 pid 7 since …", Address: "10.0.0.9:3"}, {Name: "box-4 pid 7 since …", Partitions: []int{2}}}
	for _, tc := range []struct {
		q       PeekRequest
		workers []WorkerReport
		want    string
	}{
		{PeekRequest{}, nil, "[127.0.0.1:8642]"},
		{PeekRequest{}, workers, "[10.0.0.7:1 box-2:2]"},
		{PeekRequest{Addresses: []string{"a:1", "b:2"}}, workers, "[a:1 b:2]"},
		{PeekRequest{}, workers[2:], "[127.0.0.1:8642]"},
	} {
		if got := fmt.Sprint(peekAddresses(cfg, &tc.q, tc.workers)); got != tc.want {
			t.Errorf("asked are %s, want %s", got, tc.want)
		}
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{":8642": "127.0.0.1:8642", "0.0.0.0:8642": "127.0.0.1:8642", "[::]:8642": "127.0.0.1:8642",
		"10.0.0.7:8642": "10.0.0.7:8642", "box:1": "box:1", "[::1]:7": "[::1]:7", "odd": "odd"} {
		if got := reachable(listen); got != want {
			t.Errorf("%s is asked at %s, want %s", listen, got, want)
		}
	}
}
