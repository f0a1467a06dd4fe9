package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func held(s *Server) int { return len(s.Objects("crm", "Opportunity")) }

func TestStatusFaultBeforeAndAfter(t *testing.T) {
	s := New(Options{})
	inject(t, s,
		Fault{Kind: Status, App: "forecast", Status: 500},
		Fault{Kind: Status, App: "crm", Status: 503, RetryAfter: 1500 * time.Millisecond, Times: 2},
		Fault{Kind: Status, App: "crm", Status: 502, After: true})
	post := func() answer { return call(t, s, "POST", "/crm/batch", upsert("1", "{}", "1-0")) }
	for range 2 {
		a := post()
		wantStatus(t, a, 503)
		if got := a.header.Get("Retry-After"); got != "2" {
			t.Fatalf("Retry-After %q, want 2", got)
		}
	}
	if held(s) != 0 {
		t.Fatal("a fault before applying must leave nothing behind")
	}
	wantStatus(t, post(), 502)
	if held(s) != 1 {
		t.Fatal("a fault after applying must leave the record behind")
	}
	wantOK(t, post())
	if left := s.Faults(); len(left) != 1 || left[0].App != "forecast" {
		t.Fatalf("faults left %+v, want the one of forecast", left)
	}
	if got := s.Stats()["crm"].Faults; got != 3 {
		t.Fatalf("counted %d faults, want 3", got)
	}
}

func TestDelayTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		inject(t, s, Fault{Kind: Delay, Delay: 3 * time.Second}, Fault{Kind: Status, Status: 500, Delay: time.Second})
		start := time.Now()
		wantOK(t, call(t, s, "POST", "/crm/batch", upsert("1", "{}", "1-0")))
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want 3s", d)
		}
		start = time.Now()
		wantStatus(t, call(t, s, "POST", "/crm/batch", upsert("1", "{}", "1-0")), 500)
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v, want 1s", d)
		}
	})
}

func TestHangUntilTheClientGivesUp(t *testing.T) {
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Options{})
			inject(t, s, Fault{Kind: Hang, After: after})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			a := callCtx(ctx, t, s, "POST", "/crm/batch", upsert("1", "{}", "1-0"))
			if d := time.Since(start); d != time.Minute || a.body != "" {
				t.Errorf("after %v: answered %q after %v, want nothing until the client left", after, a.body, d)
			}
			if applied := held(s) == 1; applied != after {
				t.Errorf("after %v: applied %v", after, applied)
			}
		})
	}
}

func TestBrokenAnswers(t *testing.T) {
	body := upsert("1", "{}", "1-0")
	t.Run("reset", func(t *testing.T) {
		s := New(Options{})
		inject(t, s, Fault{Kind: Reset}, Fault{Kind: Reset, After: true})
		post := serve(t, s)
		for _, want := range []int{0, 1} {
			if resp, _, err := post(body); err == nil {
				t.Fatalf("answered %d, want a broken connection", resp.StatusCode)
			}
			if held(s) != want {
				t.Fatalf("holds %d records, want %d", held(s), want)
			}
		}
	})
	t.Run("truncated", func(t *testing.T) {
		s := New(Options{})
		inject(t, s, Fault{Kind: Truncate})
		_, got, err := serve(t, s)(body)
		if err == nil || len(got) == 0 {
			t.Fatalf("read %q with error %v, want a part and an error", got, err)
		}
		if held(s) != 1 {
			t.Fatal("a truncated answer must have applied the record")
		}
	})
	t.Run("garbage", func(t *testing.T) {
		s := New(Options{})
		inject(t, s, Fault{Kind: Garbage})
		resp, got, err := serve(t, s)(body)
		if err != nil || resp.StatusCode != http.StatusOK || json.Valid(got) {
			t.Fatalf("got %q, %v; want a 200 that is not JSON", got, err)
		}
		if held(s) != 0 {
			t.Fatal("garbage before applying must leave nothing behind")
		}
	})
}

func TestRefusalFallsOnTheRecordAlone(t *testing.T) {
	s := New(Options{})
	inject(t, s,
		Fault{Kind: Refuse, Times: Forever, Refusal: &Refusal{Field: "Id", Value: json.RawMessage(`"2"`), Code: "DUPLICATE_VALUE", Message: "no"}},
		Fault{Kind: Refuse, Refusal: &Refusal{
			Match: func(r Record) bool { return r.Op == "delete" }, Code: "UNABLE_TO_LOCK_ROW", Retryable: true,
		}})
	body := `{"object":"Lead","records":[{"op":"upsert","key":{"Id":"1"},"fields":{}},
		{"op":"upsert","key":{"Id":"2"},"fields":{}},{"op":"delete","key":{"Id":"3"}},{"op":"delete","key":{"Id":"1"}}]}`
	for round, want := range [][]string{
		{"", "DUPLICATE_VALUE", "UNABLE_TO_LOCK_ROW", ""},
		{"", "DUPLICATE_VALUE", "", ""},
	} {
		a := call(t, s, "POST", "/crm/batch", body)
		wantStatus(t, a, http.StatusMultiStatus)
		for i, r := range a.results {
			if r.Code != want[i] || r.OK != (want[i] == "") || r.Retryable != (want[i] == "UNABLE_TO_LOCK_ROW") {
				t.Errorf("round %d record %d: %+v, want code %q", round, i, r, want[i])
			}
		}
	}
	if len(s.Objects("crm", "Lead")) != 0 {
		t.Errorf("holds %v, want nothing: 1 was deleted, 2 refused", s.Objects("crm", "Lead"))
	}
}

func TestRandomFaultsFollowTheSeed(t *testing.T) {
	run := func(seed uint64) (outcomes string) {
		s := New(Options{Seed: seed})
		inject(t, s, Fault{Kind: Status, Status: 500, Rate: 0.3, Times: Forever})
		for range 200 {
			if a := call(t, s, "POST", "/crm/batch", upsert("1", "{}", "1-0")); a.status == 500 {
				outcomes += "x"
			} else {
				outcomes += "."
			}
		}
		if n := s.Stats()["crm"].Faults; n < 30 || n > 90 {
			t.Errorf("%d faults of 200 at a rate of 0.3", n)
		}
		return outcomes
	}
	first, again := run(1), run(1)
	if first != again {
		t.Error("the same seed gave different faults")
	}
	if run(1) == run(2) {
		t.Error("different seeds gave the same faults")
	}
}

func TestInjectRefusesNonsense(t *testing.T) {
	s := New(Options{})
	for name, f := range map[string]Fault{
		"kind":    {Kind: "explode"},
		"status":  {Kind: Status, Status: 99},
		"delay":   {Kind: Delay},
		"refusal": {Kind: Refuse, Refusal: &Refusal{}},
		"rate":    {Kind: Hang, Rate: 1.5},
		"times":   {Kind: Hang, Times: -2},
	} {
		if err := s.Inject(Fault{Kind: Hang}, f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if left := s.Faults(); len(left) != 0 {
		t.Errorf("an error must add none; there are %+v", left)
	}
}
