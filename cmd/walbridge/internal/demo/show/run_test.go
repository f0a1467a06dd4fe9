package show

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ticking gives snapshots that tell the time since the start.
func ticking() func() Snapshot {
	start := time.Now()
	return func() Snapshot { return Snapshot{Elapsed: time.Since(start)} }
}

func TestPlainTablesComeEveryFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		var b bytes.Buffer
		if err := Run(ctx, &b, ticking(), 200*time.Millisecond, false); err != nil {
			t.Fatal(err)
		}
		var at []string
		for line := range strings.Lines(b.String()) {
			if rest, ok := strings.CutPrefix(line, "elapsed "); ok {
				at = append(at, strings.Fields(rest)[0])
			}
		}
		if got := strings.Join(at, " "); got != "0:00 0:05 0:10 0:12" {
			t.Errorf("drawn at %s, want every five seconds and at the end", got)
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Error("plain text holds escape sequences")
		}
	})
}

func TestTerminalIsRedrawnInPlaceAndRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 450*time.Millisecond)
		defer cancel()
		var b bytes.Buffer
		if err := Run(ctx, &b, ticking(), 200*time.Millisecond, true); err != nil {
			t.Fatal(err)
		}
		got := b.String()
		if !strings.HasPrefix(got, hideCursor) || !strings.HasSuffix(got, showCursor) {
			t.Errorf("the cursor must be hidden first and shown last: %q", got)
		}
		high := strings.Count(Render(Snapshot{}, plainWidth), "\n")
		drawings := strings.Split(got, clearBelow)
		if len(drawings) != 5 {
			t.Fatalf("%d drawings, want 4: at 0, 200, 400 ms and at the end", len(drawings)-1)
		}
		for i, d := range drawings[:4] {
			if n := strings.Count(d, clearLine+"\n"); n != high {
				t.Errorf("drawing %d has %d lines, want %d", i, n, high)
			}
			if up := strings.Contains(d, fmt.Sprintf("\r\x1b[%dA", high)); up != (i > 0) {
				t.Errorf("drawing %d goes up: %v (%q)", i, up, d)
			}
		}
	})
}

// failing takes n writes.
type failing struct{ n int }

func (f *failing) Write(p []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, errors.New("pipe closed")
	}
	return len(p), nil
}

func TestWriteErrorsEndTheRun(t *testing.T) {
	for n := range 2 {
		if err := Run(t.Context(), &failing{n}, ticking(), time.Hour, true); err == nil {
			t.Errorf("no error though write %d fails", n+1)
		}
	}
	if err := Run(t.Context(), &failing{}, ticking(), time.Hour, false); err == nil {
		t.Error("no error on plain text")
	}
}
