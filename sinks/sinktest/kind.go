package sinktest

import (
	"encoding/json"
	"errors"
	"math/big"
	"slices"

	"github.com/walbridge/walbridge/sinks"
)

// kind is what an error means.
type kind string

const (
	delivered     kind = "delivered"
	unknown       kind = "unknown outcome"
	retryable     kind = "retryable"
	throttled     kind = "throttled"
	paused        kind = "paused"
	rejected      kind = "rejected"
	waiting       kind = "waiting for parent"
	misconfigured kind = "misconfigured"
	unauthorized  kind = "unauthorized"
	other         kind = "of no kind"
)

func (k kind) in(kinds []kind) bool { return slices.Contains(kinds, k) }

func kindOf(err error) kind {
	switch {
	case err == nil:
		return delivered
	case is[*sinks.Rejected](err):
		return rejected
	case is[*sinks.WaitForParent](err):
		return waiting
	case is[*sinks.Throttled](err):
		return throttled
	case is[*sinks.Paused](err):
		return paused
	case is[*sinks.Misconfigured](err):
		return misconfigured
	case is[*sinks.Unauthorized](err):
		return unauthorized
	case is[*sinks.Retryable](err) && sinks.Unknown(err):
		return unknown
	case is[*sinks.Retryable](err):
		return retryable
	}
	return other
}

func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// empty tells whether a field holds nothing.
func empty(v json.RawMessage) bool {
	s := sinks.ExactKey(v)
	return len(v) == 0 || s == "null" && v[0] != '"' || s == ""
}

// same tells whether two values are the same to a target: a number and its text are.
func same(a, b json.RawMessage) bool {
	if empty(a) || empty(b) {
		return empty(a) && empty(b)
	}
	x, y := sinks.ExactKey(a), sinks.ExactKey(b)
	if x == y || a[0] == '"' && b[0] == '"' {
		return x == y
	}
	p, ok1 := new(big.Rat).SetString(x)
	q, ok2 := new(big.Rat).SetString(y)
	return ok1 && ok2 && p.Cmp(q) == 0
}

func sameState(a, b map[string]json.RawMessage) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	for _, pair := range [][2]map[string]json.RawMessage{{a, b}, {b, a}} {
		for name, v := range pair[0] {
			if !same(v, pair[1][name]) {
				return false
			}
		}
	}
	return true
}

func show(v json.RawMessage) string {
	if v == nil {
		return "(nothing)"
	}
	return string(v)
}
