package wire

import (
	"context"
	"errors"
	"log/slog"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/trace"
)

// openTracer makes what keeps the history of a target, if one is to be kept.
func (b *Bridge) openTracer(t *target) (err error) {
	most := b.cfg.Delivery.Trace.Bytes
	if most == 0 {
		return nil
	}
	t.tracer, err = trace.NewWriter(trace.Options{Client: b.log.Client(), Keys: b.log.Keys(), Target: t.name,
		Partitions: b.log.Partitions(), Bytes: most, Logger: b.logger, Registerer: b.registry})
	return err
}

// tracing is the tracer as delivery takes it: nil where there is none.
func (t *target) tracing() deliver.Tracer {
	if t.tracer == nil {
		return nil
	}
	return t.tracer
}

func (t *target) closeTracer() error {
	if t.tracer == nil {
		return nil
	}
	return t.tracer.Close()
}

// storyLines is how many changes and steps the console shows.
const storyLines = 50

// Story tells of a record for the console.
func (b *Bridge) Story(ctx context.Context, table, key string) ([]string, error) {
	r, err := Trace(ctx, b.cfg, slog.New(slog.DiscardHandler), TraceRequest{Table: table, Key: key, Limit: storyLines})
	var unknown *cdc.SetupError
	if errors.As(err, &unknown) && unknown.Err == nil {
		return nil, &console.UnknownError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	return r.Lines(), nil
}
