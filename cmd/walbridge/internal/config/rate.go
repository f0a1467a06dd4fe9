package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

// Rate is how many requests a target may get.
type Rate struct {
	// Account names whom the target counts requests for: targets with the same one share
	// its limits. The target's name if empty.
	Account string
	// PerSecond is the most requests a second, zero for no fixed limit; Burst how many may
	// go at once, PerSecond (at least one) if zero.
	PerSecond, Burst float64
	// BulkFloor is the share, in per cent, that a lane gets of what more urgent ones of
	// other workers would use.
	BulkFloor int
	// Daily is how many requests the account has in a day, zero if only the target knows.
	Daily int
	// KeepPercent and Keep are what of it is left to people; one of them is zero.
	KeepPercent, Keep int
}

// limits are what targets of one account must agree on.
func (r Rate) limits() Rate {
	r.Account = ""
	return r
}

// Retry bounds the tries of a record that a target refuses for now.
type Retry struct {
	// Attempts is how often it is tried before it is parked.
	Attempts int
	// Initial is the bound of the first wait, which doubles up to Max.
	Initial, Max time.Duration
}

// Account is the one that the target belongs to.
func (t Target) Account() string {
	if t.Rate.Account != "" {
		return t.Rate.Account
	}
	return t.Name
}

// RateOf gives the limits of an account: of the first target that says any.
func (c *Config) RateOf(account string) Rate {
	out := defaultRate()
	for _, t := range c.Targets {
		if t.Account() != account {
			continue
		}
		if out = t.Rate; out.limits() != defaultRate() {
			break
		}
	}
	out.Account = account
	return out
}

func defaultRate() Rate { return Rate{BulkFloor: 5} }

func (l *loader) rate(n *yamldoc.Node, r *Rate) {
	s := l.doc.Section(n, "account", "per_second", "burst", "bulk_floor", "daily", "keep_for_people")
	s.Text("account", &r.Account)
	l.decimal(s.Node("per_second"), &r.PerSecond)
	l.decimal(s.Node("burst"), &r.Burst)
	l.percent(s.Node("bulk_floor"), &r.BulkFloor, "5%")
	s.Int("daily", &r.Daily)
	switch keep := s.Node("keep_for_people"); {
	case keep == nil:
	case strings.HasSuffix(keep.Text, "%"):
		l.percent(keep, &r.KeepPercent, "20%")
	default:
		v, err := strconv.Atoi(keep.Text)
		if err != nil || keep.Kind != yamldoc.Number && !keep.Expanded {
			l.doc.Fail(keep, "neither a number nor a percentage", keep.Shown(), "write how many requests, such as 5000, or a share of the day's, such as 20%")
			return
		}
		r.Keep = v
	}
}

// decimal reads a number that may have a fraction.
func (l *loader) decimal(n *yamldoc.Node, dst *float64) {
	if n == nil {
		return
	}
	v, err := strconv.ParseFloat(n.Text, 64)
	if err != nil || n.Kind != yamldoc.Number && !n.Expanded {
		l.doc.Fail(n, fmt.Sprintf("want a number, not %s", n.Kind), n.Shown(), "write a number such as 25 or 0.5, without quotes")
		return
	}
	*dst = v
}

func (l *loader) retry(n *yamldoc.Node, r *Retry) {
	s := l.doc.Section(n, "attempts", "initial", "max")
	s.Int("attempts", &r.Attempts)
	s.Duration("initial", &r.Initial)
	s.Duration("max", &r.Max)
}

const ruleExample = "write {code: UNABLE_TO_LOCK_ROW, then: retry, after: 2s} as one of a list"

// rules reads what answers of a target mean.
func (l *loader) rules(n *yamldoc.Node, t *Target) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.List {
		l.doc.Fail(n, "want a list of rules, not "+n.Kind.String(), n.Shown(), ruleExample)
		return
	}
	for _, v := range n.Values {
		s := l.doc.Section(v, "status", "code", "message", "then", "after")
		var r sinks.Rule
		var then string
		l.oneOrMore(s.Node("status"), &r.Statuses)
		l.oneOrMore(s.Node("code"), &r.Codes)
		l.pattern(s.Node("message"), &r.Message)
		s.Text("then", &then)
		s.Duration("after", &r.After)
		r.Then = sinks.Then(then)
		t.Errors = append(t.Errors, r)
	}
}

// oneOrMore reads a text or number, or a list of them.
func (l *loader) oneOrMore(n *yamldoc.Node, dst *[]string) {
	if n == nil {
		return
	}
	list := []*yamldoc.Node{n}
	if n.Kind == yamldoc.List {
		if list = n.Values; len(list) == 0 {
			l.doc.Fail(n, "an empty list", "", "write what is to fit, or leave it out")
		}
	}
	for _, v := range list {
		if v.Kind != yamldoc.String && v.Kind != yamldoc.Number {
			l.doc.Fail(v, "want a text or a number, not "+v.Kind.String(), v.Shown(), "write one, or a list of them in [ ]")
			continue
		}
		*dst = append(*dst, v.Text)
	}
}

