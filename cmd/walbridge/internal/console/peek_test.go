package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// peeker gives one queue to who has the pass.
type peeker struct{ asked []PeekQuestion }

func (p *peeker) Peek(_ context.Context, pass string, q PeekQuestion) (*Queue, error) {
	p.asked = append(p.asked, q)
	switch {
	case pass != "good":
		return nil, ErrPass
	case q.Target == "nobody":
		return nil, &NoTargetError{Target: q.Target}
	case q.Target == "broken":
		return nil, errors.New("redis is away")
	}
	return &Queue{Target: q.Target, Owner: "me", State: QueueOwned, Keys: []QueueKey{{Mapping: "deals", Key: []byte(`{"id":7}`), Stage: StageReady}}}, nil
}

// A queue is shown to who has a pass, and what is asked for arrives.
func TestPeek(t *testing.T) {
	p := &peeker{}
	base, _ := start(t, &fake{status: full()}, func(s *Server) { s.peeker = p })
	for _, tc := range []struct {
		query, pass string
		status      int
		want        string
	}{
		{"target=crm", "", 403, "ask by walbridge peek"},
		{"target=crm", "bad", 403, "ask by walbridge peek"},
		{"target=nobody", "good", 404, "this process does not deliver to target nobody"},
		{"target=broken", "good", 503, "redis is away"},
		{"target=crm&limit=x", "good", 400, "write a number from 0 to 1000"},
		{"target=crm&limit=1001", "good", 400, "write a number from 0 to 1000"},
		{"target=crm", "good", 200, `"keys":[{"mapping":"deals","key":{"id":7}`},
		{(PeekQuestion{Target: "crm", Mapping: "m", Key: `{"a": "b&c"}`, Lane: "bulk", Limit: 7, Values: true}).Query(), "good", 200, `"state":"owned"`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/peek?"+tc.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tc.pass)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tc.status || !strings.Contains(string(body), tc.want) || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %d and %s", tc.query, resp.StatusCode, body, tc.status, tc.want)
		}
	}
	if got := p.asked[len(p.asked)-2:]; got[0] != (PeekQuestion{Target: "crm", Limit: 20}) || got[1] != (PeekQuestion{Target: "crm", Mapping: "m", Key: `{"a": "b&c"}`, Lane: "bulk", Limit: 7, Values: true}) {
		t.Errorf("asked were %+v", got)
	}
	without, _ := start(t, &fake{status: full()}, nil)
	if resp, body := do(t, http.MethodGet, without+"/api/peek?target=crm"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("without a peeker: %d %s", resp.StatusCode, body)
	}
}
