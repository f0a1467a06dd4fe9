package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

// What a target begins with is told as long as it has taken nothing, and then where a
// setting has no effect.
func TestBeginnings(t *testing.T) {
	t.Parallel()
	later := strings.Replace(plain, "crm/Deal", "crm/Later", 1) + "start: now\n"
	for _, tc := range []struct {
		from  string
		began map[string]string
		files []string
		want  string
	}{
		{"", nil, []string{plain}, "ok | target crm | it has taken nothing yet: it begins with what the log holds, and the rows of the tables are read for m0 | "},
		{"backfill", nil, []string{plain, later}, "ok | target crm | it has taken nothing yet: it begins with what the log holds, and the rows of the tables are read for m0; not for m1 | "},
		{"", nil, []string{later}, "ok | target crm | it has taken nothing yet: it begins with what the log holds; not for m0 | "},
		{"beginning", nil, []string{plain}, "ok | target crm | it has taken nothing yet: it begins with the oldest change that the log holds; no table is read for it | "},
		{"now", nil, []string{plain}, "ok | target crm | it has taken nothing yet: it begins with what changes from its first start on; no table is read for it | "},
		{"now", map[string]string{"crm": "backfill"}, []string{plain}, "warn | target crm | from: now has no effect, as the target began before, from: backfill | take it out of targets.crm; walbridge target forget --force crm, while nothing delivers to it, lets the target begin anew"},
		{"now", map[string]string{"crm": ""}, []string{plain}, "from: now has no effect, as the target began before, from: not known"},
		{"now", map[string]string{"crm": "now"}, []string{plain}, ""},
		{"", map[string]string{"crm": "now"}, []string{plain}, ""},
	} {
		f := compiled(t, tc.files...)
		f.Targets, f.Redis = []Target{{Name: "crm", From: tc.from}}, &Redis{Began: tc.began}
		var said []string
		r := &Report{}
		r.beginnings(f)
		for _, x := range r.Findings {
			said = append(said, line(x))
		}
		if all := strings.Join(said, "\n"); !strings.Contains(all, tc.want) || tc.want == "" && all != "" {
			t.Errorf("from %q, began %v: %q, want %q", tc.from, tc.began, all, tc.want)
		}
	}
	f := compiled(t, plain+"start: backfill\n")
	f.Targets = []Target{{Name: "crm", From: "now"}}
	wantFindings(t, Run(f), "fail | mapping m0 | start: backfill reads the table, and targets.crm.from: now does not | take start out, and run walbridge backfill public.deals --for crm/m0 once")
	var se *cdc.SetupError
	if err := Contrary(f.Mappings[0], "now"); !errors.As(err, &se) || !strings.HasPrefix(se.What, "m0.yaml:5:8: mapping m0: start: backfill") {
		t.Errorf("error %v", err)
	}
	for _, from := range []string{"", "backfill"} {
		if err := Contrary(f.Mappings[0], from); err != nil {
			t.Errorf("from %q: %v", from, err)
		}
	}
}
