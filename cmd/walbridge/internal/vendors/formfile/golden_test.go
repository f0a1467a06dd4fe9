package formfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi"
	"github.com/walbridge/walbridge/sinks/httpapi/presets"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

var update = flag.Bool("update", false, "write the golden files")

// recorder answers each request as a golden file's API would, and writes down what was asked.
type recorder struct {
	bytes.Buffer
	answers map[string]string // by method and path
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	fmt.Fprintf(r, "%s %s\n", req.Method, req.URL)
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		if name != "User-Agent" {
			fmt.Fprintf(r, "%s: %s\n", name, strings.Join(req.Header[name], ", "))
		}
	}
	if req.Body != nil {
		body := new(bytes.Buffer)
		if _, err := body.ReadFrom(req.Body); err != nil {
			return nil, err
		}
		fmt.Fprintf(r, "\n%s\n", body)
	}
	fmt.Fprintln(r)
	text, status := r.answers[req.Method+" "+req.URL.Path], http.StatusOK
	if text == "" {
		status = http.StatusNoContent
	}
	return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

// What is sent to each API, byte for byte, for an upsert of two records with an odd value, and
// then a delete.
func TestRequestsOfPresets(t *testing.T) {
	credentials := httpapi.Credentials{Token: "T0K", Keys: []httpapi.Secret{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
	answers := map[string]string{
		"GET /v1/deal/":     `{"count":1,"results":[{"id":"u-1","integration_id":"K/1"}]}`,
		"GET /v1/Deals":     `{"items":[{"id":7,"Ext":"K/1"}]}`,
		"PATCH /v1/Deals/7": `{"id":7}`,
		"POST /v1/Deals":    `{"id":8}`,
	}
	for _, name := range presets.Names() {
		t.Run(name, func(t *testing.T) {
			f := preset(t, name)
			r := &recorder{answers: answers}
			c, err := httpapi.New(httpapi.Options{Form: f, Credentials: credentials, Transport: r, Now: func() time.Time { return time.Unix(1700000000, 0) }})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.TakeNotes(sinktest.NewNotes())
			record := func(key string, op sinks.Op, fields ...sinks.Field) sinks.Record {
				return sinks.Record{Mapping: "deals", Source: key, Object: "Deals", Op: op, Key: sinks.Field{Name: "Ext", Value: json.RawMessage(key)},
					Fields: fields, Position: cdc.Position{LSN: 26843545, Ordinal: 4}}
			}
			all := []sinks.Record{
				record(`"K/1"`, sinks.Upsert, sinks.Field{Name: "Name", Value: json.RawMessage(`"5 < 6 \u2713"`)}, sinks.Field{Name: "Amount", Value: json.RawMessage("12345678901234567.890")}),
				record(`2`, sinks.Upsert, sinks.Field{Name: "Name", Value: json.RawMessage("null")}),
				record(`"K/1"`, sinks.Delete),
			}
			if name == "quotapath" {
				value := sinks.Field{Name: "value", Value: json.RawMessage("1200.50")}
				path := sinks.Field{Name: "path_id", Value: json.RawMessage(`"9f9518a6"`)}
				all[0].Fields[1] = value
				all[0].Fields = append(all[0].Fields, path)
				all[1].Fields = append(all[1].Fields, path, value)
			}
			// What the answers come to is the matter of other tests.
			for _, b := range [][]sinks.Record{all[:2], all[2:]} {
				for part := range slices.Chunk(b, min(2, c.Limits().MaxBatch)) {
					_, _ = c.Deliver(t.Context(), sinks.Batch{Object: "Deals", Records: part})
				}
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, r.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want, r.Bytes()) {
				t.Errorf("got\n%s\nwant\n%s", r.Bytes(), want)
			}
		})
	}
}
