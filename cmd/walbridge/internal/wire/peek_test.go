package wire

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
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
	r.merge(&console.Queue{Owner: "a", Matching: 3, Aside: 1, Lanes: lanes(0, time.Time{}), Mappings: []console.QueueMapping{{Mapping: "m"}},
		Keys: []console.QueueKey{key(console.StageInFlight, "bulk", 1, 0), key(console.StageBackOff, "urgent", 2, 9), key(console.StageAside, "", 3, 1)}}, 4)
	r.merge(&console.Queue{Owner: "b", Matching: 3, Lanes: lanes(3, at), Holds: "it begins", PausedUntil: at, Why: "503", Mappings: []console.QueueMapping{{Mapping: "m"}, {Mapping: "n"}},
		Keys: []console.QueueKey{key(console.StageInFlight, "urgent", 4, 0), key(console.StageReady, "normal", 5, 0), key(console.StageBackOff, "urgent", 6, 5)}}, 4)
	q := r.Queue
	var ids []string
	for _, k := range q.Keys {
		ids = append(ids, string(k.Key))
	}
	if fmt.Sprint(ids) != "[4 1 5 6]" || q.Matching != 6 || q.Aside != 1 || q.Owner != "a, b" || q.Holds != "it begins" || q.Why != "503" || len(q.Mappings) != 2 {
		t.Errorf("merged %+v with keys %v", q, ids)
	}
	if l := q.Lanes[0]; l.Keys != 3 || l.Entries != 6 || l.Bytes != 20 || !l.Oldest.Equal(at) {
		t.Errorf("merged lanes %+v", q.Lanes)
	}
}

// Each stage has a word, and a place in the order in which they are told.
func TestEveryStageHasAName(t *testing.T) {
	for s := queue.InFlight; s <= queue.Aside; s++ {
		if stageNames[s] == "" || stageOrder[s] != stageNames[s] {
			t.Errorf("stage %d is %q, at its place is %q", s, stageNames[s], stageOrder[s])
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
