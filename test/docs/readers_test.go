// Package docs holds the pages of docs by tests: what they show is the text that is
// run here, what they quote of the program stands in it, and their links lead somewhere.
package docs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks gives the code blocks of a page in a language.
func blocks(page, language string) (out []string) {
	for _, part := range strings.Split(page, "\n```"+language+"\n")[1:] {
		code, _, _ := strings.Cut(part, "\n```\n")
		out = append(out, code+"\n")
	}
	return out
}

// The readers of the page are the programs that are run below.
func TestPageShowsTheReaders(t *testing.T) {
	page := read(t, "docs/events.md")
	_, goMain, _ := strings.Cut(read(t, "test/docs/reader/main.go"), "\nfunc main()")
	for language, want := range map[string]string{"python": read(t, "docs/examples/read-stream/reader.py"), "go": "func main()" + goMain} {
		if got := blocks(page, language); !slices.Equal(got, []string{want}) {
			t.Errorf("docs/events.md shows\n%s\nthe program is\n%s", strings.Join(got, "\n---\n"), want)
		}
	}
}

// A reader follows all streams of a bridge, from the first entry on.
func TestReadersFollow(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "reader")
	if out, err := exec.Command("go", "build", "-o", program, "./reader").CombinedOutput(); err != nil {
		t.Fatalf("build the reader: %v\n%s", err, out)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is missing; run apt-get install python3, or install it from python.org")
	}
	script := filepath.Join(root, "docs/examples/read-stream/reader.py")
	for name, command := range map[string]func(host, port, bridge string) []string{
		"go":     func(host, port, bridge string) []string { return []string{program, host + ":" + port, bridge} },
		"python": func(host, port, bridge string) []string { return []string{python, script, host, port, bridge} },
	} {
		t.Run(name, func(t *testing.T) {
			k := servertest.SharedRedis(t)
			f := newFiller(t, k)
			f.append(cdc.LaneUrgent, 0, cdc.OpCreate, `{"id":1}`, `{"id":1,"name":"Zürich \"AG\""}`)
			f.append(cdc.LaneBulk, 2, cdc.OpUpdate, `{"id":2}`, `{"id":2,"name":null}`)
			host, port, _ := strings.Cut(k.Server.Addr(), ":")
			lines := follow(t, command(host, port, k.Name))
			none := map[string]string{"go": "<nil>", "python": "None"}[name]
			want := []string{`c public.deals {"id":1} {"id":1,"name":"Zürich \"AG\""}`, `u public.deals {"id":2} {"id":2,"name":null}`}
			next(t, lines, want...)
			f.append(cdc.LaneNormal, 1, cdc.OpDelete, `{"id":2}`, "")
			next(t, lines, `d public.deals {"id":2} `+none)
			f.append(cdc.LaneNormal, 2, cdc.OpTruncate, "", "")
			next(t, lines, `t public.deals `+none+` `+none)
		})
	}
}

// next waits for lines, in any order.
func next(t *testing.T, lines <-chan string, want ...string) {
	t.Helper()
	var got []string
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for range want {
		select {
		case l, ok := <-lines:
			if !ok {
				t.Fatalf("the reader ended after %q, want %q", got, want)
			}
			got = append(got, l)
		case <-deadline.C:
			t.Fatalf("the reader printed %q, want %q", got, want)
		}
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("the reader printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// follow runs a command until the test ends and gives the lines that it prints.
func follow(t *testing.T, command []string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start %q: %v", command, err)
	}
	lines := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		s := bufio.NewScanner(out)
		for s.Scan() {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		var killed *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &killed) {
			t.Errorf("end of the reader: %v", err)
		}
	})
	return lines
}

// filler appends entries to a log, as a capture does.
type filler struct {
	t      *testing.T
	writer *redislog.Writer
	lsn    cdc.LSN
}

func newFiller(t *testing.T, k *servertest.Keyspace) *filler {
	t.Helper()
	l, err := redislog.Open(t.Context(), redislog.Options{URL: k.URL, Name: k.Name, Partitions: 3, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := l.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, l.Close()); err != nil {
			t.Error(err)
		}
	})
	return &filler{t: t, writer: w, lsn: 1000}
}

// append returns when the entry is in the log.
func (f *filler) append(lane string, partition int, op cdc.Op, key, after string) {
	f.t.Helper()
	f.lsn += 100
	e := &cdc.Entry{Position: cdc.Position{LSN: f.lsn}, Op: op, Table: "public.deals", Key: []byte(key), After: []byte(after), Micros: 1, XID: 1}
	f.writer.Append(cdc.Stream{Lane: lane, Partition: partition}, e)
	f.writer.Mark(f.lsn+1, time.UnixMicro(1))
	deadline := time.Now().Add(30 * time.Second)
	for f.writer.Appended() <= f.lsn {
		select {
		case <-f.t.Context().Done():
			f.t.Fatal(fmt.Errorf("append an entry: %w", f.t.Context().Err()))
		case <-time.After(time.Millisecond): // Appended has no event of its own
		}
		if time.Now().After(deadline) {
			f.t.Fatal("the entry was not appended")
		}
	}
}
