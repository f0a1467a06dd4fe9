package httpapi

import (
	"sync"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
)

// Walbridge is the form of APIs that were made for walbridge: all operations in one request,
// and a result for each record in order. It is what the preset walbridge says.
func Walbridge() *form.Form {
	text := func(s string) *form.Tree { return &form.Tree{Kind: form.Text, Text: s} }
	removed := &form.Tree{Kind: form.Object, Names: []string{"op", "key", "position"},
		Items: []*form.Tree{text("{op}"), {Kind: form.Object, Names: []string{"{key.name}"}, Items: []*form.Tree{text("{key}")}}, text("{position}")}}
	return &form.Form{Requests: map[string]*form.Request{form.Batch: {
		Body: &form.Tree{Kind: form.Object, Names: []string{"object", "records"}, Items: []*form.Tree{text("{object}"), text("{records}")}},
		Records: map[string]*form.Tree{
			form.Upsert: {Kind: form.Object, Names: []string{"op", "key", "fields", "position"},
				Items: []*form.Tree{removed.Items[0], removed.Items[1], text("{fields}"), removed.Items[2]}},
			form.Delete: removed, form.Archive: removed,
		},
		Results: form.Results{List: "results", OK: form.Condition{Path: "ok", Equals: []byte("true")},
			ID: "id", Status: "status", Code: "code", Message: "message", Retry: "retryable"},
	}}}
}

// ours is the plan of the form Walbridge.
var ours = sync.OnceValues(func() (*form.Plan, error) {
	f := Walbridge()
	f.URL = "http://localhost" // it goes nowhere
	return form.Compile(f)
})

// Encode makes the body of a request of the form Walbridge. Fields keep their order and values
// their text, so that a number does not change on the way.
func Encode(b sinks.Batch) ([]byte, error) {
	p, err := ours()
	if err != nil {
		return nil, err
	}
	m, err := p.Call(form.Batch).Build(b.Object, itemsOf(b.Records))
	if err != nil {
		return nil, err
	}
	return m.Body, nil
}

func itemsOf(records []sinks.Record) []form.Item {
	items := make([]form.Item, len(records))
	for i := range records {
		items[i].Record = &records[i]
	}
	return items
}
