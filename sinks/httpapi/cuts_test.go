package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

func (n cutNotes) Get(ctx context.Context, space string, keys []string) (map[string]string, error) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if done, told := n.f.at(); !done || !told {
		return nil, &sinks.Retryable{Err: errDead}
	}
	return n.Notes.Get(ctx, space, keys)
}

func (n cutNotes) Set(ctx context.Context, space string, notes map[string]string) error {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	done, told := n.f.at()
	if done {
		if err := n.Notes.Set(ctx, space, notes); err != nil {
			return err
		}
	}
	if !told {
		return &sinks.Retryable{Err: errDead}
	}
	return nil
}

// Wherever a client dies, between whichever two of its requests and notes, what it does again
// makes no second record, and in the end the API holds the newest state (I9).
func TestNoSecondRecordWhereverItIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newREST()
		want := map[string][]string{"A": nil, "B": nil}
		for i := range rapid.IntRange(1, 8).Draw(t, "changes") {
			key := rapid.SampledFrom([]string{"A", "B"}).Draw(t, "key")
			r := rec(sinks.Upsert, key, fmt.Sprint(i))
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				r = rec(sinks.Delete, key, "")
			case 1: // somebody removes what is there
				for id, fields := range f.records {
					if sinks.ExactKey(fields["Ext"]) == key {
						delete(f.records, id)
					}
				}
			}
			for tries := 0; ; tries++ {
				f.cut = -1
				if tries < 5 {
					f.cut = rapid.IntRange(-1, 13).Draw(t, "cut")
				}
				c := f.client(t)
				rs, err := c.Deliver(context.Background(), sinks.Batch{Object: "Deal", Records: []sinks.Record{r}})
				c.Close()
				if err == nil {
					err = rs[0].Err
				}
				if n := len(f.held(key)); n > 1 {
					t.Fatalf("%d records have the key %s, after a cut at %d", n, key, f.cut)
				}
				if err == nil {
					break
				}
				if tries >= 5 {
					t.Fatalf("nothing is in the way any more, and yet: %v", err)
				}
			}
			if want[key] = []string{fmt.Sprint(i)}; r.Op == sinks.Delete {
				want[key] = nil
			}
			if got := f.held(key); !slices.Equal(got, want[key]) {
				t.Fatalf("%s is %v, want %v", key, got, want[key])
			}
		}
	})
}

// A noted id may lead nowhere any more, since somebody removed the record and made it again:
// a delete means the one that has the key.
func TestDeleteOfWhatWasMadeAgain(t *testing.T) {
	f := newREST()
	c := f.client(t)
	defer c.Close()
	if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1")); err != nil {
		t.Fatal(err)
	}
	delete(f.records, "r1")
	f.records["other"] = map[string]json.RawMessage{"id": json.RawMessage(`"other"`), "Ext": json.RawMessage(`"A"`)}
	f.asked = nil
	if _, err := deliverOne(t, c, rec(sinks.Delete, "A", "")); err != nil || len(f.records) != 0 || !slices.Equal(f.asked, []string{"DELETE", "GET", "DELETE"}) {
		t.Errorf("%v, left %v; %v", f.asked, f.records, err)
	}
}

// Where a request was carried out and its note cannot be written, nobody may take the record for
// one of which nothing is at the API.
func TestUnwrittenNoteLeavesDoubt(t *testing.T) {
	for name, f := range map[string]*fakeREST{"create": newREST(), "delete": newREST()} {
		r := rec(sinks.Upsert, "A", "1")
		if name == "delete" {
			r.Op = sinks.Delete
			f.records["a"] = map[string]json.RawMessage{"id": json.RawMessage(`"a"`), "Ext": json.RawMessage(`"A"`)}
		}
		c := f.client(t)
		f.cut = map[string]int{"create": 2 * 3, "delete": 2 * 4}[name] // the note after the write
		_, err := deliverOne(t, c, r)
		c.Close()
		if want := map[string]int{"create": 1, "delete": 0}[name]; len(f.records) != want || err == nil || !sinks.Unknown(err) {
			t.Errorf("%s: %v, unknown %v, %d records", name, err, sinks.Unknown(err), len(f.records))
		}
	}
}

// lagging is an API whose lookup does not find what was made lately.
type lagging struct{ *fakeREST }

func (l lagging) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return l.fakeREST.RoundTrip(r)
	}
	was := l.records
	l.records = nil
	defer func() { l.records = was }()
	return l.fakeREST.RoundTrip(r)
}

// Also after a crash, what may have been made is not made again, nor taken for missing, before the
// lookup can find it; others go on meanwhile.
func TestSettleAfterACrash(t *testing.T) {
	for name, r := range map[string]sinks.Record{"made again": rec(sinks.Upsert, "A", "2"), "deleted": rec(sinks.Delete, "A", "")} {
		f, now := newREST(), time.Unix(1_800_000_000, 0)
		client := func(lags bool) *Client {
			c := f.client(t)
			c.Close()
			of := restForm()
			of.Requests[form.Lookup].Settle = time.Minute
			o := Options{Form: of, Credentials: Credentials{Token: secret}, Transport: f, Now: func() time.Time { return now }}
			if lags {
				o.Transport = lagging{f}
			}
			c, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			c.TakeNotes(cutNotes{f.notes, f})
			return c
		}
		c := client(true)
		f.cut = 2*3 + 1 // the create is carried out, and the client dies
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "A", "1")); err == nil || len(f.records) != 1 {
			t.Fatalf("%s: %v, %v", name, f.records, err)
		}
		f.cut = -1
		c = client(true)
		now = now.Add(20 * time.Second)
		rs, err := c.Deliver(t.Context(), sinks.Batch{Object: "Deal", Records: []sinks.Record{r}})
		var ret *sinks.Retryable
		if err != nil || !errors.As(rs[0].Err, &ret) || !ret.KeptBack || ret.After != 55*time.Second || len(f.records) != 1 {
			t.Errorf("%s: %+v, %v; %v", name, rs, err, f.records)
		}
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "B", "1")); err != nil {
			t.Errorf("%s: another one: %v", name, err)
		}
		c = client(false)
		now = now.Add(55 * time.Second) // the time of a request, and that of the lookup
		if _, err := deliverOne(t, c, r); err != nil || len(f.held("A")) > 1 || r.Op == sinks.Delete && len(f.held("A")) > 0 {
			t.Errorf("%s: %v; %v", name, f.records, err)
		}
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "C", "bad")); err == nil {
			t.Errorf("%s: a bad one", name)
		}
		if _, err := deliverOne(t, c, rec(sinks.Upsert, "C", "1")); err != nil { // it was refused, and is not waited for
			t.Errorf("%s: after a refusal: %v", name, err)
		}
		if all, err := f.notes.All(t.Context(), space("Deal")); err != nil || len(all) > 3 || all[":Ext:A"] != "" {
			t.Errorf("%s: notes %v, %v", name, all, err)
		}
	}
}
