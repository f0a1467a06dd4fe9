package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/cdc/redislog"
)

// inMemory is a writer that runs, without a server.
type inMemory struct {
	*Writer
	logs bytes.Buffer
	stop func()

	lock  sync.Mutex // covers what follows
	taken []taken    // copies
	fails error
	hang  chan struct{}
}

// sent is what went to the server.
func (m *inMemory) sent() []taken {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.taken
}

// is sets what the server does: it hangs, or fails.
func (m *inMemory) is(hang chan struct{}, err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.hang, m.fails = hang, err
}

func newInMemory(t *testing.T) *inMemory {
	m := &inMemory{}
	m.Writer = newWriter(Options{Keys: redislog.Keys{Name: "x"}, Target: "crm", Partitions: 2, Logger: slog.New(slog.NewTextHandler(&m.logs, nil))})
	m.send = func(_ context.Context, all []taken) (lost uint64, err error) {
		m.lock.Lock()
		defer m.lock.Unlock()
		if hang := m.hang; hang != nil {
			m.lock.Unlock()
			<-hang
			m.lock.Lock()
		}
		for _, a := range all {
			if m.fails != nil {
				lost += a.steps
				continue
			}
			a.lines = bytes.Clone(a.lines)
			m.taken = append(m.taken, a)
		}
		return lost, m.fails
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	m.stop = func() { cancel(); <-ended }
	return m
}

func stepOf(partition int, key string) Step {
	return Step{Partition: partition, Key: key, Fate: Accepted, Op: "upsert", From: at(1, 0), To: at(1, 0), Changes: 1}
}

// What is recorded goes together a moment later, each partition to its stream and bulk to
// one of its own, with one head for the steps of a request.
func TestWriterGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newInMemory(t)
		defer m.stop()
		r := &Request{ID: m.NewID(), Began: noon, Records: 3}
		steps := []Step{stepOf(0, `{"id":1}`), stepOf(1, `{"id":2}`), stepOf(0, `{"id":3}`), stepOf(0, `{"id":4}`)}
		for i := range steps {
			steps[i].Request = r
		}
		steps[3].Bulk = true
		steps[2].Request = &Request{ID: m.NewID(), Began: noon, Records: 1} // sent once more, alone
		m.Record(Head{Mapping: "m", Time: noon}, steps)
		m.Record(Head{Mapping: "m", Time: noon}, steps[:1])
		time.Sleep(flushEvery - time.Millisecond)
		synctest.Wait()
		if len(m.sent()) != 0 {
			t.Fatal("it was not waited for more")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		var got []string
		for _, s := range m.sent() {
			got = append(got, fmt.Sprintf("%s %d %d", s.key, s.steps, bytes.Count(s.lines, []byte(`{"m":`))))
		}
		want := []string{"walbridge:{x:0}:trace:crm 3 3", "walbridge:{x:0}:tracebulk:crm 1 1", "walbridge:{x:1}:trace:crm 1 1"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("sent are %q, want %q", got, want)
		}
		if a, b := m.NewID(), m.NewID(); a == b || !strings.HasPrefix(a, m.prefix) {
			t.Errorf("ids %s and %s", a, b)
		}
	})
}

// Much goes at once, and what is beyond the bound while Redis hangs is dropped and counted,
// without a wait.
func TestWriterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newInMemory(t)
		defer m.stop()
		hang := make(chan struct{})
		m.is(hang, nil)
		long := stepOf(0, `{"id":"`+strings.Repeat("x", 1000)+`"}`)
		steps := make([]Step, flushFrom/1000+1)
		for i := range steps {
			steps[i] = long
		}
		began := time.Now()
		m.Record(Head{Mapping: "m", Time: noon}, steps)
		synctest.Wait()
		m.mu.Lock()
		size := m.size
		m.mu.Unlock()
		if size != 0 {
			t.Errorf("%d bytes wait, though there is enough to be written", size)
		}
		n := bufferMost/flushFrom + 2
		for range n {
			m.Record(Head{Mapping: "m", Time: noon}, steps)
		}
		if !time.Now().Equal(began) {
			t.Error("it waited")
		}
		dropped := m.Dropped()
		close(hang)
		time.Sleep(time.Second)
		synctest.Wait()
		written := uint64(0)
		for _, s := range m.sent() {
			written += s.steps
		}
		if all := uint64((n + 1) * len(steps)); dropped == 0 || written+dropped != all || dropped != m.Dropped() {
			t.Errorf("%d written and %d dropped of %d", written, dropped, all)
		}
	})
}

// What Redis does not take is counted, and said once for a row of failures.
func TestWriterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newInMemory(t)
		m.is(nil, errors.New("OOM command not allowed"))
		for range 3 {
			m.Record(Head{Mapping: "m", Time: noon}, []Step{stepOf(0, `{"id":1}`)})
			time.Sleep(flushEvery)
			synctest.Wait()
		}
		if text := m.logs.String(); m.Dropped() != 3 || strings.Count(text, "has a gap") != 1 || !strings.Contains(text, "OOM") {
			t.Errorf("%d dropped, logged is\n%s", m.Dropped(), text)
		}
		m.is(nil, nil)
		m.Record(Head{Mapping: "m", Time: noon}, []Step{stepOf(0, `{"id":1}`)})
		time.Sleep(flushEvery)
		m.stop()
		m.Record(Head{Mapping: "m", Time: noon}, []Step{stepOf(1, `{"id":2}`)})
		m.flush(t.Context()) // as Close does
		if len(m.sent()) != 2 || m.Dropped() != 3 {
			t.Errorf("sent %+v, %d dropped", m.sent(), m.Dropped())
		}
	})
}
