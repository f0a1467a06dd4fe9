package trace

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

func at(lsn, ordinal uint64) cdc.Position { return cdc.Position{LSN: cdc.LSN(lsn), Ordinal: ordinal} }

var noon = time.Date(2026, 11, 29, 12, 0, 0, 123456000, time.UTC)

// What is written is read again, and short where it is as usual.
func TestLines(t *testing.T) {
	usual := Step{Key: `{"id":42}`, Fate: Accepted, Op: "upsert", From: at(7, 2), To: at(7, 2), Changes: 1}
	if got, want := string(appendStep(nil, &usual)), `{"k":{"id":42},"p":"7-2"}`+"\n"; got != want {
		t.Errorf("the usual step is %s, want %s", got, want)
	}
	for _, s := range []Step{
		usual,
		{Key: `{"id":42}`, Fate: Same, To: at(7, 2), From: at(7, 2), Changes: 1},
		{Key: `{"a":"x\"y","b":1}`, Fate: Refused, Op: "delete", From: at(5, 0), To: at(9, 1), Changes: 12, Attempts: 3,
			Code: `A "CODE"`, Error: "a text\nof two lines: é", Remote: "006<\\>", Next: noon},
		{Key: `{"id":1}`, Fate: Aside, To: at(9, 1), Changes: 2},
		{Key: `{"id":1}`, Fate: Parent, Op: "upsert", To: at(9, 1), Changes: 2, On: "accounts", Next: noon},
	} {
		text := string(appendStep(nil, &s))
		if strings.Count(text, "\n") != 1 || !json.Valid([]byte(text)) {
			t.Errorf("not one line of JSON: %q", text)
		}
		got, err := parseStep(text)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, s)
		}
	}
	for _, r := range []*Request{
		nil,
		{ID: "ab-1", Began: noon, Took: 1500 * time.Microsecond, Records: 200},
		{ID: "ab-2", Began: noon, Records: 7, Job: true, Code: "retryable", Error: "status 503"},
	} {
		h := Head{Mapping: `deals "to" crm`, Time: noon}
		gotHead, got, err := parseHead(string(appendHead(nil, &h, r)))
		if err != nil || gotHead != h || !reflect.DeepEqual(got, r) {
			t.Errorf("%v: got %+v %+v, want %+v %+v", err, gotHead, got, h, r)
		}
	}
}

// The text of an error is cut between characters.
func TestShorten(t *testing.T) {
	if s := strings.Repeat("x", longError); shorten(s) != s {
		t.Error("what is short enough was cut")
	}
	for n := range 4 {
		s := strings.Repeat("x", n) + strings.Repeat("é", longError)
		if got := shorten(s); len(got) > longError+len("…") || strings.ContainsRune(got, '\uFFFD') || !strings.HasSuffix(got, "é…") {
			t.Errorf("cut to %q", got)
		}
	}
}

// Steps of one row are found among others, with the request that each was in.
func TestScan(t *testing.T) {
	r1, r2 := &Request{ID: "a-1", Began: noon, Records: 2}, &Request{ID: "a-2", Began: noon, Records: 1}
	var b []byte
	b = appendHead(b, &Head{Mapping: "m", Time: noon}, r1)
	b = appendStep(b, &Step{Key: `{"id":4}`, Fate: Accepted, To: at(1, 0), Changes: 1})
	b = appendStep(b, &Step{Key: `{"id":42}`, Fate: Accepted, To: at(2, 0), Changes: 1})
	b = appendHead(b, &Head{Mapping: "n", Time: noon.Add(time.Second)}, r2)
	b = appendStep(b, &Step{Key: `{"id":42}`, Fate: Refused, To: at(3, 0), Changes: 1})
	b = append(b, `{"k":{"id":42},"p":"nonsense"}`+"\n"...)
	b = append(b, `nonsense`+"\n"+`{"k":{"id":42},"p":"9-0"}`+"\n"...)
	var got []Entry
	first, damaged := scan(string(b), true, `{"id":42}`, func(e Entry) { got = append(got, e) })
	if !first.Equal(noon) || damaged != 2 || len(got) != 2 {
		t.Fatalf("first %s, %d damaged, %+v", first, damaged, got)
	}
	if e := got[0]; e.Mapping != "m" || e.Request.ID != "a-1" || e.To != at(2, 0) || !e.Bulk {
		t.Errorf("the first is %+v", e)
	}
	if e := got[1]; e.Mapping != "n" || e.Request.ID != "a-2" || e.Fate != Refused || !e.Time.Equal(noon.Add(time.Second)) {
		t.Errorf("the second is %+v", e)
	}
	if first, _ := scan(string(b), false, `{"id":5}`, func(e Entry) { t.Errorf("found %+v", e) }); !first.Equal(noon) {
		t.Errorf("without one of its own the history begins at %s", first)
	}
}
