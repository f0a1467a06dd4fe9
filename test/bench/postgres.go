package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/postgres"
	"github.com/walbridge/walbridge/sinks/transport"
	"github.com/walbridge/walbridge/test/servers"
)

type postgresFlags struct {
	json    bool
	records int
	batch   int
	runs    int
}

func postgresCommand() *cobra.Command {
	var f postgresFlags
	c := &cobra.Command{
		Use:   "postgres",
		Short: "Deliver records of ten fields to a table, beside pgx batches of one upsert a row, and COPY into an empty table",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runPostgres(cmd.Context(), f) },
	}
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a line")
	c.Flags().IntVar(&f.records, "records", 200_000, "records of a run")
	c.Flags().IntVar(&f.batch, "batch", 1000, "records of a batch")
	c.Flags().IntVar(&f.runs, "runs", 3, "how often each, in turn; the median counts")
	return c
}

const forecast = `DROP TABLE IF EXISTS forecast; CREATE TABLE forecast (id text PRIMARY KEY, name text, stage varchar(40), amount numeric(14,2), probability int,
  owner bigint, close_date date, updated_at timestamptz, is_open boolean, custom jsonb, "_walbridge_position" numeric(40,20))`

// forecastFields are those of the records, with the types for those who write them by hand.
var forecastFields = []string{"name", "stage", "amount", "probability", "owner", "close_date", "updated_at", "is_open", "custom"}

func forecastRecords(n, round int) (out []sinks.Record) {
	for i := range n {
		r := sinks.Record{Mapping: "forecast", Object: "forecast", Op: sinks.Upsert, Position: cdc.Position{LSN: cdc.LSN(1000*round + i/100), Ordinal: uint64(i % 100)},
			Key: sinks.Field{Name: "id", Value: json.RawMessage(fmt.Sprintf(`"deal-%d"`, i))}}
		for f, v := range []string{fmt.Sprintf(`"Deal with customer %d"`, i), `"negotiation"`, fmt.Sprintf("%d.%d", 12345+i, 10+round), "40", fmt.Sprint(i % 50),
			`"2026-01-31"`, `"2026-01-31T09:30:00.123456+00:00"`, fmt.Sprint(i%2 == 0), `{"tier": "gold", "seats": 25}`} {
			r.Fields = append(r.Fields, sinks.Field{Name: forecastFields[f], Value: json.RawMessage(v)})
		}
		out = append(out, r)
	}
	return out
}

// writer is a way to bring records into the table.
type writer struct {
	name  string
	write func(ctx context.Context, records []sinks.Record) error
}

func runPostgres(ctx context.Context, f postgresFlags) (err error) {
	pg, err := servers.StartPostgres(ctx, servers.PostgresOptions{
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Settings: map[string]string{"max_wal_size": "8GB", "shared_buffers": "256MB", "checkpoint_timeout": "30min", "autovacuum": "off"},
	})
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	defer closing(&err, pg.Close)
	pool, err := pgxpool.New(ctx, pg.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer pool.Close()
	target, err := postgres.New(postgres.Options{URL: transport.Secret(pg.URL("postgres")), MaxBatch: f.batch, MaxInFlight: inFlight})
	if err != nil {
		return err
	}
	defer target.Close()
	writers := []writer{
		{"pgx batch", func(ctx context.Context, records []sinks.Record) error { return upsertByHand(ctx, pool, records) }},
		{"walbridge", func(ctx context.Context, records []sinks.Record) error { return deliverAll(ctx, target, records) }},
		{"COPY", func(ctx context.Context, records []sinks.Record) error { return copyAll(ctx, pool, records) }},
	}
	took := map[string]map[string][]time.Duration{"insert": {}, "update": {}}
	inserts, updates := forecastRecords(f.records, 0), forecastRecords(f.records, 1)
	for range f.runs {
		for _, w := range writers {
			if _, err := pool.Exec(ctx, forecast); err != nil {
				return fmt.Errorf("make table: %w", err)
			}
			for _, phase := range []struct {
				name    string
				records []sinks.Record
			}{{"insert", inserts}, {"update", updates}} {
				if phase.name == "update" && w.name == "COPY" {
					continue // it makes new rows only
				}
				began := time.Now()
				if err := inBatches(ctx, phase.records, f.batch, w.write); err != nil {
					return fmt.Errorf("%s by %s: %w", phase.name, w.name, err)
				}
				took[phase.name][w.name] = append(took[phase.name][w.name], time.Since(began))
				if err := countForecast(ctx, pool, f.records); err != nil {
					return fmt.Errorf("%s by %s: %w", phase.name, w.name, err)
				}
			}
		}
	}
	for _, phase := range []string{"insert", "update"} {
		base := median(took[phase][writers[0].name])
		for _, w := range writers {
			if len(took[phase][w.name]) == 0 {
				continue
			}
			d := median(took[phase][w.name])
			if err := (Result{Bench: "postgres", Shape: phase, Tool: w.name, Rows: int64(f.records), Seconds: d.Seconds(), RowsPerS: float64(f.records) / d.Seconds(),
				Ratio: base.Seconds() / d.Seconds()}).print(f.json); err != nil {
				return err
			}
		}
	}
	return nil
}

func countForecast(ctx context.Context, pool *pgxpool.Pool, want int) error {
	var n int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM forecast").Scan(&n); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if n != want {
		return fmt.Errorf("the table has %d rows, want %d", n, want)
	}
	return nil
}

