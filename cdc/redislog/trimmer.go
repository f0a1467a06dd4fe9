package redislog

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// TrimOptions say what a Trimmer keeps.
type TrimOptions struct {
	Retention
	// Targets are those that the configuration has mappings for: they are attached from
	// the start, whether they ever ran or not.
	Targets []string
	// Idle tells that another process has the log; nil if none ever has. Two that trim
	// do no harm.
	Idle func() bool
}

// Trimmer keeps the log within its retention. What it does is decided by decide; here
// are the looks at the server and the work on it. Whatever it decides, a cut goes no
// further than every consumer group of the stream has read at that very moment.
type Trimmer struct {
	log    *Log
	o      TrimOptions
	logger *slog.Logger

	// Of the goroutine of Run alone:
	seen    map[string]progress // of the readers
	told    map[string]bool     // what was said already
	looking time.Duration       // how long the last look took
	failing bool

	mu    sync.Mutex // covers stats
	stats TrimStats
}

// progress is up to where a reader had read, and since when.
type progress struct {
	sum   string
	since time.Time
}

// TrimStats is what a Trimmer last saw, and what it did.
type TrimStats struct {
	// Trimmed counts entries since the start.
	Trimmed uint64
	// Survey is the last look; nil before the first.
	Survey *Survey
	// Over are the bytes that would have to go and are unread.
	Over int64
}

// NewTrimmer makes a trimmer. It starts nothing.
func (l *Log) NewTrimmer(o TrimOptions) *Trimmer {
	return &Trimmer{log: l, o: o, logger: l.logger, seen: map[string]progress{}, told: map[string]bool{}}
}

// Stats gives what was last seen; it may be called from anywhere. The survey is not
// to be changed.
func (t *Trimmer) Stats() TrimStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Targets are those that are attached from the start.
func (t *Trimmer) Targets() []string { return t.o.Targets }

const (
	trimEvery = time.Second
	// trimShare is which part of the time the server may be kept busy by looks. One that
	// took long for another reason must not keep a full log waiting.
	trimShare   = 100
	trimSeldom  = 15 * time.Second
	trimPressed = 3 * time.Second
	// trimRounds bounds the looks within a pass.
	trimRounds = 8
)

// Run trims until ctx ends. A server that does not answer is tried again.
func (t *Trimmer) Run(ctx context.Context) error {
	if t.o.Bytes == 0 {
		if m, err := t.log.memory(ctx); err == nil && m.Known && m.Max == 0 {
			t.logger.Info("only its age bounds the log: neither redis.retention.bytes nor the server's maxmemory is set", "age", t.o.Age)
		}
	}
	wait := time.Duration(0) // a full log is looked at at once
	for cdc.Sleep(ctx, wait) == nil {
		wait = trimEvery
		if t.o.Idle != nil && t.o.Idle() {
			continue
		}
		err := t.pass(ctx)
		most := trimSeldom
		if err != nil || t.Stats().Over > 0 {
			most = trimPressed
		}
		wait = max(wait, min(trimShare*t.looking, most))
		switch {
		case ctx.Err() != nil:
		case err == nil:
			t.failing = false
		case !t.failing:
			t.failing = true
			t.logger.Warn("the log cannot be trimmed", "error", err)
		}
	}
	return nil
}

// pass brings the log within its bounds once, as far as that goes.
func (t *Trimmer) pass(ctx context.Context) error {
	for round := range trimRounds {
		began := time.Now()
		s, err := t.log.Survey(ctx)
		if err != nil {
			return err
		}
		t.looking = time.Since(began)
		if !s.Memory.Known { // an embedded server cannot be trimmed, and need not
			t.publish(s, 0)
			return nil
		}
		if err := t.settle(ctx, s); err != nil {
			return err
		}
		d := demand{Retention: t.o.Retention, targets: t.o.Targets, still: t.still(s)}
		if d.horizon, err = t.horizon(ctx, s.Now); err != nil {
			return err
		}
		p := decide(s, d)
		t.publish(s, p.over)
		n, err := t.cut(ctx, p.cuts)
		if err == nil && round == 0 {
			err = t.log.trimTimes(ctx, s)
		}
		if err == nil && p.detach != "" {
			err = t.detach(ctx, s, p)
		}
		if err != nil {
			return err
		}
		t.warn(s, p)
		if p.over == 0 || n == 0 && p.detach == "" {
			return nil
		}
	}
	return nil
}

