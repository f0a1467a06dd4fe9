package redislog

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// checkpoints gives where a target is in each stream, as one text: all are alike in these
// tests.
func checkpoints(t *testing.T, l *Log, target string) string {
	t.Helper()
	seen := map[string]bool{}
	for _, s := range l.streams {
		at, err := l.Checkpoint(t.Context(), s, target)
		if err != nil {
			t.Fatal(err)
		}
		seen[at.String()] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), " ")
}

// A target begins where it is told to, once: what the setting says later has no effect
// once somebody read for it.
func TestTargetsBegin(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	ctx := t.Context()
	w, stop := running(t, l)
	for _, s := range l.streams {
		appendOne(t, w, s, cdc.Entry{Position: cdc.Position{LSN: 7}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)})
	}
	if err := stop(true); err != nil && ctx.Err() != nil {
		t.Fatal(err)
	}
	begin := func(target string, from From, wantAt string, wantFrom From, fresh bool, rowless ...string) {
		t.Helper()
		b, err := l.Begin(ctx, target, from, []string{target + "/deals"})
		if err != nil || b.From != wantFrom || b.New != fresh {
			t.Errorf("%s from %s began %+v (%v), want %s, new %v", target, from, b, err, wantFrom, fresh)
		}
		if at := checkpoints(t, l, target); at != wantAt {
			t.Errorf("%s from %s begins at %s, want %s", target, from, at, wantAt)
		}
		all, err := l.WithoutRows(ctx)
		if have := slices.Sorted(maps.Keys(all)); err != nil || !slices.Equal(have, rowless) {
			t.Errorf("without rows are %v (%v), want %v", have, err, rowless)
		}
	}
	begin("crm", FromBackfill, "0-0", FromBackfill, true)
	// Until something was done for it the setting can be another one.
	begin("crm", FromNow, "7-0", FromNow, true, "crm/deals")
	begin("crm", FromBeginning, "0-0", FromBeginning, true, "crm/deals")
	begin("crm", FromBackfill, "0-0", FromBackfill, true)
	begin("erp", FromNow, "7-0", FromNow, true, "erp/deals")
	begin("erp", FromNow, "7-0", FromNow, false, "erp/deals")
	if err := l.SetReader(ctx, "erp", []string{"deals"}); err != nil {
		t.Fatal(err)
	}
	begin("erp", FromBackfill, "7-0", FromNow, false, "erp/deals")
	if err := l.StartMappings(ctx, []string{"crm/deals"}, nil); err != nil {
		t.Fatal(err)
	}
	begin("crm", FromNow, "0-0", FromBackfill, false, "erp/deals")
	// One that leaves the configuration comes back as a mapping does that is new.
	if err := l.ForgetStarted(ctx, []string{"erp/deals"}); err != nil {
		t.Fatal(err)
	}
	begin("erp", FromNow, "7-0", FromNow, false)
	// Groups that were lost are made anew before the first entry, or changes would be lost.
	for _, s := range l.streams {
		if err := l.client.XGroupDestroy(ctx, l.keys.Stream(s), "erp").Err(); err != nil {
			t.Fatal(err)
		}
	}
	begin("erp", FromNow, "0-0", FromNow, false)
	// One that began before that was noted, by the groups alone.
	if err := l.EnsureGroups(ctx, []string{"old"}); err != nil {
		t.Fatal(err)
	}
	begin("old", FromNow, "0-0", "", false)
	// One that is forgotten is a new one.
	if err := l.Forget(ctx, "erp"); err != nil {
		t.Fatal(err)
	}
	begin("erp", FromNow, "7-0", FromNow, true, "erp/deals")
}

// A start that ends between the note and the groups is made up for, and a target that is
// detached is left alone.
func TestBeginningIsFinished(t *testing.T) {
	k := servertest.SharedRedis(t)
	l := open(t, k.Server.URL(), k.Name)
	ctx := t.Context()
	if err := l.noteBeginning(ctx, "crm", Beginning{From: FromNow, At: time.Now()}, []string{"crm/deals"}); err != nil {
		t.Fatal(err)
	}
	w, stop := running(t, l)
	for _, s := range l.streams {
		appendOne(t, w, s, cdc.Entry{Position: cdc.Position{LSN: 9}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`)})
	}
	if err := stop(true); err != nil && ctx.Err() != nil {
		t.Fatal(err)
	}
	if b, err := l.Begin(ctx, "crm", FromNow, []string{"crm/deals"}); err != nil || !b.Made || b.New || checkpoints(t, l, "crm") != "9-0" {
		t.Errorf("began %+v at %s (%v)", b, checkpoints(t, l, "crm"), err)
	}
	if err := l.detach(ctx, "crm", Detached{}); err != nil {
		t.Fatal(err)
	}
	if b, err := l.Begin(ctx, "crm", FromBeginning, nil); err != nil || b.New || b.From != FromNow || checkpoints(t, l, "crm") != "0-0" {
		t.Errorf("a detached target began again: %+v at %s (%v)", b, checkpoints(t, l, "crm"), err)
	}
	if there, err := l.grouped(ctx, "crm"); err != nil || there {
		t.Errorf("a detached target holds the log: %v (%v)", there, err)
	}
}

// A server without memory takes a target that begins now all the same: later would be
// another place.
func TestTargetBeginsAtAFullServer(t *testing.T) {
	s := servertest.Redis(t, servers.RedisOptions{})
	l := open(t, s.URL(), "full")
	ctx := t.Context()
	if err := l.client.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if b, err := l.Begin(ctx, "crm", FromNow, nil); err != nil || !b.Made {
		t.Errorf("began %+v (%v)", b, err)
	}
	if there, err := l.grouped(ctx, "crm"); err != nil || !there {
		t.Errorf("it has groups: %v (%v)", there, err)
	}
}
