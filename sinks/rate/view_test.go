package rate

import (
	"testing"
	"time"
)

func TestUnused(t *testing.T) {
	v := Unused(time.Now(), Settings{PerSecond: 20, Daily: 1000, Keep: 300})
	if v.Rate != 20 || !v.Budget || v.Daily != 1000 || v.Kept != 300 || v.Left != 700 || !v.SpentUntil.IsZero() {
		t.Errorf("of limits: %+v", v)
	}
	if v := Unused(time.Now(), Settings{}); v != (View{}) {
		t.Errorf("without limits: %+v", v)
	}
}
