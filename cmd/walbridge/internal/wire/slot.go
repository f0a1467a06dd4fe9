package wire

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
)

// Slot is a bridge's replication slot, with a connection to look at it.
type Slot struct {
	Report *SourceReport
	facts  pgsource.Facts
	source *pgsource.Source
	conn   *pgx.Conn
}

// OpenSlot connects to the database of a configuration and reads the slot.
func OpenSlot(ctx context.Context, cfg *config.Config, logger *slog.Logger) (*Slot, error) {
	src, err := pgsource.New(pgsource.Options{URL: cfg.Postgres.URL.Reveal(), Slot: cfg.Postgres.Slot, Publication: cfg.Postgres.Publication, Logger: logger})
	if err != nil {
		return nil, err
	}
	s := &Slot{source: src}
	if s.conn, err = src.Connect(ctx); err != nil {
		return nil, err
	}
	if s.facts, err = src.Facts(ctx, s.conn); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Report = sourceReport(cfg, s.facts)
	return s, nil
}

// Drop drops the slot; one that is in use is an error.
func (s *Slot) Drop(ctx context.Context) error { return s.source.DropSlot(ctx, s.conn) }

// Close ends the connection.
func (s *Slot) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return s.conn.Close(ctx)
}
