package notes

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/sinks"
)

// Keys names the keys of a target's notes: all of them have one hash tag.
type Keys struct {
	// Spaces is the hash whose fields are the names of spaces.
	Spaces string
	// Space names the hash of a space.
	Space func(space string) string
}

// Redis are the notes of one target. It is safe for concurrent use.
type Redis struct {
	client redis.UniversalClient
	keys   Keys
}

var _ sinks.Notes = (*Redis)(nil)

// New makes them. It does not connect.
func New(client redis.UniversalClient, keys Keys) *Redis { return &Redis{client: client, keys: keys} }

// page bounds what one command asks for.
const page = 1000

// Get gives the notes of some keys.
func (r *Redis) Get(ctx context.Context, space string, keys []string) (map[string]string, error) {
	out := make(map[string]string, len(keys))
	for len(keys) > 0 {
		part := keys[:min(page, len(keys))]
		keys = keys[len(part):]
		values, err := r.client.HMGet(ctx, r.keys.Space(space), part...).Result()
		if err != nil {
			return nil, failed("read", err)
		}
		for i, v := range values {
			if text, ok := v.(string); ok {
				out[part[i]] = text
			}
		}
	}
	return out, nil
}

// All gives all notes of a space.
func (r *Redis) All(ctx context.Context, space string) (map[string]string, error) {
	out, err := r.client.HGetAll(ctx, r.keys.Space(space)).Result()
	if err != nil {
		return nil, failed("read", err)
	}
	return out, nil
}

// Set writes notes, all or none.
func (r *Redis) Set(ctx context.Context, space string, notes map[string]string) error {
	var set, gone []string
	for k, v := range notes {
		if v == "" {
			gone = append(gone, k)
		} else {
			set = append(set, k, v)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	_, err := r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, r.keys.Spaces, space, 1)
		if len(set) > 0 {
			p.HSet(ctx, r.keys.Space(space), set)
		}
		if len(gone) > 0 {
			p.HDel(ctx, r.keys.Space(space), gone...)
		}
		return nil
	})
	if err != nil {
		return failed("write", err)
	}
	return nil
}

// failed is of notes that cannot be kept now. Whether they were written is known to no use:
// what is noted says the same when it is noted again.
func failed(what string, err error) error {
	return &sinks.Retryable{Err: fmt.Errorf("%s the notes of the target: %w", what, err)}
}
