package wire

import (
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/state"
)

// A worker that misses one meeting is not told of, one that misses several is; one that owns
// something and is not there any more is silent.
func TestQuietWorkers(t *testing.T) {
	m := state.Meeting{Owners: []string{"usual", "quiet", "gone", ""},
		Workers: []state.Worker{{Name: "usual", Quiet: 1500 * time.Millisecond}, {Name: "quiet", Quiet: 4500 * time.Millisecond}}}
	list, unowned, partitions := workersOf(&m)
	if len(list) != 3 || list[0].QuietSeconds != 0 || list[1].QuietSeconds != 4.5 || list[1].Silent || !list[2].Silent || list[2].Name != "gone" {
		t.Errorf("the workers are %+v", list)
	}
	if partitions != 4 || len(unowned) != 1 || unowned[0] != 3 {
		t.Errorf("of %d partitions nobody owns %v", partitions, unowned)
	}
}
