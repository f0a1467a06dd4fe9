package deliver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/walbridge/walbridge/cdc"
)

// fakeReplays keeps replays in memory by the rules of package redislog. It outlives the
// engines.
type fakeReplays struct {
	log   *fakeLog
	store *fakeStore

	mu      sync.Mutex // covers all below
	version int
	list    []cdc.Replay
	stopped map[string]bool
	ended   map[string]bool
	at      map[replayAt]map[string]cdc.Position
	parts   map[replayAt]cdc.ReplayProgress
	read    int // pages
}

type replayAt struct {
	id        string
	partition int
}

func newFakeReplays(l *fakeLog, s *fakeStore) *fakeReplays {
	r := &fakeReplays{log: l, store: s, stopped: map[string]bool{}, ended: map[string]bool{}, at: map[replayAt]map[string]cdc.Position{}, parts: map[replayAt]cdc.ReplayProgress{}}
	s.replays = r
	return r
}

// ask asks for a replay.
func (r *fakeReplays) ask(spec cdc.Replay) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	spec.ID = fmt.Sprint("r", len(r.list)+1)
	r.list = append(r.list, spec)
	r.version++
	return spec.ID
}

func (r *fakeReplays) wish(id string, run bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped[id] = !run
	r.version++
}

// progress adds up how far a replay is.
func (r *fakeReplays) progress(id string) (sum cdc.ReplayProgress, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range partitions {
		one := r.parts[replayAt{id, p}]
		sum.Add(&one)
	}
	return sum, r.ended[id]
}

// low is up to where a stream is held by no replay.
func (r *fakeReplays) low(s cdc.Stream, high cdc.Position) cdc.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, spec := range r.list {
		if r.ended[spec.ID] {
			continue
		}
		at := spec.From
		if have, ok := r.at[replayAt{spec.ID, s.Partition}][s.Lane]; ok && at.Before(have) {
			at = have
		}
		if at.Before(high) {
			high = at
		}
	}
	return high
}

func (r *fakeReplays) Version(context.Context) (string, error) {
	if before, after := r.store.faultOf("replays"); before != nil || after != nil {
		return "", before
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint("v", r.version), nil
}

func (r *fakeReplays) Running(context.Context) ([]cdc.Replay, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.list), func(s cdc.Replay) bool { return r.stopped[s.ID] || r.ended[s.ID] }), nil
}

func (r *fakeReplays) Place(_ context.Context, id string, partition int) (map[string]cdc.Position, cdc.ReplayProgress, error) {
	if before, after := r.store.faultOf("place"); before != nil || after != nil {
		return nil, cdc.ReplayProgress{}, cmpErr(before, after)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := replayAt{id, partition}
	return maps.Clone(r.at[k]), r.parts[k], nil
}

func (r *fakeReplays) Read(ctx context.Context, partition int, from map[string]cdc.Position, max int) ([]cdc.Message, error) {
	r.mu.Lock()
	r.read++
	r.mu.Unlock()
	return r.log.Read(ctx, partition, from, max)
}

func (r *fakeReplays) Finish(_ context.Context, id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range partitions {
		if !r.parts[replayAt{id, p}].Done {
			return false, nil
		}
	}
	r.ended[id] = true
	r.version++
	return true, nil
}

// set is called under the lease.
func (r *fakeReplays) set(partition int, id string, at map[string]cdc.Position, p cdc.ReplayProgress) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := replayAt{id, partition}
	for lane, pos := range r.at[k] {
		if at[lane].Before(pos) {
			return fmt.Errorf("replay %s goes back in %s from %v to %v", id, lane, pos, at[lane])
		}
	}
	r.at[k], r.parts[k] = maps.Clone(at), p
	return nil
}

func cmpErr(before, after error) error {
	if before != nil {
		return before
	}
	return after
}

// faultOf draws a fault.
func (s *fakeStore) faultOf(call string) (before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault(call)
}

func (c *fakeClaim) SetReplay(_ context.Context, partition int, id string, at map[string]cdc.Position, p cdc.ReplayProgress) error {
	return c.do("set replay", partition, c.of(partition), func() error { return c.s.replays.set(partition, id, at, p) })
}
