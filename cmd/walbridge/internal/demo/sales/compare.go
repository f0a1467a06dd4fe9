package sales

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/cockroachdb/apd/v3"
)

// exact adds money: more digits than any sum has, and rounding is an error.
var exact = func() *apd.Context {
	c := apd.BaseContext.WithPrecision(200)
	c.Traps = apd.DefaultTraps | apd.Inexact
	return c
}()

// sameJSON tells whether two JSON texts mean the same: objects without regard
// to order, numbers by their value (1.50 is 1.5) and never as floats.
func sameJSON(a, b []byte) (bool, error) {
	if bytes.Equal(a, b) {
		return true, nil
	}
	x, err := decodeJSON(a)
	if err != nil {
		return false, fmt.Errorf("read source value: %w", err)
	}
	y, err := decodeJSON(b)
	if err != nil {
		// A target that holds no JSON differs; its text stays out of the error.
		return false, nil
	}
	return sameValue(x, y), nil
}

func decodeJSON(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the value")
	}
	return v, nil
}

func sameValue(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok || !sameValue(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !sameValue(x[i], y[i]) {
				return false
			}
		}
		return true
	case json.Number:
		y, ok := b.(json.Number)
		return ok && sameNumber(string(x), string(y))
	}
	return a == b
}

func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	var x, y apd.Decimal
	if _, _, err := x.SetString(a); err != nil {
		return false
	}
	if _, _, err := y.SetString(b); err != nil {
		return false
	}
	return x.Cmp(&y) == 0
}

// byNumber orders decimal texts of ids without leading zeros.
func byNumber(a, b string) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return cmp.Compare(a, b)
}
