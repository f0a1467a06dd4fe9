package redislog

import (
	"reflect"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// Nothing can be read below the first entry of a lane or, where a lane has none, below
// where the log is complete.
func TestOldest(t *testing.T) {
	l := open(t, servertest.Redis(t).URL(), "oldest")
	oldest := func(want cdc.LSN) {
		t.Helper()
		if at, err := l.Oldest(t.Context(), 0); err != nil || at != (cdc.Position{LSN: want}) {
			t.Fatalf("the oldest is %v (%v), want LSN %v", at, err, want)
		}
	}
	put := func(lane, id string) {
		t.Helper()
		key := l.Keys().Stream(cdc.Stream{Lane: lane})
		if err := l.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: id, Values: []string{"op", "c"}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	oldest(0)
	put(cdc.LaneUrgent, "7-0")
	oldest(0) // the others may get something lower
	put(cdc.LaneNormal, "9-0")
	put(cdc.LaneBulk, "5-0")
	oldest(5)
	if err := l.Client().XTrimMaxLen(t.Context(), l.Keys().Stream(cdc.Stream{Lane: cdc.LaneBulk}), 0).Err(); err != nil {
		t.Fatal(err)
	}
	oldest(5) // above its last one
	if err := l.SetDurableMark(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	oldest(7)
	if err := l.Client().XTrimMaxLen(t.Context(), l.Keys().Stream(cdc.Stream{Lane: cdc.LaneUrgent}), 0).Err(); err != nil {
		t.Fatal(err)
	}
	oldest(8)
}

// Where each lane of a partition begins is told, and whether something was there before.
func TestBegins(t *testing.T) {
	l := open(t, servertest.Redis(t).URL(), "begins")
	for id, lane := range map[string]string{"7-0": cdc.LaneUrgent, "9-2": cdc.LaneBulk} {
		for _, at := range []string{id, "11-0"} {
			if err := l.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: l.Keys().Stream(cdc.Stream{Lane: lane}), ID: at, Values: []string{"ts", "1500000"}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Client().XTrimMinID(t.Context(), l.Keys().Stream(cdc.Stream{Lane: cdc.LaneUrgent}), "8-0").Err(); err != nil {
		t.Fatal(err)
	}
	got, err := l.Begins(t.Context(), 0)
	want := []Begin{
		{cdc.Stream{Lane: cdc.LaneUrgent}, cdc.Position{LSN: 11}, time.UnixMicro(1500000).UTC(), true},
		{Stream: cdc.Stream{Lane: cdc.LaneNormal}},
		{cdc.Stream{Lane: cdc.LaneBulk}, cdc.Position{LSN: 9, Ordinal: 2}, time.UnixMicro(1500000).UTC(), false},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}
