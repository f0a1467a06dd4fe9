package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A result with a status of its own means what that says: only a refusal parks a record.
func TestStatusOfAResult(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMultiStatus)
		fmt.Fprint(w, `{"results":[{"ok":false,"status":422,"code":"BAD"},{"ok":false,"status":503,"code":"BUSY"},{"ok":false,"status":"429"},`+
			`{"ok":false,"status":408},{"ok":false,"status":500,"retryable":false,"code":"NEVER"},{"ok":false,"status":503,"retryable":true}]}`)
	})
	rs, err := c.Deliver(t.Context(), batch(6))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rs {
		got = append(got, outcome(r.Err))
	}
	if want := "BAD, unknown 0s, throttled 0s, unknown 0s, NEVER, retry 0s"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
}
