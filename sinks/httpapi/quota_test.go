package httpapi

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/walbridge/walbridge/sinks"
)

// Every answer tells, whatever its status.
func TestTellsQuota(t *testing.T) {
	status := http.StatusOK
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit-Remaining", "1")
		w.Header().Set("RateLimit-Reset", "9")
		w.WriteHeader(status)
		fmt.Fprint(w, `{"results":[{"ok":true}]}`)
	})
	var told []sinks.Quota
	c.TellQuota(func(q sinks.Quota) { told = append(told, q) })
	for _, status = range []int{200, 429, 500} {
		_, err := c.Deliver(t.Context(), batch(1))
		if (err == nil) != (status == 200) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if len(told) != 3 || told[2].Window.Left != 1 {
		t.Errorf("told %+v", told)
	}
}
