package plan

import (
	"fmt"
	"hash/maphash"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/rate"
)

func counted(m Mapping, known bool, findings ...Finding) *Mapping {
	c := NewCounter(m, nil)
	if known {
		c.Known()
	}
	for i, f := range findings {
		c.Rows++
		c.Count(fmt.Sprintf(`{"id":%d}`, i), f)
	}
	return c.Finish(1)
}

func times(n int, f Finding) []Finding {
	out := make([]Finding, n)
	for i := range out {
		out[i] = f
	}
	return out
}

// How a mapping stands, and what is sent of it by itself.
func TestStates(t *testing.T) {
	all := append(times(5, Finding{Kind: Create, Differs: true}), append(times(4, Finding{Kind: Update, Differs: true}), append(times(3, Finding{Kind: AsIs}),
		Finding{Kind: Remove, Differs: true}, Finding{Kind: Unsure}, Finding{Kind: NotMeant}, Finding{Kind: Refused, Code: "x"}, Finding{Kind: Move, Differs: true})...)...)
	for name, c := range map[string]struct {
		m                       Mapping
		known                   bool
		found                   []Finding
		state                   State
		sends, replay, backfill string // records in requests
	}{
		"new":                    {Mapping{Batch: 2, Begins: &Begins{How: ByBackfill}}, false, times(5, Finding{Kind: Create, Untouched: true}), New, "5 3", "5 3", "5 3"},
		"new, of what comes":     {Mapping{Batch: 2, Begins: &Begins{How: ByNow}}, false, times(5, Finding{Kind: Create, Untouched: true}), New, "0 0", "5 3", "5 3"},
		"new, of the log":        {Mapping{Batch: 2, Begins: &Begins{How: ByLog, Log: 3}}, false, times(5, Finding{Kind: Create, Untouched: true}), New, "3 2", "5 3", "5 3"},
		"new, more in the log":   {Mapping{Batch: 2, Begins: &Begins{How: ByLog, Log: 30}}, false, times(5, Finding{Kind: Create, Untouched: true}), New, "5 3", "5 3", "5 3"},
		"being read":             {Mapping{Batch: 2, Begins: &Begins{How: ByReading}}, true, append(times(2, Finding{Kind: AsIs}), times(3, Finding{Kind: Create, Untouched: true})...), Same, "3 2", "3 2", "5 3"},
		"changed":                {Mapping{Batch: 4}, true, all, Changed, "0 0", "12 4", "15 5"},
		"changed, and ignored":   {Mapping{Batch: 4, Delete: "ignore"}, true, all, Changed, "0 0", "12 3", "15 4"},
		"back":                   {Mapping{Batch: 10, Begins: &Begins{How: ByBackfill}}, true, append(all, Finding{Kind: Remove, Orphan: true}), Back, "16 3", "13 3", "15 3"},
		"same":                   {Mapping{Batch: 10}, true, times(5, Finding{Kind: AsIs}), Same, "0 0", "0 0", "5 1"},
		"refused ones of before": {Mapping{Batch: 10}, true, times(3, Finding{Kind: Update, Unsettled: true}), Same, "0 0", "3 1", "3 1"},
		"only refused now":       {Mapping{Batch: 10}, true, times(3, Finding{Kind: Refused, Differs: true}), Changed, "0 0", "0 0", "0 0"},
	} {
		m := counted(c.m, c.known, c.found...)
		words := func(c Cost) string { return fmt.Sprint(c.Records, c.Requests) }
		if m.State != c.state || words(m.Sends) != c.sends || words(m.Replay) != c.replay || words(m.Backfill) != c.backfill {
			t.Errorf("%s: %s, sends %s, replay %s, backfill %s; want %s, %s, %s, %s", name, m.State, words(m.Sends), words(m.Replay), words(m.Backfill), c.state, c.sends, c.replay, c.backfill)
		}
		if sum := m.Create + m.Update + m.Move + m.Remove + m.Stay + m.Same + m.Unsure + m.NotMeant + m.Refused; sum != m.Rows {
			t.Errorf("%s: %d rows are counted as %d", name, m.Rows, sum)
		}
	}
}

// A sample is taken up to all rows.
func TestSampleIsTakenUp(t *testing.T) {
	c := NewCounter(Mapping{Batch: 10, Begins: &Begins{How: ByBackfill}}, nil)
	for range 7 {
		c.Count("{}", Finding{Kind: Create})
	}
	if m := c.Finish(.05); m.Create != 7 || m.Sends.Records != 140 || m.Sends.Requests != 14 {
		t.Errorf("%+v", m)
	}
}

// Refusals are told by their error, with a few keys, and bounded.
func TestRefusals(t *testing.T) {
	var found []Finding
	for i := range refusalsMost + 5 {
		found = append(found, times(2, Finding{Kind: Refused, Code: "b", Error: fmt.Sprint("error ", i)})...)
	}
	found = append(found, times(8, Finding{Kind: Refused, Code: "b", Error: "error 0"})...)
	m := counted(Mapping{}, true, found...)
	last := m.Refusals[len(m.Refusals)-1]
	if m.Refused != 58 || len(m.Refusals) != refusalsMost+1 || m.Refusals[0].Rows != 10 || len(m.Refusals[0].Examples) != examplesMost || last.Code != "others" || last.Rows != 10 {
		t.Errorf("%d refused: %+v", m.Refused, m.Refusals)
	}
	if p := (&Plan{Mappings: []Mapping{{}, *m}}); p.OK() || !(&Plan{Mappings: []Mapping{{}}}).OK() {
		t.Error("a plan with refusals is not all right, one without is")
	}
}

