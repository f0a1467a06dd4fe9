package wire

import (
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
