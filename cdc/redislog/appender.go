package redislog

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/walbridge/walbridge/cdc"
)

// appender is a Writer and the Barrier that follows it.
type appender struct {
	*Writer
	*Barrier
}

// NewAppender gives a writer that goes on where the streams end, and a barrier
// that finds out what of it is durable.
func (l *Log) NewAppender(ctx context.Context) (cdc.Appender, error) {
	w, err := l.NewWriter(ctx)
	if err != nil {
		return nil, err
	}
	b, err := l.NewBarrier(ctx, w)
	if err != nil {
		return nil, err
	}
	b.say()
	return appender{Writer: w, Barrier: b}, nil
}

// Run runs both until ctx ends or the writer finds that the log lost entries.
func (a appender) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Writer.Run(ctx) })
	g.Go(func() error { return a.Barrier.Run(ctx) })
	return g.Wait()
}
