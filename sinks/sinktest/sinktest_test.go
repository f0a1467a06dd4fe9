package sinktest

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	patience = 4 * time.Second // here checks wait in vain
	os.Exit(m.Run())
}

// The target without a flaw passes.
func TestSound(t *testing.T) { Run(t, *subject("")) }

// A target without deletes passes too.
func TestSoundWithoutDelete(t *testing.T) { Run(t, *subject("cannot delete")) }

// flaws are targets with one flaw each, and the checks that must find it.
var flaws = map[string][]string{
	"sends once":                      {"upsert", "restart"},
	"only creates":                    {"upsert", "repeat", "reset_after"},
	"forgets":                         {"restart"},
	"changes its batch":               {"repeat"},
	"all or nothing":                  {"one_bad_record"},
	"trims keys":                      {"odd_keys"},
	"floats":                          {"exact_number"},
	"takes too many":                  {"full_batch"},
	"one batch for all":               {"several_goroutines"},
	"too few results":                 {"upsert"},
	"missing is a mistake":            {"delete", "archive"},
	"no delete at all":                {"delete", "odd_keys"},
	"no archive at all":               {"archive"},
	"cannot delete, and says nothing": {"delete", "archive"},
	"cannot delete, in other words":   {"delete", "archive"},
	"absent is null":                  {"absent_is_not_null"},
	"no nulls":                        {"null_clears"},
	"no order":                        {"older_is_skipped"},
	"no ordinals":                     {"older_is_skipped"},
	"knows no parents":                {"orphan"},
	"folds keys":                      {"key_collation"},
	"server folds":                    {"key_collation"},
	"no limits":                       {"limits"},
	"its own timeout":                 {"limits"},
	"shows itself":                    {"hidden"},
	"shows its options":               {"hidden"},
	"leaks":                           {"leaks"},
	"knows all objects":               {"describe"},
	"no key":                          {"describe"},
	"reads what is not there":         {"read_back"},
	"reads no fields":                 {"read_back"},
	"probes by writing":               {"probe"},
	"probes aloud":                    {"probe"},
	"is always there":                 {"probe"},
	"tells no quota":                  {"quota"},
	"does not count":                  {"requests"},
	"counts what was taken":           {"requests"},
	"2xx is success":                  {"success_without_success", "not_json", "one_bad_record", "missing_result"},
	"no ok is no":                     {"wrong_types"},
	"refuses what it cannot read":     {"not_json", "truncated", "wrong_types"},
	"quotes the answer":               {"not_json"},
	"reads without end":               {"huge"},
	"by order":                        {"another_order"},
	"no news is good news":            {"success_without_success"},
	"never renews":                    {"401_then_fine"},
	"never gives up":                  {"401"},
	"403 is the record's":             {"403"},
	"429 is an error":                 {"429"},
	"does not wait":                   {"429", "5xx"},
	"reads no dates":                  {"429"},
	"5xx did nothing":                 {"5xx"},
	"409 is the token's":              {"refused_request"},
	"a redirect is the record's":      {"redirect"},
	"follows redirects":               {"redirect"},
	"all is unknown":                  {"refused_connection"},
	"nothing is unknown":              {"reset_after", "cancelled"},
	"no kinds":                        {"reset_before", "reset_after", "refused_connection"},
	"no timeout":                      {"slow"},
	"deaf":                            {"cancelled"},
}

// Every flaw is found by the checks that are meant for it, and every check finds one.
func TestFlaws(t *testing.T) {
	finds := make(map[string]bool)
	for flaw, names := range flaws {
		for _, name := range names {
			finds[name] = true
			t.Run(flaw+"/"+name, func(t *testing.T) {
				found := failures(t, subject(flaw), find(t, name))
				if len(found) == 0 {
					t.Errorf("the check %s does not find it", name)
				}
				t.Logf("found: %s", strings.Join(found[:min(len(found), 2)], "; "))
			})
		}
	}
	for _, name := range Checks() {
		if !finds[name] {
			t.Errorf("no flaw shows that the check %s finds anything", name)
		}
	}
}

func find(t *testing.T, name string) check {
	t.Helper()
	all := allChecks()
	i := slices.IndexFunc(all, func(c check) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("there is no check %s", name)
	}
	return all[i]
}

// recorder stands in for a test that may fail.
type recorder struct {
	testing.TB

	mu       sync.Mutex // covers what follows
	failed   []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(ended{})
}

func (r *recorder) Skip(args ...any) {
	r.Errorf("skipped: %s", fmt.Sprint(args...))
	panic(ended{})
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

type ended struct{}

// failures runs a check, and gives what it said. A skip is none.
func failures(t *testing.T, s *Subject, c check) (found []string) {
	r := &recorder{TB: t}
	defer func() {
		for _, f := range slices.Backward(r.cleanups) {
			f()
		}
		found = slices.DeleteFunc(r.failed, func(s string) bool { return strings.HasPrefix(s, "skipped") })
	}()
	defer func() {
		if p := recover(); p != nil && p != any(ended{}) {
			panic(p)
		}
	}()
	examine(r, s, c)
	return nil
}

// What is skipped has to be a check, and needs a reason.
func TestSkipNeedsAReason(t *testing.T) {
	for _, skip := range []map[string]string{{"upsert": ""}, {"upserts": "it is another word"}} {
		if problem := badSkip(skip); problem == "" {
			t.Errorf("%v is taken", skip)
		}
	}
	if problem := badSkip(map[string]string{"upsert": "it takes none"}); problem != "" {
		t.Error(problem)
	}
}

// echo answers each message with itself, and counts.
func echo(t *testing.T) (addr string, count func() int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu sync.Mutex
		n  int
		wg sync.WaitGroup
	)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				for buf := make([]byte, 4); ; {
					if _, err := io.ReadFull(c, buf); err != nil {
						return
					}
					mu.Lock()
					n++
					mu.Unlock()
					if _, err := c.Write(buf); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestRelay(t *testing.T) {
	addr, count := echo(t)
	r := newRelay(t, addr)
	defer r.close()
	say := func() error {
		c, err := net.Dial("tcp", r.address())
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write([]byte("ping")); err != nil {
			return err
		}
		_, err = io.ReadFull(c, make([]byte, 4))
		return err
	}
	for _, c := range []struct {
		name    string
		mode    mode
		answer  bool
		arrives int
	}{{"through", through, true, 1}, {"drop request", dropRequest, false, 0}, {"drop answer", dropAnswer, false, 1}, {"refuse", refuse, false, 0}, {"through again", through, true, 1}} {
		r.set(c.mode)
		before := count()
		if err := say(); (err == nil) != c.answer || count()-before != c.arrives {
			t.Errorf("%s: %v, %d arrived", c.name, err, count()-before)
		}
	}
	r.set(mute)
	heard := make(chan error, 1)
	go func() { heard <- say() }()
	if !r.wait() {
		t.Fatal("nothing was kept back")
	}
	select {
	case err := <-heard:
		t.Fatalf("mute: the answer came: %v", err)
	default:
	}
	r.set(through)
	if err := <-heard; err != nil {
		t.Errorf("after mute: %v", err)
	}
}
