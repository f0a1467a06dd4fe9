package redislog

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// A replay holds the log from when it is asked for until it ends; at rest too.
func TestReplayHoldsTheLog(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	fill(t, l, 1000, 6000, time.Now().Add(-time.Hour), 0)
	reads(t, l, "crm", maxPosition)
	r := l.NewTrimmer(TrimOptions{Targets: []string{"crm"}})
	spec := cdc.Replay{ID: "r1", Target: "crm", From: cdc.Position{LSN: 2999}, To: cdc.Position{LSN: 5000}, Created: time.Now()}
	if err := l.AddReplay(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	first := func(want cdc.LSN) {
		t.Helper()
		pass(t, r)
		if _, at := survey(t, l).entries(); at.LSN != want {
			t.Errorf("the log begins with %v, want %v", at, want)
		}
	}
	first(3000)
	version, err := l.ReplaysVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WishReplay(t.Context(), "r1", false); err != nil {
		t.Fatal(err)
	}
	if now, err := l.ReplaysVersion(t.Context()); err != nil || now == version {
		t.Errorf("nobody is told of the wish (%v)", err)
	}
	first(3000)
	for _, s := range l.streams { // as its owner does
		if err := l.Client().XGroupSetID(t.Context(), l.keys.Stream(s), "replay:r1", "4000").Err(); err != nil {
			t.Fatal(err)
		}
	}
	first(4001)
	if at, err := l.ReplayPlace(t.Context(), "r1", 0); err != nil || at[cdc.LaneBulk] != (cdc.Position{LSN: 4000}) {
		t.Errorf("it is at %v (%v)", at, err)
	}
	// One that would begin before the log is refused, and leaves nothing.
	spec.ID = "r2"
	if err := l.AddReplay(t.Context(), spec); !errors.Is(err, ErrTrimmed) {
		t.Errorf("a replay of what is gone: %v", err)
	}
	if ended, err := l.FinishReplay(t.Context(), "r1"); err != nil || ended { // no partition is done
		t.Fatal(ended, err)
	}
	list, err := l.Replays(t.Context())
	if err != nil || len(list) != 1 || list[0].State != cdc.ReplayStopped || list[0].Left != l.Partitions() || list[0].Replay.To != spec.To {
		t.Fatalf("listed are %+v (%v)", list, err)
	}
	if err := l.CancelReplay(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	if err := l.CancelReplay(t.Context(), "r1"); !errors.Is(err, ErrNoReplay) {
		t.Errorf("cancelled again: %v", err)
	}
	pass(t, r)
	if n, _ := survey(t, l).entries(); n != 0 {
		t.Errorf("%d entries are held by a replay that has ended", n)
	}
	// All that there is, which is nothing.
	spec.ID, spec.From = "r3", cdc.Position{}
	if err := l.AddReplay(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := l.Forget(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	if list, err := l.Replays(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("of a forgotten target are left %+v (%v)", list, err)
	}
}

// noGroups refuses what is about groups while it is on, as a server does that is restarted.
type noGroups struct{ on *atomic.Bool }

func (h noGroups) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h noGroups) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h noGroups) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !h.on.Load() || cmds[0].Name() != "xgroup" {
			return next(ctx, cmds)
		}
		for _, c := range cmds {
			c.SetErr(errors.New("LOADING the dataset"))
		}
		return cmds[0].Err()
	}
}

// A replay of which not all was made when the server went away holds nothing of the log: it does
// not run as it is, is made to its end when it is resumed, and not if the log has gone meanwhile.
func TestReplayHalfMade(t *testing.T) {
	k := servertest.SharedRedis(t)
	l, _ := logged(t, k.Server.URL(), k.Name)
	fill(t, l, 1000, 6000, time.Now().Add(-time.Hour), 0)
	reads(t, l, "crm", maxPosition)
	away := noGroups{&atomic.Bool{}}
	l.Client().AddHook(away)
	half := func(id string) {
		t.Helper()
		away.on.Store(true)
		defer away.on.Store(false)
		err := l.AddReplay(t.Context(), cdc.Replay{ID: id, Target: "crm", From: cdc.Position{LSN: 2999}, To: cdc.Position{LSN: 5000}, Created: time.Now()})
		if err == nil || !strings.Contains(err.Error(), "walbridge replay cancel "+id) {
			t.Fatalf("what is left is not told of: %v", err)
		}
	}
	state := func(id string, want cdc.ReplayState, held bool) {
		t.Helper()
		s, err := l.replay(t.Context(), id)
		if err != nil || s.State != want {
			t.Errorf("replay %s: %+v, %v, want %s", id, s, err, want)
		}
		for _, stream := range l.streams {
			if there, err := l.hasGroup(t.Context(), stream, "replay:"+id); err != nil || there != held {
				t.Errorf("replay %s in stream %v: held %v (%v)", id, stream, there, err)
			}
		}
	}
	half("r1")
	state("r1", cdc.ReplayStopped, false)
	if err := l.WishReplay(t.Context(), "r1", false); err != nil {
		t.Fatal(err)
	}
	if err := l.WishReplay(t.Context(), "r1", true); err != nil {
		t.Fatal(err)
	}
	state("r1", cdc.ReplayRunning, true)
	if err := l.CancelReplay(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	half("r2")
	pass(t, l.NewTrimmer(TrimOptions{Targets: []string{"crm"}})) // nothing holds it
	if err := l.WishReplay(t.Context(), "r2", true); !errors.Is(err, ErrTrimmed) {
		t.Errorf("a replay goes on whose part of the log is gone: %v", err)
	}
	state("r2", cdc.ReplayStopped, true)
	if err := l.CancelReplay(t.Context(), "r2"); err != nil {
		t.Fatal(err)
	}
}
