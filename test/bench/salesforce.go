package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/salesforce"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
)

type salesforceFlags struct {
	json    bool
	records int
}

func salesforceCommand() *cobra.Command {
	var f salesforceFlags
	c := &cobra.Command{
		Use:   "salesforce",
		Short: "API calls for many upserts into a simulated Salesforce org: alone, 200 a request, through Composite, and by a bulk job",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runSalesforce(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.records, "records", 100_000, "how many records are upserted")
	return c
}

// salesforceResult is what one way of sending took.
type salesforceResult struct {
	Bench string `json:"bench"`
	Way   string `json:"way"`
	// Records are those that the org holds, Calls what it counts against its day.
	Records int     `json:"records"`
	Calls   int64   `json:"calls"`
	Jobs    int64   `json:"jobs"`
	Seconds float64 `json:"seconds"`
}

func runSalesforce(ctx context.Context, f salesforceFlags) error {
	for _, way := range []struct {
		name  string
		batch int // records of a Deliver; all if zero
		bulk  bool
	}{{"one by one", 1, false}, {"collections", 200, false}, {"composite", 1000, false}, {"bulk job", 0, true}} {
		records := f.records
		if way.batch == 1 {
			records = min(records, 1000) // the count is as plain with fewer
		}
		r, err := upsertMany(ctx, records, way.batch, way.bulk)
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		r.Bench, r.Way = "salesforce", way.name
		if f.json {
			err = json.NewEncoder(os.Stdout).Encode(r)
		} else {
			_, err = fmt.Printf("%-10s %-12s %7d records %7d calls %2d jobs %6.1f s %8.0f records/s\n", r.Bench, r.Way, r.Records, r.Calls, r.Jobs, r.Seconds, float64(r.Records)/r.Seconds)
		}
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// upsertMany delivers records to an org of its own, and counts there.
func upsertMany(ctx context.Context, records, batch int, bulk bool) (r salesforceResult, err error) {
	org := sandbox.New(sandbox.Options{DailyCalls: 10_000_000})
	server := httptest.NewServer(org)
	defer server.Close()
	jobs := &jobCount{next: server.Client().Transport}
	c, err := salesforce.New(salesforce.Options{URL: server.URL, Transport: jobs, Bulk: salesforce.Bulk{From: 1, Max: records},
		Login: salesforce.Login{Grant: salesforce.GrantClientCredentials, ClientID: "bench", ClientSecret: "bench"}})
	if err != nil {
		return r, err
	}
	defer c.Close()
	c.TakeNotes(make(noteMap))
	if batch == 0 {
		batch = records
	}
	start := time.Now()
	for from := 0; from < records; from += batch {
		b := sinks.Batch{Object: "Account", Bulk: bulk}
		for i := from; i < min(from+batch, records); i++ {
			b.Records = append(b.Records, benchAccount(i))
		}
		results, err := c.Deliver(ctx, b)
		if err != nil {
			return r, err
		}
		for i := range results {
			if results[i].Err != nil {
				return r, results[i].Err
			}
		}
	}
	r.Seconds = time.Since(start).Seconds()
	r.Records, r.Calls, r.Jobs = org.Count("Account"), org.Calls()["api"], jobs.made
	if r.Records != records {
		return r, fmt.Errorf("the org holds %d records of %d", r.Records, records)
	}
	return r, nil
}

func benchAccount(i int) sinks.Record {
	text := func(s string) json.RawMessage { return json.RawMessage(fmt.Sprintf("%q", s)) }
	return sinks.Record{Mapping: "accounts", Source: fmt.Sprint(i), Object: "Account", Op: sinks.Upsert,
		Key: sinks.Field{Name: "Account_Ext__c", Value: text(fmt.Sprintf("A-%d", i))}, Position: cdc.Position{LSN: cdc.LSN(i + 1)},
		Fields: []sinks.Field{{Name: "Name", Value: text(fmt.Sprintf("Account %d", i))}, {Name: "AnnualRevenue", Value: json.RawMessage("1250000.50")},
			{Name: "Industry", Value: text("Banking")}, {Name: "Website", Value: text("https://example.com")}}}
}

// noteMap keeps the notes of one client in memory. Its jobs come one after the other.
type noteMap map[string]map[string]string

func (n noteMap) Get(_ context.Context, space string, keys []string) (map[string]string, error) {
	found := make(map[string]string)
	for _, key := range keys {
		if note, ok := n[space][key]; ok {
			found[key] = note
		}
	}
	return found, nil
}

func (n noteMap) All(_ context.Context, space string) (map[string]string, error) {
	return maps.Clone(n[space]), nil
}

func (n noteMap) Set(_ context.Context, space string, notes map[string]string) error {
	if n[space] == nil {
		n[space] = make(map[string]string)
	}
	maps.Copy(n[space], notes)
	maps.DeleteFunc(n[space], func(_, note string) bool { return note == "" })
	return nil
}

// jobCount counts the bulk jobs that are made.
type jobCount struct {
	next http.RoundTripper
	mu   sync.Mutex // covers made
	made int64
}

func (j *jobCount) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.URL.Path == "/services/data/"+salesforce.DefaultVersion+"/jobs/ingest" {
		j.mu.Lock()
		j.made++
		j.mu.Unlock()
	}
	return j.next.RoundTrip(r)
}
