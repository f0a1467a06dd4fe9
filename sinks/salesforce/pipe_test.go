package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// pipe leads to an org without a network, so that time can be that of a test. A process that
// dies is one whose n-th step, a request or a note, is its last: it is carried out or not, and
// the process never learns of it, nor of anything after.
type pipe struct {
	org   http.Handler
	notes *sinktest.Notes

	mu    sync.Mutex // covers what follows
	dies  int        // the number of the last step; zero lives
	deed  bool       // the last step is carried out
	steps int
	log   []string
	dead  func()
}

var errDead = errors.New("the process is dead")

// step tells whether a step is to be carried out, and whether the process learns of it.
func (p *pipe) step(what string) (does, learns bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps++
	if p.dies == 0 || p.steps < p.dies {
		p.log = append(p.log, what)
		return true, true
	}
	if does = p.steps == p.dies && p.deed; does {
		p.log = append(p.log, what)
	}
	p.dead()
	return does, false
}

func (p *pipe) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	does, learns := p.step(r.Method + " " + r.URL.Path)
	var rec *httptest.ResponseRecorder
	if does {
		in := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(string(body)))
		in.Header = r.Header.Clone()
		rec = httptest.NewRecorder()
		p.org.ServeHTTP(rec, in)
	}
	if !learns {
		return nil, errDead
	}
	return rec.Result(), nil
}

func (p *pipe) Get(ctx context.Context, space string, keys []string) (map[string]string, error) {
	return p.notes.Get(ctx, space, keys)
}

func (p *pipe) All(ctx context.Context, space string) (map[string]string, error) {
	return p.notes.All(ctx, space)
}

func (p *pipe) Set(ctx context.Context, space string, notes map[string]string) error {
	does, learns := p.step("note " + space)
	if does {
		if err := p.notes.Set(ctx, space, notes); err != nil {
			return err
		}
	}
	if !learns {
		return &sinks.Retryable{Err: errDead}
	}
	return nil
}

// count gives how many steps begin and end so.
func (p *pipe) count(begin, end string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.log {
		if strings.HasPrefix(s, begin) && strings.HasSuffix(s, end) {
			n++
		}
	}
	return n
}

// process makes a client that speaks to an org through a pipe.
func process(t *testing.T, p *pipe, change func(*salesforce.Options)) *salesforce.Client {
	c := client(t, "http://org.example.com", func(o *salesforce.Options) {
		o.Transport, o.Bulk = p, salesforce.Bulk{From: 5, Max: 100_000}
		if change != nil {
			change(o)
		}
	})
	c.TakeNotes(p)
	return c
}

// state makes a batch of records at a position.
func state(lsn uint64, keys []int) sinks.Batch {
	b := sinks.Batch{Object: "Account", Bulk: true}
	for _, k := range keys {
		r := rec(fmt.Sprintf(`"key-%d"`, k), field("Name", fmt.Sprintf(`"state %d"`, lsn)), field("External_Id__c", fmt.Sprint(k)))
		r.Position = cdc.Position{LSN: cdc.LSN(lsn), Ordinal: 2}
		b.Records = append(b.Records, r)
	}
	return b
}

func numbers(from, to int) (out []int) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// persist delivers until all records are taken, as the engine would.
func persist(t *testing.T, c *salesforce.Client, b sinks.Batch) {
	t.Helper()
	for range 100 {
		rs, err := c.Deliver(t.Context(), b)
		var left []sinks.Record
		wait := time.Second
		for i := range b.Records {
			e := err
			if err == nil {
				e = rs[i].Err
			}
			if e == nil {
				continue
			}
			var ret *sinks.Retryable
			if !errors.As(e, &ret) {
				t.Fatalf("record %d: %v", i, e)
			}
			wait = max(wait, ret.After)
			left = append(left, b.Records[i])
		}
		if b.Records = left; len(left) == 0 {
			return
		}
		time.Sleep(wait)
	}
	t.Fatalf("%d records are never taken", len(b.Records))
}

func noteCount(t *testing.T, n *sinktest.Notes) int {
	t.Helper()
	jobs, err := n.All(context.Background(), "jobs")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := n.All(context.Background(), "job_rows")
	if err != nil {
		t.Fatal(err)
	}
	return len(jobs) + len(rows)
}