// horizon is the Position up to which everything is older than the age.
func (t *Trimmer) horizon(ctx context.Context, now time.Time) (cdc.Position, error) {
	if t.o.Age <= 0 {
		return maxPosition, nil
	}
	at, _, err := t.log.PositionAt(ctx, now.Add(-t.o.Age))
	return at, err // zero where it is not known: nothing goes
}

// settle takes the groups from detached targets that still have some: who detached
// them did not get that far.
func (t *Trimmer) settle(ctx context.Context, s *Survey) error {
	for name := range s.Detached {
		there := slices.ContainsFunc(s.Streams, func(st StreamSurvey) bool { _, ok := st.Groups[name]; return ok })
		if !there {
			continue
		}
		if err := t.log.dropGroups(ctx, name); err != nil {
			return err
		}
		for i := range s.Streams {
			delete(s.Streams[i].Groups, name)
		}
	}
	return nil
}

// still tells for how long readers have read nothing although there is something.
func (t *Trimmer) still(s *Survey) map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, name := range s.Readers(t.o.Targets) {
		var b strings.Builder
		behind := false
		for i := range s.Streams {
			st := &s.Streams[i]
			at := st.Groups[name]
			behind = behind || st.Entries > 0 && at.Before(st.Last)
			b.Write(at.Append(nil))
		}
		was, ok := t.seen[name]
		if !ok || !behind || was.sum != b.String() {
			was = progress{sum: b.String(), since: s.Now}
			t.seen[name] = was
		}
		out[name] = s.Now.Sub(was.since)
	}
	return out
}

// cutScript takes entries from a stream that every group has read.
//
// KEYS: the stream, and the hash of how far the partition was trimmed. ARGV: the last
// Position that may go, the one after it, how many may go, 0 for all, and the lane.
// Output: how many went; negative if some group has not read that far.
//
// Whole nodes go first, a bounded number of entries at a time; what then is left lies
// within one node. XTRIM is never refused, also where memory is full.
var cutScript = redis.NewScript(`
local function below(a, b)
  local l1, o1 = string.match(a, '^(%d+)-(%d+)$')
  local l2, o2 = string.match(b, '^(%d+)-(%d+)$')
  if l1 == l2 then l1, l2 = o1, o2 end
  if #l1 ~= #l2 then return #l1 < #l2 end
  return l1 < l2
end
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return 0 end
for _, g in ipairs(groups) do
  for i = 1, #g, 2 do
    if g[i] == 'last-delivered-id' and below(g[i + 1], ARGV[1]) then return -1 end
  end
end
local function trim()
  local most = tonumber(ARGV[3])
  local n = redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[2], 'LIMIT', most == 0 and 20000 or most)
  if n > 0 then return n end
  if most == 0 then return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2]) end
  local few = math.min(most, 100)
  local e = redis.call('XRANGE', KEYS[1], '-', ARGV[1], 'COUNT', few + 1)
  if #e <= few then return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2]) end
  return redis.call('XTRIM', KEYS[1], 'MINID', e[#e][1])
end
local n = trim()
if n > 0 then
  local bound, sign = ARGV[1], '='
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if first then
    if below(first[1], bound) then bound, sign = first[1], '<' end
  else
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' and below(info[i + 1], bound) then bound = info[i + 1] end
    end
  end
  local have = redis.call('HGET', KEYS[2], ARGV[4])
  if not have or below(string.sub(have, 2), bound) then redis.call('HSET', KEYS[2], ARGV[4], sign .. bound) end
end
return n`)

// cut carries out cuts and counts what went.
func (t *Trimmer) cut(ctx context.Context, cuts []cut) (total int64, err error) {
	for len(cuts) > 0 && err == nil {
		var n int64
		n, cuts, err = t.cutOnce(ctx, cuts)
		total += n
	}
	t.mu.Lock()
	t.stats.Trimmed += uint64(total)
	t.mu.Unlock()
	return total, err
}