func (l *loader) pattern(n *yamldoc.Node, dst **regexp.Regexp) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.String && n.Kind != yamldoc.Number {
		l.doc.Fail(n, "want a regular expression, not "+n.Kind.String(), n.Shown(), "put it in quotes")
		return
	}
	re, err := regexp.Compile(n.Text)
	if err != nil {
		l.doc.Fail(n, "not a regular expression ("+strings.TrimPrefix(err.Error(), "error parsing regexp: ")+"):", n.Text, "write it as RE2, such as (?i)no such account; https://github.com/google/re2/wiki/Syntax")
		re = regexp.MustCompile("") // there is one: that it is none would be another mistake
	}
	*dst = re
}

func (t Target) validateLimits(v *validator, at string) {
	r := t.Rate
	if r.Account != "" {
		v.form(at+".rate.account", r.Account, targetForm, "name the account with lower-case letters, digits, - and _")
	}
	v.decimal(at+".rate.per_second", r.PerSecond, 0, 100_000)
	v.decimal(at+".rate.burst", r.Burst, 0, 1_000_000)
	if r.Burst != 0 && r.PerSecond == 0 {
		v.fail(at+".rate.burst", "a burst without per_second", "", "add per_second: the burst is what may go above it")
	}
	if r.BulkFloor < 0 || r.BulkFloor > 25 {
		v.fail(at+".rate.bulk_floor", "out of range", fmt.Sprintf("%d%%", r.BulkFloor), "write a percentage from 1% to 25%, or 0% for none")
	}
	v.number(at+".rate.daily", int64(r.Daily), 0, 1_000_000_000)
	switch {
	case r.KeepPercent < 0 || r.KeepPercent > 99:
		v.fail(at+".rate.keep_for_people", "out of range", fmt.Sprintf("%d%%", r.KeepPercent), "write a percentage from 0% to 99%")
	case r.Keep < 0 || r.Daily > 0 && r.Keep >= r.Daily:
		v.fail(at+".rate.keep_for_people", "not below daily", strconv.Itoa(r.Keep), "nothing would be left for walbridge: write a smaller number")
	}
	v.number(at+".retry.attempts", int64(t.Retry.Attempts), 1, 10_000)
	v.span(at+".retry.initial", t.Retry.Initial, time.Millisecond, time.Hour)
	v.span(at+".retry.max", t.Retry.Max, time.Millisecond, 24*time.Hour)
	if t.Retry.Max < t.Retry.Initial {
		v.fail(at+".retry.max", "less than initial", spanText(t.Retry.Max), "waits grow from initial to max: set both")
	}
	for i := range t.Errors {
		t.validateRule(v, fmt.Sprintf("%s.errors[%d]", at, i), &t.Errors[i])
	}
}

func (t Target) validateRule(v *validator, at string, r *sinks.Rule) {
	thens := make([]string, 0, len(sinks.Thens()))
	for _, then := range sinks.Thens() {
		thens = append(thens, string(then))
	}
	v.choice(at+".then", string(r.Then), thens)
	for _, s := range r.Statuses {
		if !sinks.StatusForm.MatchString(s) {
			v.fail(at+".status", "not a status", s, "write a number such as 409, or a class such as 5xx")
		}
	}
	if slices.Contains(r.Codes, "") {
		v.fail(at+".code", "an empty code", "", "write the target's own word, such as UNABLE_TO_LOCK_ROW")
	}
	if len(r.Statuses) == 0 && len(r.Codes) == 0 && r.Message == nil {
		v.fail(at, "the rule fits every answer", "", "add status, code or message")
	}
	if r.After != 0 && (r.Then == sinks.ThenReject || r.Then == sinks.ThenAccept) {
		v.fail(at+".after", "there is nothing to wait for with then: "+string(r.Then), spanText(r.After), "leave it out")
	}
	v.span(at+".after", r.After, 0, 24*time.Hour)
}

// validateAccounts finds targets of one account that do not agree.
func (c *Config) validateAccounts(v *validator) {
	first := map[string]Target{}
	for _, t := range c.Targets {
		if t.Rate.limits() == defaultRate() {
			continue
		}
		if f, ok := first[t.Account()]; ok && f.Rate.limits() != t.Rate.limits() {
			v.fail(fmt.Sprintf("targets.%s.rate", t.Name), fmt.Sprintf("account %s has other limits in targets.%s.rate", t.Account(), f.Name), "",
				"write the limits of an account once, and only account: with its other targets")
		} else if !ok {
			first[t.Account()] = t
		}
	}
}

func (v *validator) decimal(path string, value, least, most float64) {
	if !(value >= least && value <= most) {
		v.fail(path, "out of range", text(value), fmt.Sprintf("write a number from %s to %s", text(least), text(most)))
	}
}

func text(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
