package sinks

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Then is what an error is taken for.
type Then string

// What a Rule can say.
const (
	ThenRetry    Then = "retry"           // Retryable
	ThenThrottle Then = "throttle"        // Throttled
	ThenReject   Then = "reject"          // Rejected
	ThenWait     Then = "wait_for_parent" // WaitForParent
	ThenPause    Then = "pause"           // Paused
	ThenAccept   Then = "accept"          // no error: it is delivered
)

// Thens lists what a Rule can say.
func Thens() []Then {
	return []Then{ThenRetry, ThenThrottle, ThenReject, ThenWait, ThenPause, ThenAccept}
}

// Rule says what an answer of a target means. All that it names must fit; what is left
// empty fits anything.
type Rule struct {
	// Statuses are numbers such as 409 or classes such as 5xx.
	Statuses []string
	// Codes are the target's own words, compared as they are.
	Codes []string
	// Message is looked for in the target's own text.
	Message *regexp.Regexp
	Then    Then
	// After is how long to wait, where Then makes something wait; zero for what the
	// target said, or else a back-off.
	After time.Duration
}

// StatusForm is what each of Rule.Statuses looks like.
var StatusForm = regexp.MustCompile(`^[1-5]([0-9][0-9]|xx)$`)

// codeForm is what a code looks like that may stand in metrics and lists.
var codeForm = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,80}$`)

func (r *Rule) fits(a *Answer) bool {
	status := func(s string) bool {
		class, isClass := strings.CutSuffix(s, "xx")
		text := fmt.Sprint(a.Status)
		return s == text || isClass && len(text) == 3 && text[:1] == class
	}
	switch {
	case len(r.Statuses) > 0 && !slices.ContainsFunc(r.Statuses, status):
		return false
	case len(r.Codes) > 0 && (a.Code == "" || !slices.Contains(r.Codes, a.Code)):
		return false
	case r.Message != nil && !r.Message.MatchString(a.Message):
		return false
	}
	return true
}

// Classify gives an error the kind that the first fitting rule says: nil for one that
// counts as delivered. An error without an Answer, or that no rule fits, stays what
// it is.
func Classify(rules []Rule, err error) error {
	var a *Answer
	if err == nil || !errors.As(err, &a) {
		return err
	}
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.fits(a) })
	if i < 0 {
		return err
	}
	r, said := &rules[i], after(err)
	if r.After > 0 {
		said = r.After
	}
	// Not the error itself: it may be of another kind.
	of := *a
	of.Unknown = Unknown(err)
	switch r.Then {
	case ThenRetry:
		return &Retryable{Err: &of, After: said, Unknown: of.Unknown}
	case ThenThrottle:
		return &Throttled{Err: &of, After: said}
	case ThenReject:
		return &Rejected{Err: &of, Code: codeOf(&of)}
	case ThenWait:
		return &WaitForParent{Err: &of, Code: codeOf(&of), After: said}
	case ThenPause:
		return &Paused{Err: &of, After: said}
	case ThenAccept:
		return nil
	}
	return err
}

// codeOf is the word by which dead letters are grouped.
func codeOf(a *Answer) string {
	switch {
	case codeForm.MatchString(a.Code):
		return a.Code
	case a.Code == "" && a.Status > 0:
		return fmt.Sprintf("http_%d", a.Status)
	}
	return "" // what is not a word may be a text that quotes the record
}

// after is how long an error asks to wait.
func after(err error) time.Duration {
	var (
		ret *Retryable
		thr *Throttled
	)
	switch {
	case errors.As(err, &ret):
		return ret.After
	case errors.As(err, &thr):
		return thr.After
	}
	return 0
}

// WithRules gives a target whose answers mean what the rules say, for a whole answer and
// for each record of it. The first rule that fits counts. Its abilities are found by As.
func WithRules(t Target, rules []Rule) Target {
	if len(rules) == 0 {
		return t
	}
	return &ruled{Target: t, rules: rules}
}

type ruled struct {
	Target
	rules []Rule
}

// Unwrap gives the target itself.
func (r *ruled) Unwrap() Target { return r.Target }

func (r *ruled) Deliver(ctx context.Context, b Batch) ([]Result, error) {
	rs, err := r.Target.Deliver(ctx, b)
	if err != nil {
		if err = Classify(r.rules, err); err == nil {
			return make([]Result, len(b.Records)), nil
		}
		return nil, err
	}
	for i := range rs {
		rs[i].Err = Classify(r.rules, rs[i].Err)
	}
	return rs, nil
}