// inBatches writes records, as many batches at a time as a worker does.
func inBatches(ctx context.Context, records []sinks.Record, size int, write func(context.Context, []sinks.Record) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for start := 0; start < len(records); start += size {
		batch := records[start:min(start+size, len(records))]
		g.Go(func() error { return write(ctx, batch) })
	}
	return g.Wait()
}

func deliverAll(ctx context.Context, target *postgres.Target, records []sinks.Record) error {
	rs, err := target.Deliver(ctx, sinks.Batch{Object: "forecast", Records: records})
	if err != nil {
		return err
	}
	for i := range rs {
		if rs[i].Err != nil {
			return rs[i].Err
		}
	}
	return nil
}

const upsertForecast = `INSERT INTO forecast AS t (id, name, stage, amount, probability, owner, close_date, updated_at, is_open, custom, "_walbridge_position")
VALUES ($1, $2, $3, $4::text::numeric, $5, $6, $7::text::date, $8::text::timestamptz, $9, $10, $11::text::numeric)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, stage = excluded.stage, amount = excluded.amount, probability = excluded.probability, owner = excluded.owner,
close_date = excluded.close_date, updated_at = excluded.updated_at, is_open = excluded.is_open, custom = excluded.custom, "_walbridge_position" = excluded."_walbridge_position"
WHERE t."_walbridge_position" IS NULL OR t."_walbridge_position" <= excluded."_walbridge_position"`

// values are those of a record as the driver takes them.
func values(r *sinks.Record) ([]any, error) {
	text := func(v json.RawMessage) (string, error) {
		var s string
		err := json.Unmarshal(v, &s)
		return s, err
	}
	var probability int
	var owner int64
	var open bool
	out := make([]any, 11)
	f := r.Fields
	err := errors.Join(json.Unmarshal(f[3].Value, &probability), json.Unmarshal(f[4].Value, &owner), json.Unmarshal(f[7].Value, &open))
	for i, v := range []json.RawMessage{r.Key.Value, f[0].Value, f[1].Value, nil, nil, nil, f[5].Value, f[6].Value} {
		if v == nil {
			continue
		}
		s, e := text(v)
		err = errors.Join(err, e)
		out[i] = s
	}
	out[3], out[4], out[5], out[8], out[9] = string(f[2].Value), probability, owner, open, f[8].Value
	out[10] = fmt.Sprintf("%d.%020d", uint64(r.Position.LSN), r.Position.Ordinal)
	return out, err
}

// upsertByHand is what somebody would write: a batch of one statement a row.
func upsertByHand(ctx context.Context, pool *pgxpool.Pool, records []sinks.Record) error {
	b := &pgx.Batch{}
	for i := range records {
		v, err := values(&records[i])
		if err != nil {
			return err
		}
		b.Queue(upsertForecast, v...)
	}
	return pool.SendBatch(ctx, b).Close()
}

// copyAll is as fast as rows come into an empty table.
func copyAll(ctx context.Context, pool *pgxpool.Pool, records []sinks.Record) error {
	day, err := time.Parse(time.DateOnly, "2026-01-31")
	if err != nil {
		return err
	}
	_, err = pool.CopyFrom(ctx, pgx.Identifier{"forecast"}, append(append([]string{"id"}, forecastFields...), "_walbridge_position"),
		pgx.CopyFromSlice(len(records), func(i int) ([]any, error) {
			v, err := values(&records[i])
			if err != nil {
				return nil, err
			}
			v[6] = day
			if v[7], err = time.Parse(time.RFC3339Nano, v[7].(string)); err != nil {
				return nil, err
			}
			return v, nil
		}))
	return err
}
