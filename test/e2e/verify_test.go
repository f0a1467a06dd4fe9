package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// verified is what walbridge verify tells of a mapping.
type verified struct {
	Mapping                                                 string
	ReadBack                                                bool `json:"read_back"`
	Rows, Right, Missing, Stale, Different, Orphans, Mended int64
	InFlight                                                int64  `json:"in_flight"`
	NotMeant                                                int64  `json:"not_meant"`
	ReadError                                               string `json:"read_error"`
	Fields                                                  map[string]int64
	Examples                                                map[string][]string
}

// verify runs the command and gives what it tells of mapping forecasts.
func (b *bridge) verify(args ...string) (v verified, ok bool) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), program, append([]string{"verify", "-c", "walbridge.yaml", "--json", "--mapping", "forecasts"}, args...)...)
	cmd.Dir = b.dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var told struct{ Mappings []verified }
	if jerr := json.Unmarshal(out, &told); jerr != nil || len(told.Mappings) != 1 {
		b.t.Fatalf("verify %v: %v\n%s%s", args, err, out, stderr.String())
	}
	return told.Mappings[0], err == nil
}

// edits runs a statement again and again, until it is told to stop.
func (b *bridge) edits(sql string) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		conn, err := b.connect(ctx)
		if err != nil {
			b.t.Error(err)
			return
		}
		for err == nil {
			_, err = conn.Exec(ctx, sql)
		}
		if ctx.Err() == nil {
			b.t.Error(err)
		}
		_ = conn.Close(context.WithoutCancel(ctx)) // it was cut off
	})
	stop = func() {
		cancel()
		done.Wait()
	}
	b.t.Cleanup(stop)
	return stop
}

// What was changed, removed or added behind the bridge's back is found at the target and
// mended, while other rows change all the time; what is right is left alone.
func TestVerify(t *testing.T) {
	t.Parallel()
	b := newBridge(t, options{rewrite: func(config string) string {
		head, rest, _ := strings.Cut(config, "  forecast:\n")
		_ = rest // the last of the targets
		return head + fmt.Sprintf("  forecast: {type: postgres, url: %q, schema: plan, create: true}\n", regexp.MustCompile(`postgres://[^"]+`).FindString(config))
	}})
	p := b.start("run")
	b.waitSlot(p)
	b.firstLoads() // what they read is sent in any case, and would mend what is done by hand below
	b.exec(`INSERT INTO forecasts SELECT r, q, q * 10.50, 'remark ' || q FROM unnest('{emea,apac,amer}'::text[]) r, generate_series(1, 400) q`)
	b.exec(`DELETE FROM forecasts WHERE quarter > 390`)
	loaded := func(n int) {
		t.Helper()
		until(t, 30*time.Second, func() string {
			p.mustRun()
			got, err := b.text(`SELECT count(*)::text FROM plan."Forecast"`)
			if err != nil || got != fmt.Sprint(n) {
				return fmt.Sprintf("%s rows of %d (%v)", got, n, err)
			}
			return ""
		})
	}
	loaded(1170)
	b.drain(time.Minute, p)
	if v, ok := b.verify(); !ok || v.Rows != 1170 || v.Right != 1170 || !v.ReadBack {
		t.Errorf("all is right: %v, %+v", ok, v)
	}
	b.exec(`UPDATE plan."Forecast" SET total = 0 WHERE id IN ('emea/1', 'emea/2')`)
	b.exec(`UPDATE plan."Forecast" SET remark = 'by hand', total = 1 WHERE id = 'apac/1'`)
	b.exec(`DELETE FROM plan."Forecast" WHERE id = 'amer/7'`)
	stop := b.edits(`UPDATE forecasts SET amount = amount + 1 FROM (SELECT 100 + floor(random() * 200)::int AS one, pg_sleep(0.005)) x WHERE quarter = x.one`) // others go on meanwhile
	v, ok := b.verify()
	if ok || v.Missing != 1 || v.Different != 3 || v.Stale != 0 || v.Fields["total"] != 3 || v.Fields["remark"] != 1 ||
		fmt.Sprint(v.Examples["missing"]) != `[{"region":"amer","quarter":7}]` {
		t.Errorf("what was done by hand: %v, %+v", ok, v)
	}
	if v, ok := b.verify("--state-only"); !ok || v.ReadBack {
		t.Errorf("what was delivered is as it was: %v, %+v", ok, v)
	}
	if v, ok := b.verify("--repair"); !ok || v.Mended != 4 || v.Missing+v.Different != 0 {
		t.Errorf("the repair: %v, %+v", ok, v)
	}
	stop()
	b.drain(time.Minute, p)
	if v, ok := b.verify(); !ok || v.InFlight != 0 {
		t.Errorf("after the repair: %v, %+v", ok, v)
	}
	b.exec(`ALTER TABLE plan."Forecast" RENAME TO away`)
	if v, ok := b.verify(); ok || v.ReadError == "" || v.Right != 1170 {
		t.Errorf("a target that does not tell what it holds: %v, %+v", ok, v)
	}
	b.exec(`ALTER TABLE plan.away RENAME TO "Forecast"`)
	if got, err := b.text(`SELECT remark || ' ' || total FROM plan."Forecast" WHERE id = 'apac/1'`); err != nil || got != "remark 1 10.50" {
		t.Errorf("the mended row is %q, %v", got, err)
	}
}