// cutOnce takes something from each stream, and tells from which there is more to
// take.
func (t *Trimmer) cutOnce(ctx context.Context, cuts []cut) (total int64, left []cut, err error) {
	pipe := t.log.client.Pipeline()
	answers := make([]*redis.Cmd, len(cuts))
	for i, c := range cuts {
		answers[i] = cutScript.Eval(ctx, pipe, []string{t.log.keys.Stream(c.stream), t.log.keys.Trimmed(c.stream.Partition)},
			c.upTo.String(), c.upTo.Next().String(), c.most, c.stream.Lane)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, nil, fmt.Errorf("trim the log: %w", err)
	}
	for i, c := range cuts {
		n, err := answers[i].Int64()
		if err != nil {
			return total, nil, fmt.Errorf("trim stream %v: %w", c.stream, err)
		}
		if n <= 0 { // nothing, or a reader came that has not read that far: the next pass sees it
			continue
		}
		total += n
		if c.most == 0 {
			left = append(left, c)
		} else if c.most -= n; c.most > 0 {
			left = append(left, c)
		}
	}
	return total, left, nil
}

// detach detaches the target that is the cause of a full log, and says so.
func (t *Trimmer) detach(ctx context.Context, s *Survey, p plan) error {
	d := Detached{At: s.Now.UTC(), Bytes: s.Unread(p.detach), Reason: p.reason, Position: maxPosition}
	last, err := t.log.returned(ctx, p.detach)
	if err != nil {
		return err
	}
	if last.Count > 0 && s.Now.Sub(last.At) < returnedFor {
		d.Again = last.Count
	}
	for i := range s.Streams {
		st := &s.Streams[i]
		at := st.Groups[p.detach]
		if st.Entries > 0 && at.Before(st.Last) && at.Before(d.Position) {
			d.Position = at
		}
		d.Entries += int64((1 - st.part(at)) * float64(st.Entries))
	}
	if err := t.log.detach(ctx, p.detach, d); err != nil {
		return err
	}
	hint := "it comes back by a backfill of its tables once it can be reached"
	if !slices.Contains(t.o.Targets, p.detach) {
		hint = "no mapping of this configuration leads there: walbridge target forget " + p.detach
	}
	t.logger.Error("target_detached", "target", p.detach, "why", p.reason, "read_up_to", d.Position.String(),
		"unread_entries", d.Entries, "unread_bytes", d.Bytes, "hint", hint)
	return nil
}

// publish shows what was seen.
func (t *Trimmer) publish(s *Survey, over int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Survey, t.stats.Over = s, over
}

// warn says, once as long as it lasts, what somebody has to look at.
func (t *Trimmer) warn(s *Survey, p plan) {
	now := map[string]func(){}
	for _, name := range s.Strangers(t.o.Targets) {
		now["group "+name] = func() {
			t.logger.Warn("a consumer group holds the log, and no mapping leads to it", "group", name,
				"unread_bytes", s.Unread(name), "hint", "if the target is gone for good: walbridge target forget "+name)
		}
	}
	if p.over > 0 && len(p.cuts) == 0 && p.detach == "" {
		now["full"] = func() {
			who, bytes := s.Holder(t.o.Targets)
			if who == "" {
				t.logger.Warn("redis is above its high mark, and not by the log", "over_bytes", p.over, "log_bytes", s.Bytes(),
					"hint", "what else is in it takes the memory, as the state of delivery does, or another application: give Redis more; where it is full the capture waits")
				return
			}
			t.logger.Warn("the log is above its bound, and what is in it is unread", "over_bytes", p.over, "log_bytes", s.Bytes(),
				"holds_most", who, "unread_bytes", bytes, "hint", "let the targets catch up, or give Redis more memory; where it is full the capture waits")
		}
	}
	for what, say := range now {
		if !t.told[what] {
			say()
		}
	}
	t.told = map[string]bool{}
	for what := range maps.Keys(now) {
		t.told[what] = true
	}
}

// Strangers are the groups that hold the log without being of a target or a replay.
func (s *Survey) Strangers(targets []string) []string {
	return slices.DeleteFunc(s.Readers(targets), func(name string) bool {
		return slices.Contains(targets, name) || strings.HasPrefix(name, ReplayPrefix)
	})
}

// Holder is the reader that has the most bytes unread; empty if all have read all.
func (s *Survey) Holder(targets []string) (name string, bytes int64) {
	for _, r := range s.Readers(targets) {
		if n := s.Unread(r); n > bytes {
			name, bytes = r, n
		}
	}
	return name, bytes
}
