package httpapi

import (
	"net/http"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// TellQuota sets who is told what answers say of quotas.
func (c *Client) TellQuota(f func(sinks.Quota)) { c.quota = f }

func (c *Client) tellQuota(h http.Header) {
	if c.quota == nil {
		return
	}
	if q := transport.QuotaOf(h, c.now()); q.Daily.Known || q.Window.Known {
		c.quota(q)
	}
}
