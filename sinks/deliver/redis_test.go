package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
)

// seen hands on what a target accepts, so that a test can wait for it.
type seen struct {
	*fakeTarget
	records chan sinks.Record
}

func (s *seen) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	rs, err := s.fakeTarget.Deliver(ctx, b)
	for _, r := range b.Records {
		s.records <- r
	}
	return rs, err
}

// TestOverRedis is the whole path over the Redis of the demo: the log's own
// reader, the state's own scripts, a stop, and a second owner that goes on.
func TestOverRedis(t *testing.T) {
	m := miniredis.RunT(t)
	log, err := redislog.Open(t.Context(), redislog.Options{
		URL: "redis://" + m.Addr(), Name: "sales", Partitions: partitions, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	reader := log.NewReader(2)
	defer closeAll(t, reader, log)
	target := &seen{newFakeTarget(), make(chan sinks.Record, 100)}
	put := func(lsn, id int, op cdc.Op, after string) {
		values := []string{"op", op.String(), "table", deals.String(), "key", keyOf(id), "ts", fmt.Sprint(time.Now().UnixMicro()), "xid", "7"}
		if after != "" {
			values = append(values, "after", after)
		}
		key := log.Keys().Stream(cdc.Stream{Lane: cdc.LaneNormal, Partition: partitionOf(keyOf(id))})
		if err := log.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: at(lsn).String(), Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func(owner string, want func()) {
		store := state.New(state.Options{Client: log.Client(), Keys: log.Keys(), Target: "crm", Partitions: partitions, Owner: owner})
		defer closeAll(t, store)
		e, err := New(Options{Name: "crm", Target: target, Reader: reader, State: store, Partitions: partitions,
			Mappers: []Mapper{&fakeMapper{coalesce: sinks.Coalesce{MaxBatch: 10}, filtered: map[string]bool{}}}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() {
			if err := e.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		want()
		cancel()
		run.Wait()
	}
	put(10, 1, cdc.OpCreate, `{"id":1,"a":1,"b":2}`)
	deliver("one", func() {
		if r := <-target.records; r.Op != sinks.Upsert || r.Position != at(10) {
			t.Errorf("got %+v", r)
		}
		put(11, 1, cdc.OpUpdate, `{"id":1,"a":5,"b":2}`)
		if r := <-target.records; string(r.Fields[0].Value) != `"5+2"` {
			t.Errorf("got %+v", r)
		}
	})
	put(12, 1, cdc.OpDelete, "")
	deliver("two", func() {
		if r := <-target.records; r.Op != sinks.Delete || r.Position != at(12) || string(r.Key.Value) != "1" || r.Key.Name != "Ext" {
			t.Errorf("got %+v", r)
		}
	})
	p := partitionOf(keyOf(1))
	groups, err := log.Client().XInfoGroups(t.Context(), log.Keys().Stream(cdc.Stream{Lane: cdc.LaneNormal, Partition: p})).Result()
	if err != nil || len(groups) != 1 || groups[0].LastDeliveredID != "12-0" {
		t.Errorf("groups %+v %v", groups, err)
	}
	store := state.New(state.Options{Client: log.Client(), Keys: log.Keys(), Target: "crm", Partitions: partitions})
	defer closeAll(t, store)
	claim, err := store.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim.Open(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	k, err := claim.Load(t.Context(), []state.Place{{Key: keyState(1), Partition: p}})
	if err != nil || k[0].Err != nil || k[0].Seen != at(12) || k[0].Live {
		t.Errorf("state %+v %v", k, err)
	}
	if len(target.records) != 0 {
		t.Errorf("%d records too many", len(target.records))
	}
}

func closeAll(t *testing.T, cs ...interface{ Close() error }) {
	for _, c := range cs {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
