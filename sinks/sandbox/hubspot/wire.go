package hubspot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// wireRecord is a record as an answer gives it.
type wireRecord struct {
	ID         string             `json:"id"`
	Properties map[string]*string `json:"properties"`
	CreatedAt  string             `json:"createdAt"`
	UpdatedAt  string             `json:"updatedAt"`
	Archived   bool               `json:"archived"`
	ArchivedAt string             `json:"archivedAt,omitempty"`
	New        *bool              `json:"new,omitempty"`
	Trace      string             `json:"objectWriteTraceId,omitempty"`
}

// batchReply is the answer to a batch.
type batchReply[T any] struct {
	Status      string       `json:"status"`
	Results     []T          `json:"results"`
	NumErrors   int          `json:"numErrors,omitempty"`
	Errors      []batchError `json:"errors,omitempty"`
	StartedAt   string       `json:"startedAt"`
	CompletedAt string       `json:"completedAt"`
}

// replyTo makes the answer to a batch: with errors its status is 207.
func replyTo[T any](status int, results []T, errs []batchError, now time.Time) reply {
	if len(errs) > 0 {
		status = http.StatusMultiStatus
	}
	if results == nil {
		results = []T{}
	}
	return reply{status, batchReply[T]{Status: "COMPLETE", Results: results, NumErrors: len(errs), Errors: errs,
		StartedAt: stamp(now), CompletedAt: stamp(now)}}
}

// wire gives a record with those of its properties that are asked for, and HubSpot's own.
// One that was asked for and has no value is null.
func (t *table) wire(r *record, asked []string) wireRecord {
	w := wireRecord{ID: r.id, Properties: make(map[string]*string), CreatedAt: stamp(r.created), UpdatedAt: stamp(r.changed), Archived: r.archived}
	if r.archived {
		w.ArchivedAt = stamp(r.archivedAt)
	}
	for _, p := range t.system() {
		asked = append(asked[:len(asked):len(asked)], p.Name)
	}
	for _, name := range asked {
		if t.byName[name] == nil {
			continue // one that there is not is left out, and no error
		}
		w.Properties[name] = nil
		if v, ok := t.value(r, name); ok {
			w.Properties[name] = &v
		}
	}
	return w
}

// readBody reads a body to its end, also of a call that is then refused: only then does the
// server see a client that goes away.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *fault) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &fault{status: http.StatusRequestEntityTooLarge, category: validationError, message: "The request is too large."}
	}
	if err != nil {
		return nil, badRequest("The request could not be read")
	}
	return body, nil
}

// decode reads a body. What it does not know is an error: HubSpot would pass over it, and
// what a client meant by it would be lost without a word.
func decode(body []byte, into any) *fault {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badInput(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return badInput(errors.New("there is more than one value"))
	}
	return nil
}

// list gives the values of a query parameter: comma-separated, or there more than once.
func list(c *call, name string) (out []string) {
	for _, text := range c.URL.Query()[name] {
		for v := range strings.SplitSeq(text, ",") {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, v)
			}
		}
	}
	return out
}