// Of two rows that make the same target key one is refused, also where they are of two mappings.
func TestTwoRowsWithOneKey(t *testing.T) {
	seed := maphash.MakeSeed()
	keys := NewKeys(func(s string) uint64 { return maphash.String(seed, s) })
	one, two := NewCounter(Mapping{}, keys), NewCounter(Mapping{}, keys)
	of := func(key string, kind Kind) Finding { return Finding{Kind: kind, Key: key, Claims: true} }
	one.Count(`{"id":1}`, of("a", Create))
	one.Count(`{"id":2}`, of("b", AsIs))
	one.Count(`{"id":3}`, of("a", Create))
	two.Count(`{"id":4}`, of("b", Create))
	two.Count(`{"id":5}`, of("c", Create))
	two.Count(`{"id":6}`, Finding{Kind: NotMeant})
	if one.Create != 1 || one.Same != 1 || one.Refused != 1 || one.Refusals[0].Code != codeDuplicate || fmt.Sprint(one.Refusals[0].Examples) != `[{"id":3}]` {
		t.Errorf("%+v", one.Mapping)
	}
	if two.Create != 1 || two.Refused != 1 || two.NotMeant != 1 {
		t.Errorf("%+v", two.Mapping)
	}
}

func TestFields(t *testing.T) {
	m := counted(Mapping{}, true,
		Finding{Kind: Update, Differs: true, Looked: true, Added: []string{"Z"}},
		Finding{Kind: Update, Differs: true, Looked: true, Added: []string{"Z"}, Changed: []string{"A"}},
		Finding{Kind: Update, Differs: true, Looked: true},
		Finding{Kind: Update, Differs: true})
	if want := []Field{{"A", 0, 1}, {"Z", 2, 0}}; !reflect.DeepEqual(m.Fields, want) || m.Looked != 3 || m.Told != 2 {
		t.Errorf("%+v of %d, %d told", m.Fields, m.Looked, m.Told)
	}
	if m := counted(Mapping{}, true, times(FieldsMost+1, Finding{Kind: Update, Looked: true, Added: []string{"Z"}})...); m.Looked != FieldsMost || m.Fields[0].Added != FieldsMost {
		t.Errorf("%+v of %d", m.Fields, m.Looked)
	}
	if got, want := m.because(), "A has another value (1), Z is new (2), of the first 3; of 1 it cannot be told: a hash of what was delivered is kept, no values"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// How long requests take at the least, by what the account allows.
func TestTake(t *testing.T) {
	now := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	const day = 24 * 3600
	for name, c := range map[string]struct {
		requests int64
		v        rate.View
		burst    float64
		seconds  float64
		beyond   int64
		never    bool
	}{
		"none":                    {0, rate.View{Rate: 1}, 1, 0, 0, false},
		"no limit":                {1_000_000, rate.View{}, 0, 0, 0, false},
		"by the rate":             {1010, rate.View{Rate: 10}, 10, 100, 0, false},
		"within the burst":        {10, rate.View{Rate: 10}, 10, 0, 0, false},
		"within the day":          {700, rate.View{Budget: true, Daily: 1000, Kept: 200, Left: 800}, 0, 0, 0, false}, // bulk leaves a tenth of 800
		"beyond today":            {700, rate.View{Budget: true, Daily: 1000, Kept: 200, Left: 300}, 0, 0, 480, false},
		"of three days":           {720*2 + 1, rate.View{Budget: true, Daily: 1000, Kept: 200, Left: 800}, 0, 2 * day, 721, false},
		"exactly two days":        {720 * 2, rate.View{Budget: true, Daily: 1000, Kept: 200, Left: 800}, 0, day, 720, false},
		"nothing left for us":     {7, rate.View{Budget: true, Daily: 1000, Kept: 1000}, 0, 0, 7, true},
		"nobody knows of the day": {7, rate.View{Budget: true}, 0, 0, 7, false},
		"it asked to wait":        {7, rate.View{Rate: 1000, PausedUntil: now.Add(time.Minute)}, 1000, 60, 0, false},
		"bulk is spent":           {7, rate.View{BulkSpentUntil: now.Add(time.Hour), PausedUntil: now.Add(-time.Hour)}, 0, 3600, 0, false},
	} {
		got := Cost{Records: 1, Requests: c.requests}.Take(now, c.v, c.burst)
		if got.Seconds != c.seconds || got.Beyond != c.beyond || got.Never != c.never {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := (Cost{Requests: 5000, Jobs: true}).Take(now, rate.View{Rate: 1}, 1); got.Seconds != 0 {
		t.Errorf("bulk jobs take %vs at the least", got.Seconds)
	}
	if got := (Cost{Records: 1, Requests: 2, Seconds: 9}).Add(Cost{Records: 10, Requests: 20, Seconds: 9, Jobs: true}); got != (Cost{Records: 11, Requests: 22, Jobs: true}) {
		t.Errorf("the sum is %+v", got)
	}
}

func TestJobs(t *testing.T) {
	m := counted(Mapping{Batch: 2, Jobs: 4, Begins: &Begins{How: ByBackfill}}, false, times(4, Finding{Kind: Create})...)
	if !m.Sends.Jobs || !strings.Contains(m.Sends.words(), "4 records, 2 requests or fewer, since bulk jobs") {
		t.Errorf("%+v: %s", m.Sends, m.Sends.words())
	}
	if m := counted(Mapping{Batch: 2, Jobs: 4, Begins: &Begins{How: ByBackfill}}, false, times(3, Finding{Kind: Create})...); m.Sends.Jobs {
		t.Errorf("%+v", m.Sends)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 1400 * time.Millisecond: "1s", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m", 3*24*time.Hour + time.Hour: "3 days"} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
