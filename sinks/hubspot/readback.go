package hubspot

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/walbridge/walbridge/sinks"
)

// ReadBack gives records as HubSpot holds them: all values are texts. Fields that are
// associations are not read.
func (c *Client) ReadBack(ctx context.Context, object, key string, values []json.RawMessage, fields []string) ([]sinks.Held, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	asked := slices.DeleteFunc(slices.Clone(fields), func(name string) bool {
		_, is := associationOf(name)
		return is
	})
	var out []sinks.Held
	for part := range slices.Chunk(values, c.limits.MaxBatch) {
		keys := make([]string, len(part))
		for i, v := range part {
			keys[i] = sinks.ExactKey(v)
		}
		results, err := c.read(ctx, object, key, keys, append([]string{key}, asked...))
		if err != nil {
			return nil, err
		}
		for i := range results {
			out = append(out, held(&results[i], key, asked))
		}
	}
	return out, nil
}

func held(r *result, key string, fields []string) sinks.Held {
	h := sinks.Held{Key: quoted(r.property(key)), RemoteID: string(r.ID), Fields: make(map[string]json.RawMessage, len(fields))}
	if key == recordID {
		h.Key = quoted(string(r.ID))
	}
	for _, name := range fields {
		if _, there := r.Properties[name]; !there {
			continue
		}
		h.Fields[name] = json.RawMessage("null")
		if v := r.property(name); v != "" {
			h.Fields[name] = quoted(v)
		}
	}
	return h
}
