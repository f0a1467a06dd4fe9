package deliver

import (
	"context"
	"slices"
	"testing"
	"time"
)

// Two workers that come at once, of which one knows fewer mappings, may each get some of the
// partitions before either knows of the other. What only one of them knows is not told as long
// as the other has a partition: he would pass it over.
func TestWorkersThatComeAtOnceAgree(t *testing.T) {
	run(t, func(w *world) {
		// The first asks for the second partition when the second worker has it.
		w.store.slow = func(worker string, partition int) (there, back time.Duration) {
			if worker == "one" {
				return 20 * time.Millisecond * time.Duration(1+partition), 0
			}
			return 20 * time.Millisecond * time.Duration(1-partition), 0
		}
		w.start()
		rest(10 * time.Millisecond)
		told := 0
		w.join(func(o *Options) {
			o.Mappers = append(o.Mappers, &fakeMapper{name: "leads", coalesce: w.mapper.coalesce, filtered: map[string]bool{}})
			o.Begin = func(_ context.Context, b Beginning) error {
				if slices.Contains(b.Mappings, "leads") {
					if told++; w.store.namesOf("one") > 0 {
						t.Error("told of what the owner of a partition does not know")
					}
				}
				return nil
			}
		})
		rest(5 * time.Second)
		w.wantOwned(0, partitions)
		if told == 0 {
			t.Error("what the second knows was never told")
		}
	})
}

// A worker whose asking for partitions is on its way for so long that others have agreed on more
// than it knows gives back what it gets, and passes nothing over.
func TestLateTakerLooksAgain(t *testing.T) {
	run(t, func(w *world) {
		from := time.Now().Add(2 * time.Second)
		w.store.slow = func(worker string, partition int) (there, back time.Duration) {
			for worker == "one" && time.Since(from) < 5*time.Second && (time.Now().Before(from) || w.store.owned() != 1) { // until a partition is nobody's
				time.Sleep(time.Millisecond)
			}
			return 0, time.Duration(partition) * 5 * time.Millisecond
		}
		w.start()
		rest(time.Millisecond)
		leads := &fakeMapper{name: "leads", coalesce: w.mapper.coalesce, filtered: map[string]bool{}}
		more := func(o *Options) { o.Mappers = append(o.Mappers, leads) }
		w.join(more)
		rest(3*time.Second + 50*time.Millisecond) // so that not all look in the same moment
		w.wantOwned(0, partitions)
		w.join(more) // to which the one before gives a partition
		got := false
		for range 3000 {
			rest(time.Millisecond)
			got = got || w.store.namesOf("one") > 0
			if w.engine.Stats().Owner {
				t.Fatal("who does not know what is delivered has a partition")
			}
		}
		if !got {
			t.Fatal("the late one got nothing: the test tests nothing")
		}
		w.wantOwned(0, 1, 1)
	})
}

// Leases are relied on for no longer than any of them lasts, also where one was taken by an
// answer that came late, while the others were renewed.
func TestLateAnswerToTake(t *testing.T) {
	run(t, func(w *world) {
		w.store.slow = func(_ string, partition int) (there, back time.Duration) {
			return 0, time.Duration(partition) * 3 * time.Second
		}
		w.store.other(time.Now().Add(2 * time.Second))
		w.store.mu.Lock()
		w.store.owner[0] = 0 // of the first partition nobody is
		w.store.mu.Unlock()
		w.start()
		both := false
		for range 800 {
			rest(10 * time.Millisecond)
			s := w.engine.current.Load()
			if w.engine.Stats().Partitions < partitions || s == nil {
				continue
			}
			both = true
			w.store.mu.Lock()
			for p, until := range w.store.expires {
				if late := time.Unix(0, s.leased.Load()).Sub(until); late > 0 {
					t.Errorf("the lease of partition %d is relied on for %v after its end", p, late)
				}
			}
			w.store.mu.Unlock()
			if t.Failed() {
				return
			}
		}
		if !both {
			t.Error("the worker never had both partitions")
		}
	})
}

// namesOf is how many partitions a worker owns.
func (s *fakeStore) namesOf(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, t := range s.owner {
		if s.names[p] == name && s.holds(p, t) {
			n++
		}
	}
	return n
}
