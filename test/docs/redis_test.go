package docs

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/test/servers"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex // covers text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// userOf makes the user of the page on a server, and gives an address with it.
func userOf(t *testing.T, r *servers.Redis, further ...string) string {
	t.Helper()
	text := blocks(read(t, "docs/redis.md"), "text")
	if len(text) != 1 || !strings.HasPrefix(text[0], "ACL SETUSER walbridge on >secret ") {
		t.Fatalf("docs/redis.md shows %q", text)
	}
	var args []any
	for _, word := range append(strings.Fields(text[0]), further...) {
		args = append(args, word)
	}
	c := redis.NewClient(&redis.Options{Addr: r.Addr(), DisableIdentity: true})
	err := c.Do(t.Context(), args...).Err()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "redis://walbridge:secret@" + r.Addr() + "/0"
}

// The user that the page makes may do all that capture and delivery do.
func TestUserHasRightsEnough(t *testing.T) {
	valkey := servertest.Valkey(t)
	for _, tc := range []struct {
		name    string
		o       servers.RedisOptions
		further []string
		mode    redislog.Durability
		says    string // warning
	}{
		{name: "as it stands", o: servers.RedisOptions{AOF: "always"}, mode: redislog.DurableAlways},
		{name: "newer", o: servers.RedisOptions{AOF: "everysec", Program: valkey}, further: []string{"+waitaof"}, mode: redislog.DurableSynced},
		{name: "newer, without looks", o: servers.RedisOptions{AOF: "everysec", Program: valkey}, further: []string{"+waitaof", "-info", "-config"}, mode: redislog.DurableSynced,
			says: "redis does not let us see its memory policy"},
		{name: "without looks", o: servers.RedisOptions{AOF: "always"}, further: []string{"-info", "-config"}, mode: redislog.DurableNone,
			says: "redis does not let us see its settings: ACL SETUSER … +config|get +info"},
		{name: "without CONFIG", o: servers.RedisOptions{AOF: "always"}, further: []string{"-config"}, mode: redislog.DurableNone,
			says: "redis does not let us see its settings: ACL SETUSER … +config|get +info"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var log lines
			l, err := redislog.Open(t.Context(), redislog.Options{
				URL: userOf(t, servertest.Redis(t, tc.o), tc.further...), Name: "sales", Partitions: 2, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			captureAndDeliver(t, l)
			if l.Durability() != string(tc.mode) {
				t.Errorf("mode %s, want %s", l.Durability(), tc.mode)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (tc.says != "") || !strings.Contains(log.String(), tc.says) {
				t.Errorf("it logged\n%s", log.String())
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// captureAndDeliver does with a log what a capture and a delivery do, and the status.
func captureAndDeliver(t *testing.T, l *redislog.Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.SetRoutings(ctx, []cdc.Routing{{BulkAfter: 7}}))
	must(l.SetStopped(ctx, cdc.Table{Schema: "public", Name: "a"}, "gone"))
	must(l.SetStopped(ctx, cdc.Table{Schema: "public", Name: "a"}, ""))
	must(l.SetEpoch(ctx, cdc.Epoch{SystemID: "7"}))
	must(l.SetDurableMark(ctx, 1))
	must(l.Renew(ctx, cdc.Epoch{SystemID: "7", Timeline: 1, Slot: "s"}, 2))
	_, err := l.Begin(ctx, "late", redislog.FromNow, []string{"late/deals"})
	must(errors.Join(err, l.Forget(ctx, "late")))
	pass, err := l.NewPass(ctx)
	must(err)
	if good, err := l.GoodPass(ctx, pass); err != nil || !good {
		t.Errorf("a pass is good: %v (%v)", good, err)
	}
	backfills(t, l)
	a, err := l.NewAppender(ctx)
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	s := cdc.Stream{Lane: cdc.LaneNormal, Partition: 1}
	a.Append(s, &cdc.Entry{Position: cdc.Position{LSN: 10}, Op: cdc.OpCreate, Table: "public.deals", Key: []byte(`{"id":1}`), Micros: 1})
	a.Mark(11, time.UnixMicro(1))
	for a.Durable() < 11 {
		select {
		case err := <-ended:
			t.Fatalf("the appender ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	store := state.New(state.Options{Client: l.Client(), Keys: l.Keys(), Target: "crm", Partitions: 2, Owner: "one"})
	claim, err := store.Claim(ctx)
	must(err)
	start, err := claim.Open(ctx, 1)
	must(err)
	r := l.NewReader(1)
	msgs, err := r.Read(ctx, 1, start.Checkpoint, 10)
	if err != nil || len(msgs) != 1 {
		t.Fatalf("read %d entries: %v", len(msgs), err)
	}
	key := state.Key{Mapping: "deals", Source: msgs[0].Change.Key}
	_, err = claim.Load(ctx, []state.Place{{Key: key, Partition: 1}})
	must(err)
	at := map[string]cdc.Position{s.Lane: msgs[0].Change.Position}
	write := state.Write{Key: key, Known: state.Known{Seen: msgs[0].Change.Position, Live: true}}
	must(claim.Prepare(ctx, 1, state.Intent{Sent: at, Writes: []state.Write{write}}))
	must(claim.Commit(ctx, 1, state.Commit{ID: 1, Writes: []state.Write{write}, Checkpoints: at, Dead: []deadletter.Letter{{Mapping: key.Mapping, Key: key.Source, Error: "refused"}}}))
	must(claim.Renew(ctx))
	_, _, err = claim.Scan(ctx, 1, 0, 10)
	must(err)
	began, err := l.GroupBegan(ctx, "crm")
	if err != nil || !began {
		t.Errorf("the delivery began: %v (%v)", began, err)
	}
	tail, err := l.Tail(ctx)
	if err != nil || tail.LSN != 10 {
		t.Errorf("tail %v (%v)", tail, err)
	}
	lookAfterDeadLetters(t, l, claim)
	_, err = l.Client().XRange(ctx, l.Keys().Stream(s), "-", "+").Result()
	must(err)
	must(claim.Release(ctx, true))
	must(r.Close())
	keepsTheLog(t, l)
	must(store.Close())
	cancel()
	must(<-ended)
}

// lookAfterDeadLetters does with the dead letters what the owner and a person do.
func lookAfterDeadLetters(t *testing.T, l *redislog.Log, claim *state.Claim) {
	t.Helper()
	ctx := t.Context()
	if totals, _, err := claim.Tend(ctx, 1, time.Now(), deadletter.Totals{ToldFull: 1}); err != nil || totals.Parked != 1 {
		t.Errorf("dead letters %+v (%v)", totals, err)
	}
	box := deadletter.Box{Client: l.Client(), Keys: l.Keys(), Target: "crm", Partitions: 2}
	var list []deadletter.Entry
	err := box.Each(ctx, deadletter.Filter{}, func(e deadletter.Entry) error {
		list = append(list, e)
		return nil
	})
	if err != nil || len(list) != 1 {
		t.Errorf("%d dead letters (%v)", len(list), err)
	}
	if n, err := box.Discard(ctx, list); err != nil || n != 1 {
		t.Errorf("%d were discarded (%v)", n, err)
	}
	if totals, err := box.Totals(ctx); err != nil || totals.Discarded != 1 {
		t.Errorf("dead letters %+v (%v)", totals, err)
	}
}

// backfills does with a log what the backfills do.
func backfills(t *testing.T, l *redislog.Log) {
	t.Helper()
	ctx := t.Context()
	b := cdc.Backfill{ID: "b1", Table: cdc.Table{Schema: "public", Name: "deals"}, Reason: cdc.ReasonRequest}
	for i, err := range []error{
		l.AddBackfills(ctx, []cdc.Backfill{b}),
		l.SetBackfillProgress(ctx, b.ID, cdc.BackfillProgress{State: cdc.BackfillRunning}),
		l.StartMappings(ctx, []string{"crm/deals"}, nil),
		l.Refill(ctx, []string{"crm/deals"}, nil),
		l.SetNote(ctx, "a", "b"),
		l.StartMappings(ctx, []string{"crm/gone"}, nil),
		l.ForgetStarted(ctx, []string{"crm/gone"}),
		l.SetReader(ctx, "crm", []string{"deals"}),
		l.WishBackfill(ctx, b.ID, cdc.WishPause),
		l.SetBroken(ctx, "a loss that is being healed"),
	} {
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if list, err := l.Backfills(ctx); err != nil || len(list) != 1 {
		t.Errorf("backfills %v (%v)", list, err)
	}
	if _, err := l.BackfillsVersion(ctx); err != nil {
		t.Error(err)
	}
	if readers, err := l.Readers(ctx); err != nil || len(readers["crm"]) != 1 {
		t.Errorf("readers %v (%v)", readers, err)
	}
	if started, err := l.Started(ctx); err != nil || !started["crm/deals"] {
		t.Errorf("started %v (%v)", started, err)
	}
	if text, err := l.Note(ctx, "a"); err != nil || text != "b" {
		t.Errorf("note %q (%v)", text, err)
	}
}

// keepsTheLog does with a log what bounds it: a look at all of it, a target that is gone
// and one that comes back, the time index.
func keepsTheLog(t *testing.T, l *redislog.Log) {
	t.Helper()
	ctx := t.Context()
	if err := l.EnsureGroups(ctx, []string{"crm", "old"}); err != nil {
		t.Error(err)
	}
	survey, err := l.Survey(ctx)
	if err != nil || len(survey.Streams) == 0 {
		t.Errorf("survey %+v (%v)", survey, err)
	}
	if _, err := l.Return(ctx, "crm", nil); err != nil {
		t.Error(err)
	}
	if traces, err := l.Traces(ctx, "old"); err != nil || !traces {
		t.Errorf("traces %v (%v)", traces, err)
	}
	if err := l.Forget(ctx, "old"); err != nil {
		t.Error(err)
	}
	if _, _, err := l.PositionAt(ctx, time.Now()); err != nil {
		t.Error(err)
	}
	trimmer := l.NewTrimmer(redislog.TrimOptions{Retention: redislog.Retention{Age: time.Nanosecond, Bytes: 1 << 20}, Targets: []string{"crm"}})
	trimming, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- trimmer.Run(trimming) }()
	for trimmer.Stats().Survey == nil {
		select {
		case err := <-ended:
			t.Fatalf("the trimmer ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
