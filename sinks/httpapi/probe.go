package httpapi

import (
	"context"

	"github.com/walbridge/walbridge/sinks/transport"
)

// Probe tells whether something listens at the target's address. It sends
// nothing, and through a proxy of the environment it asks nothing.
func (c *Client) Probe(ctx context.Context) error {
	return transport.Probe(ctx, c.url, c.allowed)
}
