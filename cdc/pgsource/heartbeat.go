package pgsource

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Prefix is that of walbridge's logical messages.
const Prefix = "walbridge"

// heartbeat writes a logical message now and then, so that the slot moves on
// when nothing captured changes but other tables or databases write WAL. The
// message is transactional, so it has a commit LSN of its own, and does not wait
// for synchronous standbys: a heartbeat must not hang when the application does.
func (s *Source) heartbeat(ctx context.Context) error {
	if s.options.Heartbeat <= 0 {
		return nil
	}
	tick := time.NewTicker(s.options.Heartbeat)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			closeConn(conn)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		if conn == nil || conn.IsClosed() {
			if conn, err = s.Connect(ctx); err == nil {
				_, err = conn.Exec(ctx, "SET synchronous_commit = local")
			}
		}
		if err == nil {
			_, err = conn.Exec(ctx, "SELECT pg_logical_emit_message(true, $1, 'heartbeat')", Prefix)
		}
		if err != nil && ctx.Err() == nil {
			s.logger.Warn("heartbeat not written", "error", err)
			if conn != nil {
				closeConn(conn)
				conn = nil
			}
		}
	}
}
