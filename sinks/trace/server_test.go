package trace

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

// onServer gives writers of one history, and who reads it.
func onServer(t *testing.T, most int64, writers int) (ws []*Writer, r Reader) {
	ks := servertest.SharedRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: ks.Server.Addr()})
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	keys := redislog.Keys{Name: ks.Name}
	client := redislog.Sibling(rdb, redislog.Tuning{Timeout: time.Second})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	for range writers {
		w, err := NewWriter(Options{Client: rdb, Keys: keys, Target: "crm", Partitions: 2, Bytes: most, Logger: slog.Default(), Registerer: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
		ws = append(ws, w)
	}
	return ws, Reader{Client: client, Keys: keys, Target: "crm"}
}

func (r Reader) all(t *testing.T, partition int, key string) (out []string, reach Reach) {
	t.Helper()
	reach, err := r.Read(t.Context(), partition, key, func(e Entry) { out = append(out, fmt.Sprintf("%s %s %v", e.Mapping, e.To, e.Bulk)) })
	if err != nil {
		t.Fatal(err)
	}
	return out, reach
}

// Two workers write one history in turns; live and bulk are apart.
func TestServer(t *testing.T) {
	ws, r := onServer(t, 1<<20, 2)
	if got, reach := r.all(t, 1, `{"id":1}`); len(got) > 0 || !reach.Live.IsZero() {
		t.Errorf("before anything was written: %q, %+v", got, reach)
	}
	for i := range 6 {
		s := stepOf(1, `{"id":1}`)
		s.To, s.Bulk = at(uint64(i+1), 0), i == 2
		ws[i%2].Record(Head{Mapping: "m", Time: noon.Add(time.Duration(i) * time.Second)}, []Step{stepOf(0, `{"id":1}`), s, stepOf(1, `{"id":9}`)})
		ws[i%2].flush(t.Context())
	}
	got, reach := r.all(t, 1, `{"id":1}`)
	if want := "[m 1-0 false m 2-0 false m 4-0 false m 5-0 false m 6-0 false m 3-0 true]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if !reach.Live.Equal(noon) || !reach.Bulk.Equal(noon.Add(2*time.Second)) || reach.Damaged != 0 {
		t.Errorf("it reaches back to %+v", reach)
	}
	// Somebody wipes it; the next step begins anew.
	if err := r.Client.Del(t.Context(), r.Keys.Trace("crm", 1, false)).Err(); err != nil {
		t.Fatal(err)
	}
	for i, w := range ws {
		s := stepOf(1, `{"id":1}`)
		s.To = at(uint64(70+i), 0)
		w.Record(Head{Mapping: "m", Time: noon.Add(time.Hour)}, []Step{s})
		w.flush(t.Context())
	}
	got, reach = r.all(t, 1, `{"id":1}`)
	if want := "[m 70-0 false m 71-0 false m 3-0 true]"; fmt.Sprint(got) != want || !reach.Live.Equal(noon.Add(time.Hour)) {
		t.Errorf("after it was wiped: %v, %+v, want %s", got, reach, want)
	}
	for _, w := range ws {
		if w.Dropped() > 0 {
			t.Errorf("%d were dropped", w.Dropped())
		}
	}
}

// What a full server does not take is counted, and the rest goes on.
func TestServerRefuses(t *testing.T) {
	ws, r := onServer(t, 1<<20, 1)
	w := ws[0]
	record := func(n uint64) {
		s := stepOf(1, `{"id":1}`)
		s.To = at(n, 0)
		w.Record(Head{Mapping: "m", Time: noon}, []Step{s})
		w.flush(t.Context())
	}
	record(1)
	stream := r.Keys.Trace("crm", 1, false)
	if err := errors.Join(r.Client.Rename(t.Context(), stream, stream+":aside").Err(), r.Client.Set(t.Context(), stream, "no stream", 0).Err()); err != nil {
		t.Fatal(err)
	}
	record(2)
	if err := r.Client.Rename(t.Context(), stream+":aside", stream).Err(); err != nil {
		t.Fatal(err)
	}
	record(3)
	if got, _ := r.all(t, 1, `{"id":1}`); fmt.Sprint(got) != "[m 1-0 false m 3-0 false]" || w.Dropped() != 1 {
		t.Errorf("got %v, %d dropped", got, w.Dropped())
	}
}

// However much is written, a history has about as many bytes as it may, and the newest.
func TestServerBound(t *testing.T) {
	const most = 64 << 10 // of each of the four streams a quarter
	ws, r := onServer(t, most, 2)
	last := 0
	for i := range 400 {
		s := stepOf(0, `{"id":1}`)
		s.To, s.Error = at(uint64(i+1), 0), strings.Repeat("x", i%150)
		last = i + 1
		ws[i/7%2].Record(Head{Mapping: "m", Time: noon.Add(time.Duration(i) * time.Second)}, []Step{s})
		ws[i/7%2].flush(t.Context())
	}
	stream := r.Keys.Trace("crm", 0, false)
	list, err := r.Client.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, m := range list {
		size += len(m.Values["lines"].(string)) + entryRoom
	}
	if size > most/4+500 || size < most/4-500 { // the first one may reach over the bound
		t.Errorf("%d bytes are kept, want about %d", size, most/4)
	}
	got, reach := r.all(t, 0, `{"id":1}`)
	if len(got) != len(list) || got[len(got)-1] != fmt.Sprintf("m %d-0 false", last) || got[0] != fmt.Sprintf("m %d-0 false", last-len(got)+1) {
		t.Errorf("%d of %d entries, from %s to %s", len(got), len(list), got[0], got[len(got)-1])
	}
	if want := noon.Add(time.Duration(last-len(got)) * time.Second); !reach.Live.Equal(want) {
		t.Errorf("it reaches back to %s, want %s", reach.Live, want)
	}
	// One that is larger than all that is allowed stays alone.
	s := stepOf(0, `{"id":"`+strings.Repeat("x", most)+`"}`)
	ws[0].Record(Head{Mapping: "m", Time: noon}, []Step{s})
	ws[0].flush(t.Context())
	if n, err := r.Client.XLen(t.Context(), stream).Result(); err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
}
