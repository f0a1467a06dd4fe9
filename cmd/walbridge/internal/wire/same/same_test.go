package same

import (
	"encoding/json"
	"testing"
)

func TestValue(t *testing.T) {
	for _, c := range []struct {
		sent, held string
		want       bool
	}{
		{`1`, `1`, true}, {`1`, `2`, false}, {`1.50`, `1.5`, true}, {`1.50`, `"1.5"`, true}, {`"1.5"`, `1.50`, true}, {`1e3`, `1000`, true},
		{`"007"`, `"7"`, false}, {`"007"`, `"007"`, true}, {`12345678901234567.89`, `12345678901234567.8`, false},
		{`null`, `""`, true}, {`null`, `null`, true}, {`""`, `null`, true}, {`null`, `0`, false}, {`"x"`, `null`, false},
		{`true`, `"true"`, true}, {`true`, `false`, false}, {`"a b "`, `"a b"`, true}, {`"a"`, `"A"`, false},
		{`"2026-01-31T23:30:00.1234+00:00"`, `"2026-02-01T00:30:00.123+0100"`, true}, {`"2026-01-31T23:30:00Z"`, `"2026-01-31T23:30:01Z"`, false},
		{`"2026-01-31 23:30:00+00"`, `"2026-01-31T23:30:00Z"`, true}, {`"2026-01-31"`, `"2026-01-31"`, true}, {`"2026-01-31"`, `"2026-01-30"`, false},
		{`{"a":1,"b":[1,2]}`, `{"b":[1,2],"a":1}`, true}, {`{"a":1}`, `"{\"a\":1}"`, true}, {`[1,2]`, `[2,1]`, false}, {`{"a":1}`, `{"a":2}`, false},
		{`[{"a":1},null]`, `["{\"a\": 1}",null]`, true}, {`[1.50,[2]]`, `[1.5,["2"]]`, true}, {`[1]`, `[1,null]`, false}, {`[{"a":1}]`, `["{\"a\": 2}"]`, false}, {`[]`, `{}`, false},
		{`"é"`, `"é"`, true}, {`"-"`, `"+"`, false},
	} {
		if got := Value(json.RawMessage(c.sent), json.RawMessage(c.held)); got != c.want {
			t.Errorf("%s and %s: %v, want %v", c.sent, c.held, got, c.want)
		}
	}
}
