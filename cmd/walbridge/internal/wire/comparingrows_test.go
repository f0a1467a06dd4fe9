package wire

import (
	"fmt"
	"testing"
)

// A sample is the share that was asked for, also of keys that are numbers in a row, of which neither
// all nor none of ten that follow each other are in it.
func TestSampleIsEven(t *testing.T) {
	for _, share := range []float64{.01, .1, .5} {
		c := comparing{o: RowOptions{Sample: share}}
		const rows = 20_000
		all, tens, run := 0, map[int]int{}, 0
		for i := range rows {
			if c.sampled(fmt.Sprintf(`{"id":%d}`, 100_000+i)) {
				all++
				run++
			}
			if i%10 == 9 {
				tens[run]++
				run = 0
			}
		}
		if got := float64(all) / rows; got < share*.85 || got > share*1.15 {
			t.Errorf("%v of the rows are in a sample of %v", got, share)
		}
		if tens[10] > rows/10/100 {
			t.Errorf("of a sample of %v, %d of %d tens are in it as a whole", share, tens[10], rows/10)
		}
	}
	if c := (&comparing{o: RowOptions{Sample: 1}}); !c.sampled("{}") {
		t.Error("all rows are not all")
	}
}
