package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/trace"
)

// fakeTracer keeps all that it is told.
type fakeTracer struct {
	mu    sync.Mutex
	ids   int
	steps []trace.Step
	heads []trace.Head
}

func (f *fakeTracer) NewID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids++
	return fmt.Sprint("r", f.ids)
}

func (f *fakeTracer) Record(h trace.Head, steps []trace.Step) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range steps {
		if s.Key == "" || s.Fate == "" {
			panic(fmt.Sprintf("a step of nothing: %+v", s))
		}
		f.steps = append(f.steps, s)
		f.heads = append(f.heads, h)
	}
}

// told is what was recorded of a deal: fate, code, changes, request and its records, and in
// how many seconds it is tried again.
func (f *fakeTracer) told(id int) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.steps {
		if s.Key != keyOf(id) {
			continue
		}
		words := []string{string(s.Fate)}
		if s.Code != "" {
			words = append(words, s.Code)
		}
		words = append(words, fmt.Sprintf("%s-%s/%d", strings.TrimSuffix(s.From.String(), "-0"), strings.TrimSuffix(s.To.String(), "-0"), s.Changes))
		if s.On != "" {
			words = append(words, "on "+s.On)
		}
		if r := s.Request; r != nil {
			words = append(words, fmt.Sprintf("%s of %d%s", r.ID, r.Records, r.Code))
		}
		if !s.Next.IsZero() {
			words = append(words, fmt.Sprintf("in %.0fs", s.Next.Sub(f.heads[i].Time).Seconds()))
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

func (w *world) traced(change ...func(*Options)) *fakeTracer {
	f := &fakeTracer{}
	w.start(append(change, func(o *Options) { o.Trace = f })...)
	return f
}

func (w *world) wantTold(f *fakeTracer, id int, want ...string) {
	w.Helper()
	if got := f.told(id); !slices.Equal(got, want) {
		w.Errorf("of %d was told\n %q, want\n %q", id, got, want)
	}
}

// What becomes of records is told: which changes went in which request, and what the target
// said; what was not sent, and why.
func TestTraceFates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.coalesce.Quiet = time.Second
		ids := samePartition(3)
		one, two, three := ids[0], ids[1], ids[2]
		f := w.traced()
		defer w.end()
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			apply, rs := all(len(b.Records), true), make([]sinks.Result, len(b.Records))
			for i, r := range b.Records {
				if rs[i].RemoteID = "id-" + string(r.Key.Value); r.Source == keyOf(two) {
					apply[i], rs[i] = false, sinks.Result{Err: &sinks.Rejected{Code: "TOO_LONG", Err: errors.New("refused")}}
				}
			}
			return apply, rs, nil
		})
		w.put(cdc.LaneNormal, one, "a=1 b=1 note=1")
		w.put(cdc.LaneNormal, two, "a=1 b=1 note=1")
		w.put(cdc.LaneNormal, three, "on=false a=1 b=1 note=1")
		w.put(cdc.LaneNormal, one, "a=2 b=1 note=1")
		rest(5 * time.Second)
		w.put(cdc.LaneBulk, one, "a=2 b=1 note=1")
		rest(5 * time.Second)
		w.put(cdc.LaneNormal, one, "a=3 b=1 note=1")
		w.put(cdc.LaneUrgent, one, "a=4 b=1 note=1")
		rest(5 * time.Second)
		w.put(cdc.LaneNormal, one, "gone")
		rest(5 * time.Second)
		w.wantTold(f, one, "accepted 1-4/2 r1 of 2", "same 5-5/1", "accepted 6-7/2 r2 of 1", "accepted 8-8/1 r3 of 1")
		w.wantTold(f, two, "refused TOO_LONG 2-2/1 r1 of 2")
		w.wantTold(f, three, "filtered 3-3/1")
		s := slices.DeleteFunc(slices.Clone(f.steps), func(s trace.Step) bool { return s.Key != keyOf(one) })
		if s[0].Op != "upsert" || s[0].Remote != fmt.Sprint("id-", one) || s[0].Bulk || !s[1].Bulk || s[3].Op != "delete" || s[0].Partition != partitionOf(keyOf(one)) {
			t.Errorf("%+v", s)
		}
		if r := s[0].Request; r.Began.IsZero() || r.Began.After(f.heads[0].Time) || f.heads[0].Mapping != w.mapper.Name() {
			t.Errorf("request %+v of %+v", r, f.heads[0])
		}
	})
}

// What waits is told, and until when: for itself, for another record, aside.
func TestTraceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.busyWith(10*time.Minute, 1)
		f := w.traced(patient, w.withAccounts)
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		w.put(cdc.LaneNormal, 2, "a=1 b=1 note=1 parent=100")
		rest(5 * time.Minute)
		w.wantTold(f, 1, "failed retryable 1-1/1 r1 of 1 in 600s", "aside 1-1/1 in 480s")
		w.wantTold(f, 2, "parent 2-2/1 on accounts in 30s", "accepted 2-2/1 r2 of 1")
		if s := f.steps[slices.IndexFunc(f.steps, func(s trace.Step) bool { return s.Fate == trace.Aside })]; s.Attempts != 1 {
			t.Errorf("aside after %d attempts", s.Attempts)
		}
	})
}

// A request that fails as a whole is told with its error, once, and not as one of the records.
func TestTraceOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(func(_ context.Context, b sinks.Batch) ([]bool, []sinks.Result, error) {
			return all(len(b.Records), false), nil, &sinks.Retryable{Err: errors.New("status 503"), After: 20 * time.Second}
		})
		f := w.traced()
		defer w.end()
		w.put(cdc.LaneNormal, 1, "a=1 b=1 note=1")
		rest(10 * time.Second)
		w.answers(acceptAll)
		rest(time.Minute)
		w.wantTold(f, 1, "later 1-1/1 r1 of 1retryable", "accepted 1-1/1 r2 of 1")
		if s := f.steps[0]; s.Error != "" || s.Request.Error != "status 503" {
			t.Errorf("%+v in %+v", s, s.Request)
		}
	})
}

// A record whose target key is another row's is told to wait, and then to be a dead letter.
func TestTraceOfABlockedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapper.key = "k"
		f := w.traced(patient)
		defer w.end()
		w.row(cdc.LaneNormal, 1, 10, 5)
		rest(time.Second)
		w.row(cdc.LaneNormal, 2, 10, 6)
		rest(10 * time.Minute)
		var fates []string
		for _, s := range f.steps {
			if s.Key == keyOf(2) && (len(fates) == 0 || fates[len(fates)-1] != string(s.Fate)) {
				fates = append(fates, string(s.Fate))
			}
		}
		if !slices.Equal(fates[:3], []string{"blocked", "refused", "aside"}) {
			t.Errorf("the fates are %q", fates)
		}
	})
}
