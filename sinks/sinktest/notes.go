package sinktest

import (
	"context"
	"maps"
	"sync"

	"github.com/walbridge/walbridge/sinks"
)

// Notes are sinks.Notes in memory, for tests. They are safe for concurrent use.
type Notes struct {
	mu     sync.Mutex // covers spaces
	spaces map[string]map[string]string
}

var _ sinks.Notes = (*Notes)(nil)

// NewNotes makes empty ones.
func NewNotes() *Notes { return &Notes{spaces: make(map[string]map[string]string)} }

// Get gives the notes of some keys.
func (n *Notes) Get(ctx context.Context, space string, keys []string) (map[string]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, &sinks.Retryable{Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[string]string, len(keys))
	for _, key := range keys {
		if note, ok := n.spaces[space][key]; ok {
			out[key] = note
		}
	}
	return out, nil
}

// All gives all notes of a space.
func (n *Notes) All(ctx context.Context, space string) (map[string]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, &sinks.Retryable{Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[string]string, len(n.spaces[space]))
	maps.Copy(out, n.spaces[space])
	return out, nil
}

// Set writes notes; an empty one is removed.
func (n *Notes) Set(ctx context.Context, space string, notes map[string]string) error {
	if err := ctx.Err(); err != nil {
		return &sinks.Retryable{Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.spaces[space] == nil {
		n.spaces[space] = make(map[string]string)
	}
	for key, note := range notes {
		if note == "" {
			delete(n.spaces[space], key)
			continue
		}
		n.spaces[space][key] = note
	}
	return nil
}
