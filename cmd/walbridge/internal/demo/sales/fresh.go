package sales

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Renew makes the tables empty: what an earlier demo made is dropped, what
// somebody else made is left alone and is an error. A bridge that is started
// between Renew and Seed sees every row.
func Renew(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		there, err := created(ctx, tx)
		if err != nil {
			return err
		}
		if there {
			for _, t := range Tables() {
				if _, err := tx.Exec(ctx, "drop table "+t+" cascade"); err != nil {
					return fmt.Errorf("drop table of an earlier demo: %w", err)
				}
			}
			for _, t := range Types() {
				if _, err := tx.Exec(ctx, "drop type if exists "+t); err != nil {
					return fmt.Errorf("drop type of an earlier demo: %w", err)
				}
			}
		}
		return makeTables(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("make sales database: %w", err)
	}
	return nil
}

// Seed fills empty tables with made-up rows, the same for the same seed, in one
// transaction.
func Seed(ctx context.Context, conn *pgx.Conn, seed uint64) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		return seedRows(ctx, &work{tx: tx}, newFiction(seed))
	})
	if err != nil {
		return fmt.Errorf("fill sales database: %w", err)
	}
	return nil
}
