package queue

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWatermarkSharedEntry(t *testing.T) {
	w := NewWatermark(pos(5))
	if got := w.Checkpoint(); got != pos(5) {
		t.Fatalf("checkpoint %v before any entry", got)
	}
	m := w.Add(pos(7), time.Unix(7, 0), 2)
	if w.Add(pos(9), time.Unix(9, 0), 0) != nil {
		t.Fatal("an entry nobody uses has a mark")
	}
	m.Release()
	if got := w.Checkpoint(); got != pos(5) {
		t.Fatalf("checkpoint %v while one of two uses is left", got)
	}
	m.Release()
	m.Release() // once too often does nothing
	if got, open := w.Checkpoint(), w.Open(); got != pos(9) || open != 0 {
		t.Fatalf("checkpoint %v, %d open, after the last use", got, open)
	}
}

// TestWatermarkModel compares with a list of all entries ever read.
func TestWatermarkModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := NewWatermark(pos(0))
		type entry struct{ uses int }
		var all []entry
		var marks []*Mark
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "add") {
				uses := rapid.IntRange(0, 2).Draw(t, "uses")
				all = append(all, entry{uses})
				marks = append(marks, w.Add(pos(len(all)), time.Unix(int64(len(all)), 0), uses))
			} else if len(all) > 0 {
				i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				marks[i].Release()
				all[i].uses = max(0, all[i].uses-1)
			}
			want, open, oldest := len(all), 0, time.Time{}
			for i := len(all) - 1; i >= 0; i-- {
				if all[i].uses > 0 {
					want, oldest = i, time.Unix(int64(i+1), 0)
					open++
				}
			}
			if got := w.Checkpoint(); got != pos(want) || w.Open() != open || w.Read() != pos(len(all)) || w.Oldest() != oldest {
				t.Fatalf("checkpoint %v, open %d, read %v, oldest %v; want %d, %d, %d, %v", got, w.Open(), w.Read(), w.Oldest(), want, open, len(all), oldest)
			}
		}
	})
}
