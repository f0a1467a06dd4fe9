package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi"
)

// What is measured by default, and what a bridge does by default.
const (
	batchSize = 200
	inFlight  = 4
)

type deliverFlags struct {
	json    bool
	records int
	runs    int
}

func deliverCommand() *cobra.Command {
	var f deliverFlags
	c := &cobra.Command{
		Use:   "deliver",
		Short: "Deliver a log over HTTP in batches of 200, no two changes of one row, beside a plain client that posts the same bodies",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDeliver(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.records, "records", 200_000, "changes in the log, each of a row of its own")
	c.Flags().IntVar(&f.runs, "runs", 3, "how often each; the median counts")
	return c
}

func runDeliver(ctx context.Context, f deliverFlags) (err error) {
	log, err := fillLog(ctx, f.records, f.records, func(i int) int { return i })
	if err != nil {
		return err
	}
	defer closing(&err, log.close)
	t, err := startTarget(ctx)
	if err != nil {
		return err
	}
	defer closing(&err, t.close)
	bodies, err := encodeAll(f.records)
	if err != nil {
		return err
	}
	var ref []time.Duration
	own := []ownRuns{{tool: "walbridge", traced: historyBytes}, {tool: "without trace"}}
	for run := range f.runs {
		began := time.Now()
		if err := postAll(ctx, t.url, bodies); err != nil {
			return err
		}
		ref = append(ref, time.Since(began))
		for i := range own {
			at := (run + i) % len(own) // neither is always the first
			if err := own[at].run(ctx, log, t.url, fmt.Sprintf("crm%d-%d", run, at)); err != nil {
				return err
			}
		}
	}
	perSecond := func(d time.Duration) float64 { return float64(f.records) / d.Seconds() }
	r := median(ref)
	if err := (Result{Bench: "deliver", Shape: "http", Tool: "net/http POST", Rows: int64(f.records), Seconds: r.Seconds(), RowsPerS: perSecond(r), Ratio: 1}).print(f.json); err != nil {
		return err
	}
	for i := range own {
		o := median(own[i].took)
		if err := (Result{Bench: "deliver", Shape: "http", Tool: own[i].tool, Rows: int64(f.records), Records: own[i].delivered, Seconds: o.Seconds(), RowsPerS: perSecond(o),
			Ratio: perSecond(o) / perSecond(r), CPUUS: middle(own[i].cpu), RedisUS: middle(own[i].redis)}).print(f.json); err != nil {
			return err
		}
	}
	return nil
}

// historyBytes is what a bridge keeps of a target's history by default.
const historyBytes = 16 << 20

// ownRuns are the runs of walbridge, with and without the history of walbridge trace.
type ownRuns struct {
	tool       string
	traced     int64
	took       []time.Duration
	cpu, redis []float64
	delivered  uint64
}

func (o *ownRuns) run(ctx context.Context, log *filledLog, url, name string) error {
	client, err := httpapi.New(httpapi.Options{URL: url, Timeout: 15 * time.Second, MaxBatch: batchSize, MaxInFlight: inFlight})
	if err != nil {
		return err
	}
	defer client.Close()
	log.traced = o.traced
	return profiled(func() error {
		d, err := log.drain(ctx, name, client)
		if err != nil {
			return err
		}
		cpu, redis := d.spent.each(log.changes)
		o.took, o.cpu, o.redis, o.delivered = append(o.took, d.took), append(o.cpu, cpu), append(o.redis, redis), d.stats.Delivered
		return nil
	})
}

// middle is the median of some figures.
func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// encodeAll makes the bodies of the requests that the rows come to.
func encodeAll(records int) ([][]byte, error) {
	m, err := dealMapper()
	if err != nil {
		return nil, err
	}
	rows := dealRows(records)
	var bodies [][]byte
	b := sinks.Batch{Object: m.Object()}
	for i := range rows {
		rec, _, err := m.Map(&rows[i], sinks.Prior{})
		if err != nil {
			return nil, err
		}
		if b.Records = append(b.Records, rec); len(b.Records) < batchSize && i < len(rows)-1 {
			continue
		}
		body, err := httpapi.Encode(b)
		if err != nil {
			return nil, err
		}
		bodies, b.Records = append(bodies, body), nil
	}
	return bodies, nil
}

// postAll posts the bodies, as many at a time as the worker does.
func postAll(ctx context.Context, url string, bodies [][]byte) error {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = inFlight
	client := &http.Client{Transport: t}
	defer client.CloseIdleConnections()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for _, body := range bodies {
		g.Go(func() (err error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
			if err != nil {
				return fmt.Errorf("post: %w", err)
			}
			res, err := client.Do(req)
			if err != nil {
				return fmt.Errorf("post: %w", err)
			}
			defer closing(&err, res.Body.Close)
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				return fmt.Errorf("post: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}
