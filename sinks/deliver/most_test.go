package deliver

import (
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

func TestMostInBatch(t *testing.T) {
	for _, c := range []struct{ file, target, want int }{{200, 1000, 200}, {200, 100, 100}, {0, 100, 100}, {1, 100, 1}} {
		if got := MostInBatch(sinks.Coalesce{MaxBatch: c.file}, sinks.Limits{MaxBatch: c.target}); got != c.want {
			t.Errorf("of %d in the file and %d at the target: %d, want %d", c.file, c.target, got, c.want)
		}
	}
}
