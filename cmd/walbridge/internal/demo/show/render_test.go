package show

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

func example() Snapshot {
	return Snapshot{
		Elapsed:             83 * time.Second,
		SourceRowsPerSecond: 96.4,
		SourceRows:          8_123,
		SlotLag:             18_432,
		LogEntries:          8_097,
		Life: []Count{
			{"leads arrived", 712}, {"leads worked", 640}, {"leads converted", 88}, {"deals moved", 901},
			{"deals edited", 548}, {"edit bursts", 160}, {"deals won", 155}, {"deals deleted", 0}, {"books reassigned", 21},
		},
		Rows: []Row{
			{
				Target: "crm", Lane: "urgent", ChangesPerSecond: 14.6, RecordsPerSecond: 9.9, LagTime: 20 * time.Millisecond,
				Changes: 1210, Records: 1103, Requests: 1004, P50: 24*time.Millisecond + 400*time.Microsecond, P95: 31 * time.Millisecond, P99: 82 * time.Millisecond,
			},
			{
				Target: "crm", Lane: "normal", ChangesPerSecond: 71.2, RecordsPerSecond: 12, LagEntries: 123_456, LagTime: 1700 * time.Millisecond,
				Changes: 6002, Records: 1500, Requests: 399, Retries: 12, Parked: 1, P50: 412 * time.Millisecond, P95: 2100 * time.Millisecond, P99: 61 * time.Second,
			},
			{Target: "commission", Lane: "normal"},
		},
		Note: "the targets: http://127.0.0.1:40001/   Ctrl-C ends the demo",
	}
}

func TestRenderGolden(t *testing.T) {
	unknown := example()
	unknown.SlotLag, unknown.Rows, unknown.Note, unknown.Life = -1, nil, "", nil
	unknown.Elapsed = 3*time.Hour + 5*time.Second
	for name, c := range map[string]struct {
		s     Snapshot
		width int
	}{
		"80": {example(), 80}, "132": {example(), 132}, "40": {example(), 40}, "empty": {unknown, 80},
	} {
		t.Run(name, func(t *testing.T) {
			got := Render(c.s, c.width)
			path := filepath.Join("testdata", "render_"+name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("drawn\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestNothingIsWiderThanItsPlace(t *testing.T) {
	duration := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64().Draw(t, "ns") >> rapid.IntRange(0, 62).Draw(t, "shift"))
	})
	count := rapid.Custom(func(t *rapid.T) int64 {
		return rapid.Int64().Draw(t, "n") >> rapid.IntRange(0, 62).Draw(t, "shift")
	})
	rapid.Check(t, func(t *rapid.T) {
		n, d := count.Draw(t, "n"), duration.Draw(t, "d")
		f := math.Abs(float64(count.Draw(t, "f"))) / 10
		for what, text := range map[string]string{
			"number": number(n, 5), "rate": rate(f, 5), "latency": latency(d),
			"number of 4+": number(n, 4) + " ", "ratio+": ratio(f, 4) + " ", "age+": age(d) + " ",
		} {
			if len(text) > 5 || text == "" {
				t.Errorf("%s: %q is wider than it may be", what, text)
			}
		}
		r := Row{
			Target: rapid.String().Draw(t, "target"), Lane: rapid.String().Draw(t, "lane"), ChangesPerSecond: f,
			LagEntries: n, LagTime: d, Changes: n, Records: count.Draw(t, "records"), Parked: n, P50: d, P99: d,
		}
		s := Snapshot{Rows: []Row{r}, SlotLag: n, Elapsed: d, Life: []Count{{rapid.String().Draw(t, "kind"), n}}}
		width := rapid.IntRange(20, 200).Draw(t, "width")
		text := Render(s, width)
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(line) > width+1 || strings.ContainsAny(line, "\x1b\r\t") {
				t.Errorf("line %q is wider than %d or moves the cursor", line, width)
			}
		}
	})
}

func TestNumbers(t *testing.T) {
	for want, got := range map[string]string{
		"0":      number(0, 4),
		"9999":   number(9_999, 4),
		"10k":    number(10_000, 4),
		"123k":   number(123_456, 4),
		"1.2G":   number(1_234_567_890, 5),
		"1.2M":   number(1_234_567, 4),
		"999k":   number(999_400, 4),
		"1.0M":   number(999_999, 4),
		"-12k":   number(-12_345, 4),
		"0.3":    rate(0.26, 5),
		"10":     rate(9.96, 5),
		"1.05":   ratio(1.05, 4),
		"10.3":   ratio(10.26, 4),
		"0.4ms":  latency(400 * time.Microsecond),
		"10ms":   latency(9_960 * time.Microsecond),
		"999ms":  latency(999_400 * time.Microsecond),
		"1.0s":   latency(999_600 * time.Microsecond),
		"2m":     age(100 * time.Second),
		"3h":     age(3 * time.Hour),
		"0s":     age(-time.Second),
		"6d":     age(150 * time.Hour),
		"1.5 MB": size(1_500_000),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := fmt.Sprint(Row{Changes: 30, Records: 10}.Folded(), Row{Changes: 3}.Folded()); got != "3 0" {
		t.Errorf("folded %s, want 3 and 0", got)
	}
}
