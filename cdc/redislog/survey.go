package redislog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Survey is what is known of a log at one moment: what is in it, and who has read
// how much of that.
type Survey struct {
	Now      time.Time
	Streams  []StreamSurvey
	Memory   Memory
	Detached map[string]Detached
}

// StreamSurvey is of one stream.
type StreamSurvey struct {
	Stream  cdc.Stream
	Entries int64
	// Bytes is the memory of the stream, as MEMORY USAGE counts it: on Redis 7 about a
	// tenth more than it is.
	Bytes int64
	// First and Last are the Positions of the entries that are there; zero without any.
	First, Last cdc.Position
	// FirstAt is when the first was committed.
	FirstAt time.Time
	// Groups are the consumer groups with the last Position that each has read.
	Groups map[string]cdc.Position
}

// Memory is that of the server which is the fullest.
type Memory struct {
	// Used is what counts against Max; Max is zero where nothing bounds it.
	Used, Max int64
	// Known is false for an embedded server, which does not tell.
	Known bool
}

// Bytes is the memory of all streams.
func (s *Survey) Bytes() (n int64) {
	for i := range s.Streams {
		n += s.Streams[i].Bytes
	}
	return n
}

// Readers are the targets that are attached, and whoever else has a consumer group.
func (s *Survey) Readers(targets []string) []string {
	names := map[string]bool{}
	for _, t := range targets {
		names[t] = true
	}
	for i := range s.Streams {
		for name := range s.Streams[i].Groups {
			names[name] = true
		}
	}
	for name := range s.Detached {
		delete(names, name)
	}
	return slices.Sorted(maps.Keys(names))
}

// Unread is about how many bytes of the log a reader has not read.
func (s *Survey) Unread(reader string) int64 {
	sum := 0.0
	for i := range s.Streams {
		if st := &s.Streams[i]; st.Entries > 0 {
			sum += (1 - st.part(st.Groups[reader])) * float64(st.Bytes)
		}
	}
	return int64(sum)
}

// Oldest is when the first entry of the log was committed; zero if it is empty.
func (s *Survey) Oldest() (at time.Time) {
	for i := range s.Streams {
		if st := &s.Streams[i]; st.Entries > 0 && (at.IsZero() || st.FirstAt.Before(at)) {
			at = st.FirstAt
		}
	}
	return at
}

// surveyScript looks at a stream.
//
// KEYS: the stream.
// Output: nothing if it is not there; else the number of entries, its bytes, the ids
// of the first and last entry and the commit time of the first (empty without
// entries), then name and position of each group.
var surveyScript = redis.NewScript(`
local r = redis.pcall('XINFO', 'STREAM', KEYS[1])
if r.err then
  if string.find(r.err, 'no such key', 1, true) then return {} end
  return r
end
local s = {}
for i = 1, #r, 2 do s[r[i]] = r[i + 1] end
local out = {tostring(s['length']), tostring(redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)), '', '', ''}
if s['first-entry'] then
  out[3], out[4] = s['first-entry'][1], s['last-entry'][1]
  local f = s['first-entry'][2]
  for i = 1, #f, 2 do
    if f[i] == 'ts' then out[5] = f[i + 1] end
  end
end
for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local of = {}
  for i = 1, #g, 2 do of[g[i]] = g[i + 1] end
  out[#out + 1] = of['name']
  out[#out + 1] = of['last-delivered-id']
end
return out`)

// Survey looks at the whole log. Every node of every stream is measured: a thousand
// megabytes take a server some seven milliseconds, and a sample would be of the
// oldest nodes only. An embedded server has no more than the groups to tell.
func (l *Log) Survey(ctx context.Context) (*Survey, error) {
	s := &Survey{Now: time.Now(), Streams: make([]StreamSurvey, len(l.streams))}
	var err error
	// Before the groups: one that comes back has its groups first.
	if s.Detached, err = l.Detached(ctx); err != nil {
		return nil, err
	}
	if s.Memory, err = l.memory(ctx); err != nil {
		return nil, err
	}
	if !s.Memory.Known {
		for i, stream := range l.streams {
			s.Streams[i].Stream = stream
		}
		return s, nil
	}
	pipe := l.client.Pipeline()
	answers := make([]*redis.Cmd, len(l.streams))
	for i, stream := range l.streams {
		answers[i] = surveyScript.Eval(ctx, pipe, []string{l.keys.Stream(stream)})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look at the log: %w", err)
	}
	for i, stream := range l.streams {
		texts, err := answers[i].StringSlice()
		if err == nil {
			s.Streams[i], err = streamSurvey(texts)
		}
		if err != nil {
			return nil, fmt.Errorf("look at stream %v: %w", stream, err)
		}
		s.Streams[i].Stream = stream
	}
	return s, nil
}

func streamSurvey(texts []string) (st StreamSurvey, err error) {
	st.Groups = map[string]cdc.Position{}
	if len(texts) == 0 {
		return st, nil
	}
	if st.Entries, err = strconv.ParseInt(texts[0], 10, 64); err != nil {
		return st, err
	}
	if st.Bytes, err = strconv.ParseInt(texts[1], 10, 64); err != nil {
		return st, err
	}
	if texts[2] != "" {
		if st.First, err = cdc.ParsePosition(texts[2]); err != nil {
			return st, err
		}
		if st.Last, err = cdc.ParsePosition(texts[3]); err != nil {
			return st, err
		}
		micros, err := strconv.ParseInt(texts[4], 10, 64)
		if err != nil {
			return st, fmt.Errorf("read commit time of entry %s: %w", texts[2], err)
		}
		st.FirstAt = time.UnixMicro(micros).UTC()
	}
	for i := 5; i+1 < len(texts); i += 2 {
		if st.Groups[texts[i]], err = cdc.ParsePosition(texts[i+1]); err != nil {
			return st, err
		}
	}
	return st, nil
}

// memory asks how full the server is; of a cluster's nodes, the fullest. One that does
// not let us ask has no mark that we could see.
func (l *Log) memory(ctx context.Context) (m Memory, err error) {
	places, err := l.places(ctx, l.client)
	if err != nil {
		return m, err
	}
	for _, p := range places {
		info, err := infoOf(ctx, p.client, "memory")
		n := memoryOf(info)
		if isRefused(err) {
			n, err = Memory{Known: true}, nil
		}
		if err != nil {
			return m, err
		}
		if !m.Known || n.fill() > m.fill() {
			m = n
		}
	}
	return m, nil
}

// memoryOf reads INFO memory. What the server does not count when it refuses a write
// is not counted here.
func memoryOf(info map[string]string) (m Memory) {
	number := func(name string) int64 {
		n, err := strconv.ParseInt(info[name], 10, 64)
		if err != nil {
			return 0 // an older server does not tell it
		}
		return n
	}
	_, m.Known = info["used_memory"]
	m.Used, m.Max = number("used_memory")-number("mem_not_counted_for_evict"), number("maxmemory")
	return m
}

func (m Memory) fill() float64 {
	if m.Max == 0 {
		return 0
	}
	return float64(m.Used) / float64(m.Max)
}
