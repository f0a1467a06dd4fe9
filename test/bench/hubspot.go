package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks/hubspot"
	"github.com/walbridge/walbridge/sinks/notes"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/hubspot"
)

type hubspotFlags struct {
	json    bool
	records int
}

func hubspotCommand() *cobra.Command {
	var f hubspotFlags
	c := &cobra.Command{
		Use:   "hubspot",
		Short: "Calls of the API for a log of upserts, at a simulation of HubSpot that counts them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runHubSpot(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.records, "records", 100_000, "changes in the log, each of a row of its own")
	return c
}

const hubspotMapping = `name: deals
from: public.deals
to: crm/deals
key: {wb_key: string(id)}
fields:
  dealname: first_name + ' ' + last_name
  amount: amount * quantity
  closedate: close_date
  description: note
`

// hubspotCalls is what reached the simulation.
type hubspotCalls struct {
	Records int              `json:"records"`
	Calls   int64            `json:"calls"`
	ByKind  map[string]int64 `json:"by_kind"`
	Held    int              `json:"held"`
	Seconds float64          `json:"seconds"`
}

func runHubSpot(ctx context.Context, f hubspotFlags) (err error) {
	file, err := mapping.Parse("deals.yaml", []byte(hubspotMapping))
	if err != nil {
		return err
	}
	m, err := mapping.Compile(file, dealsCatalog())
	if err != nil {
		return err
	}
	log, err := fillLog(ctx, f.records, f.records, func(i int) int { return i })
	if err != nil {
		return err
	}
	defer closing(&err, log.close)
	account := sandbox.New(sandbox.Options{})
	server := httptest.NewServer(account)
	defer server.Close()
	client, err := hubspot.New(hubspot.Options{URL: server.URL, Token: "bench"})
	if err != nil {
		return err
	}
	defer client.Close()
	keys := log.log.Keys()
	client.TakeNotes(notes.New(log.log.Client(), notes.Keys{Spaces: keys.Notes("crm"), Space: func(space string) string { return keys.NoteSpace("crm", space) }}))
	d, err := log.drainBy(ctx, "crm", client, m)
	if err != nil {
		return err
	}
	out := hubspotCalls{Records: f.records, ByKind: account.Calls(), Held: account.Count("deals"), Seconds: d.took.Seconds()}
	for _, n := range out.ByKind {
		out.Calls += n
	}
	if out.Held != f.records {
		return fmt.Errorf("the account has %d of %d records", out.Held, f.records)
	}
	if f.json {
		return json.NewEncoder(os.Stdout).Encode(out)
	}
	_, err = fmt.Printf("hubspot  %d records in %d calls (%v), %.1f s\n", out.Records, out.Calls, out.ByKind, out.Seconds)
	return err
}
