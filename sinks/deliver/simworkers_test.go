package deliver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/walbridge/walbridge/sinks/rate"
)

// worker is one more engine of the same target.
type worker struct {
	name   string
	engine *Engine
	stop   context.CancelFunc
	ended  chan struct{}
	keeper *rate.Keeper // nil if there is none
}

// join starts one more worker, with a name that was never there.
func (w *world) join(change ...func(*Options)) *worker {
	w.Helper()
	w.joined++
	out := w.launch(fmt.Sprint("worker", w.joined), change...)
	w.more = append(w.more, out)
	return out
}

// part takes a worker out of those that are there.
func (w *world) part(o *worker) {
	w.more = slices.DeleteFunc(w.more, func(x *worker) bool { return x == o })
}

// leaves ends a worker in order.
func (w *world) leaves(o *worker) {
	o.stop()
	<-o.ended
	w.part(o)
}

// killed ends a worker as a kill -9 would; its leases have run out at once.
func (w *world) killed(o *worker) {
	if o.engine.Stats().Owner {
		w.orphaned++
	}
	o.engine.kill(errKilled)
	<-o.ended
	o.stop()
	w.store.kill(o.name)
	w.part(o)
}

// cut cuts a worker off from the store for a time.
func (w *world) cut(name string, d time.Duration) {
	w.store.cutOff(name, true)
	time.AfterFunc(d, func() { w.store.cutOff(name, false) })
}

// crowd has workers come, go, die, and be cut off.
func (s *sim) crowd() {
	switch n := s.draw(8); {
	case n < 3 && len(s.more) < 3:
		s.join(s.options)
	case len(s.more) == 0:
	case n < 5:
		s.leaves(s.more[s.draw(len(s.more))])
	case n < 7:
		s.killed(s.more[s.draw(len(s.more))])
	default:
		name := "one"
		if s.chance(2) {
			name = s.more[s.draw(len(s.more))].name
		}
		s.cut(name, time.Duration(1+s.draw(25))*time.Second)
	}
}

// moves is how often partitions came to another worker: handed over in order, or taken from
// one that was killed while it had some.
type moves struct{ handed, taken int }

func (m *moves) add(s *sim) {
	m.handed += s.lines.count("a partition was handed over")
	m.taken += s.orphaned
}

func (m *moves) few(runs int) bool { return m.handed < runs/5 || m.taken < runs/10 }
