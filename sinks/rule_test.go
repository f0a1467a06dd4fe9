package sinks

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// kindOf writes an error's kind with what belongs to it.
func kindOf(err error) string {
	switch e := err.(type) {
	case nil:
		return "delivered"
	case *Retryable:
		return fmt.Sprintf("retry %v unknown=%v", e.After, Unknown(e))
	case *Throttled:
		return fmt.Sprintf("throttle %v unknown=%v", e.After, Unknown(e))
	case *Paused:
		return fmt.Sprintf("pause %v unknown=%v", e.After, Unknown(e))
	case *Rejected:
		return "reject " + Code(e)
	case *WaitForParent:
		return fmt.Sprintf("wait %s %v", Code(e), e.After)
	}
	return Code(err)
}

func TestClassify(t *testing.T) {
	said := func(status int, code, message string) *Answer {
		return &Answer{Status: status, Code: code, Message: message, Err: errors.New("refused")}
	}
	locked := regexp.MustCompile(`UNABLE_TO_LOCK_ROW|record is locked`)
	rules := []Rule{
		{Codes: []string{"CANNOT_EXECUTE_FLOW_TRIGGER"}, Message: locked, Then: ThenRetry, After: 2 * time.Second},
		{Codes: []string{"CANNOT_EXECUTE_FLOW_TRIGGER", "TOO_OLD"}, Then: ThenReject},
		{Statuses: []string{"404", "410"}, Codes: []string{"GONE"}, Then: ThenAccept},
		{Statuses: []string{"409"}, Then: ThenWait, After: time.Minute},
		{Statuses: []string{"503"}, Then: ThenThrottle},
		{Statuses: []string{"5xx"}, Then: ThenPause, After: time.Hour},
		{Message: regexp.MustCompile(`(?i)no such account`), Then: ThenWait},
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"code and message":         {&Rejected{Err: said(200, "CANNOT_EXECUTE_FLOW_TRIGGER", "x: UNABLE_TO_LOCK_ROW y")}, "retry 2s unknown=false"},
		"the first that fits":      {&Rejected{Err: said(200, "CANNOT_EXECUTE_FLOW_TRIGGER", "no")}, "reject CANNOT_EXECUTE_FLOW_TRIGGER"},
		"one of several codes":     {&Retryable{Err: said(0, "TOO_OLD", "")}, "reject TOO_OLD"},
		"accepted":                 {&Rejected{Err: said(404, "GONE", "")}, "delivered"},
		"all of a rule":            {&Rejected{Err: said(404, "OTHER", ""), Code: "OTHER"}, "reject OTHER"},
		"status":                   {&Rejected{Err: said(409, "", "")}, "wait http_409 1m0s"},
		"what the target asked":    {&Retryable{Err: said(503, "", ""), After: 7 * time.Second, Unknown: true}, "throttle 7s unknown=true"},
		"class, and our own wait":  {&Retryable{Err: said(502, "", ""), After: 7 * time.Second, Unknown: true}, "pause 1h0m0s unknown=true"},
		"no class of a class":      {&Rejected{Err: said(50, "", "")}, "reject rejected"},
		"message":                  {&Rejected{Err: said(0, "", "No Such Account 7")}, "wait waiting_for_parent 0s"},
		"nothing fits":             {&Throttled{Err: said(429, "", ""), After: time.Second}, "throttle 1s unknown=false"},
		"no answer":                {&Retryable{Err: errors.New("reset: no such account"), Unknown: true}, "retry 0s unknown=true"},
		"wrapped":                  {fmt.Errorf("every record: %w", &Retryable{Err: said(409, "", "")}), "wait http_409 1m0s"},
		"no kind":                  {said(409, "", ""), "wait http_409 1m0s"},
		"a code that is no word":   {&Rejected{Err: said(409, "row 7 is bad", "")}, "wait waiting_for_parent 1m0s"},
		"no error":                 {nil, "delivered"},
		"an error without a class": {errors.New("who knows"), "unknown"},
	} {
		got := Classify(rules, c.err)
		if kindOf(got) != c.want {
			t.Errorf("%s: %s, want %s", name, kindOf(got), c.want)
		}
		if got != nil && strings.Contains(got.Error(), "7") {
			t.Errorf("%s: the target's text is in the error %q", name, got)
		}
	}
}

type says struct {
	rs  []Result
	err error
}

func (s *says) Deliver(context.Context, Batch) ([]Result, error) { return s.rs, s.err }
func (s *says) Limits() Limits                                   { return Limits{MaxBatch: 7} }

func TestWithRules(t *testing.T) {
	gone := &Rejected{Err: &Answer{Status: 404, Err: errors.New("no")}, Code: "x"}
	bad := &Rejected{Err: &Answer{Status: 400, Err: errors.New("no")}, Code: "x"}
	s := &says{rs: []Result{{Err: gone}, {Err: bad}, {}}}
	target := WithRules(s, []Rule{{Statuses: []string{"404"}, Then: ThenAccept}, {Statuses: []string{"4xx"}, Then: ThenRetry}})
	b := Batch{Records: make([]Record, 3)}
	rs, err := target.Deliver(t.Context(), b)
	if err != nil || len(rs) != 3 || rs[0].Err != nil || kindOf(rs[1].Err) != "retry 0s unknown=false" || rs[2].Err != nil || target.Limits().MaxBatch != 7 {
		t.Errorf("results %+v, %v", rs, err)
	}
	s.rs, s.err = nil, gone
	if rs, err := target.Deliver(t.Context(), b); err != nil || len(rs) != 3 || rs[0].Err != nil {
		t.Errorf("a whole answer that counts as delivered: %+v, %v", rs, err)
	}
	s.err = bad
	if rs, err := target.Deliver(t.Context(), b); rs != nil || kindOf(err) != "retry 0s unknown=false" {
		t.Errorf("a whole answer: %+v, %v", rs, err)
	}
	if WithRules(s, nil) != Target(s) {
		t.Error("no rules change nothing")
	}
}

// folds is a target with an ability.
type folds struct{ says }

func (*folds) FoldKey(_ string, key Field) string { return InsensitiveKey(key.Value) }
func (*folds) Folds() bool                        { return true }
func (*folds) Abilities(object string) Abilities  { return Abilities{Delete: object == "Lead"} }

// What wraps a target does not hide what it can do.
func TestAs(t *testing.T) {
	target, rules := &folds{}, []Rule{{Then: ThenRetry}}
	for name, wrapped := range map[string]Target{
		"bare": target, "with rules": WithRules(target, rules), "with rules twice": WithRules(WithRules(target, rules), rules),
	} {
		if c, ok := As[Collation](wrapped); !ok || c != Collation(target) {
			t.Errorf("%s: it folds no keys", name)
		}
		if _, ok := As[Prober](wrapped); ok {
			t.Errorf("%s: it has an ability that the target has not", name)
		}
		if !AbilitiesOf(wrapped, "Lead").Delete || AbilitiesOf(wrapped, "Deal").Delete {
			t.Errorf("%s: abilities %+v", name, AbilitiesOf(wrapped, "Lead"))
		}
	}
	if _, ok := As[Collation](WithRules(&says{}, rules)); ok {
		t.Error("a target without the ability has it")
	}
	if a := AbilitiesOf(WithRules(&says{}, rules), "Lead"); !a.Delete || !a.Partial || a.Ordered {
		t.Errorf("a target that does not tell has %+v", a)
	}
	if _, ok := As[Collation](nil); ok {
		t.Error("no target has an ability")
	}
}
