package deliver

import (
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// replacing is a target at which a record takes the place of all that was there.
type replacing struct{ *fakeTarget }

func (r replacing) Unwrap() sinks.Target { return r.fakeTarget }

func (replacing) Abilities(string) sinks.Abilities { return sinks.Abilities{Delete: true} }

// What takes the place of a record is whole: a column that was not sent with the change is
// read, although a target that keeps the other fields would not need it.
func TestRecordsAreWholeWhereTheyReplace(t *testing.T) {
	for name, c := range map[string]struct {
		replaces bool
		want     string
	}{"replaces": {true, "C=1 D=5 Sum=2+1"}, "keeps": {false, "C=1 D=1 Sum=2+1"}} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.put(cdc.LaneNormal, 1, "a=1 b=1 c=1 d=1")
				w.start(func(o *Options) {
					if c.replaces {
						o.Target = replacing{w.target}
					}
				})
				rest(time.Second)
				w.wantHas(1, "C=1 D=1 Sum=1+1")
				w.holds(1, `{"id":1,"a":2,"b":1,"c":1,"d":5}`)
				w.put(cdc.LaneNormal, 1, "a=2 b=1 c=1 d=?")
				rest(time.Second)
				w.wantHas(1, c.want)
			})
		})
	}
}
