package wire

import (
	"fmt"
	"math"
	"testing"
)

func TestDistinct(t *testing.T) {
	for _, n := range []int{0, 1, 3000, distinctFew, 1_000_000} {
		var d distinct
		for i := range 2 * n { // each twice
			d.add("deals", fmt.Sprint(i%n))
		}
		if have := float64(d.count()); n <= distinctFew && int(have) != n || math.Abs(have-float64(n)) > float64(n)/100 {
			t.Errorf("%d keys are counted as %v", n, have)
		}
	}
}
