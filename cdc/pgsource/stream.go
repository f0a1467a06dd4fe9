package pgsource

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// statusEvery is how often the server hears from us when it does not ask. While the
// log takes nothing we do not hear it ask, and it gives us up after wal_sender_timeout,
// of which a second is the least that anybody sets: blockedStatusEvery is well within.
const (
	statusEvery        = time.Second
	blockedStatusEvery = 250 * time.Millisecond
)

// A connection that says nothing may be one whose other end is gone: after
// askAfter the server is asked for a sign of life, after silentAfter the
// connection is given up.
const (
	askAfter    = 10 * time.Second
	silentAfter = 40 * time.Second
)

// clockEvery is how many messages are read between two looks at the clock.
const clockEvery = 64

// stream reads one replication connection and hands its rows to the appender.
type stream struct {
	capture *Capture
	conn    *pgconn.PgConn
	app     cdc.Appender
	decoder *pgoutput.Decoder
	router  *router
	keyless map[uint32]bool // the tables that were stopped for it

	injector *injector
	tables   map[cdc.Table]uint32 // the captured ones, by the names that the log has
	starter  *starter

	partitions int
	confirmed  cdc.LSN
	systemID   string // of the server
	nextStatus time.Time
	heard      time.Time // when a message last arrived, as told at status updates
	messages   uint64    // how many did
	told       uint64    // messages at the last status update
}

// streamStart is where a stream begins.
type streamStart struct {
	base      cdc.LSN
	xid       uint64
	confirmed cdc.LSN
	systemID  string
	router    *router
	tables    map[cdc.Table]uint32
	starter   *starter
}

func newStream(c *Capture, conn *pgconn.PgConn, app cdc.Appender, from streamStart) *stream {
	return &stream{
		capture: c, conn: conn, app: app, confirmed: from.confirmed, systemID: from.systemID, router: from.router, keyless: map[uint32]bool{},
		injector: newInjector(newExchange()), tables: from.tables, starter: from.starter,
		decoder: pgoutput.NewDecoder(pgoutput.Options{
			Catalog: &catalog{source: c.source, router: from.router}, Base: from.base, XID: from.xid, Misfit: c.misfit}),
		partitions: c.log.Partitions(),
	}
}

func (s *stream) run(ctx context.Context) error {
	// A read has no context, which would cost more than the read: its deadline
	// is the next status update, and the end of ctx moves it to now.
	stop := context.AfterFunc(ctx, func() {
		if err := s.conn.Conn().SetReadDeadline(time.Unix(1, 0)); err != nil {
			s.capture.source.logger.Debug("wake replication read", "error", err)
		}
	})
	defer stop()
	for n := 0; ; n++ {
		if n%clockEvery == 0 || s.nextStatus.IsZero() {
			if ctx.Err() != nil {
				return s.end()
			}
			if err := s.tick(ctx, time.Now()); err != nil {
				return err
			}
		}
		if stopped, err := s.room(ctx); err != nil {
			return err
		} else if stopped {
			return s.end()
		}
		msg, err := s.conn.ReceiveMessage(context.Background())
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				s.nextStatus = time.Time{}
				continue
			}
			return fmt.Errorf("receive from postgres: %w", err)
		}
		s.messages++
		if err := s.message(msg); err != nil {
			return err
		}
		if len(s.injector.due) == 0 {
			continue
		}
		if stopped, err := s.inject(ctx); err != nil {
			return err
		} else if stopped {
			return s.end()
		}
	}
}

// end tells the server a last time what is durable.
func (s *stream) end() error {
	if err := s.conn.Conn().SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return fmt.Errorf("end replication: %w", err)
	}
	return s.status(context.Background())
}

// wait lets the appender catch up while the server still hears from us.
func (s *stream) wait(ctx context.Context) error {
	if soon := time.Now().Add(blockedStatusEvery); s.nextStatus.After(soon) {
		s.nextStatus = soon
	}
	t := time.NewTimer(time.Until(s.nextStatus))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-s.app.Space():
		return nil
	case now := <-t.C:
		s.heard = now // it is us who do not listen
		return s.tick(ctx, now)
	}
}

// tick sends a status update when one is due and sets the next deadline.
func (s *stream) tick(ctx context.Context, now time.Time) error {
	s.capture.stats.appended.Store(uint64(s.app.Appended()))
	if at := s.app.AppendedAt(); !at.IsZero() {
		s.capture.stats.completeUntil.Store(at.UnixMicro())
	}
	if !s.nextStatus.IsZero() && now.Before(s.nextStatus) {
		return nil
	}
	if s.messages != s.told || s.heard.IsZero() {
		s.told, s.heard = s.messages, now
		s.capture.stats.seen.Store(uint64(now.UnixNano()))
	}
	if now.Sub(s.heard) > silentAfter {
		return fmt.Errorf("receive from postgres: nothing heard for %s", silentAfter)
	}
	s.nextStatus = now.Add(statusEvery)
	if err := s.conn.Conn().SetReadDeadline(s.nextStatus); err != nil {
		return fmt.Errorf("set read deadline: %w", err)
	}
	return s.status(ctx)
}

// status confirms what the log holds durably, never more (I1).
func (s *stream) status(ctx context.Context) error {
	if d := s.app.Durable(); d > s.confirmed {
		s.confirmed = d
	}
	lsn := pglogrepl.LSN(s.confirmed)
	err := pglogrepl.SendStandbyStatusUpdate(ctx, s.conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: lsn, WALFlushPosition: lsn, WALApplyPosition: lsn,
		ReplyRequested: time.Since(s.heard) > askAfter})
	if err != nil {
		return fmt.Errorf("send status to postgres: %w", err)
	}
	s.capture.stats.confirmed.Store(uint64(s.confirmed))
	return nil
}

func (s *stream) message(msg pgproto3.BackendMessage) error {
	switch m := msg.(type) {
	case *pgproto3.CopyData:
		return s.data(m.Data)
	case *pgproto3.ErrorResponse:
		return fmt.Errorf("receive from postgres: %w", pgconn.ErrorResponseToPgError(m))
	case *pgproto3.CopyDone:
		return fmt.Errorf("receive from postgres: the server ended the stream")
	}
	return nil // parameter status, notices
}

// The layouts of the messages within CopyData: PostgreSQL manual, "Streaming
// Replication Protocol".
const (
	xlogHeader      = 25 // kind, start, end, clock
	keepaliveLength = 18 // kind, end, clock, reply asked for
)

func (s *stream) data(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("receive from postgres: an empty message")
	}
	st := &s.capture.stats
	switch b[0] {
	case 'w':
		if len(b) < xlogHeader {
			return fmt.Errorf("receive from postgres: a message of %d bytes is too short", len(b))
		}
		st.serverEnd.Store(binary.BigEndian.Uint64(b[9:]))
		st.bytes.Add(uint64(len(b)))
		return s.decoder.Decode(b[xlogHeader:], s)
	case 'k':
		if len(b) < keepaliveLength {
			return fmt.Errorf("receive from postgres: a keepalive of %d bytes is too short", len(b))
		}
		end := binary.BigEndian.Uint64(b[1:])
		st.serverEnd.Store(end)
		st.seen.Store(uint64(time.Now().UnixNano()))
		// Everything that committed before end has been received, and so was
		// passed to the log; with a transaction open, more of it is to come.
		if !s.decoder.InTransaction() {
			s.app.Mark(cdc.LSN(end), serverTime(b[9:]))
		}
		if b[17] == 1 {
			return s.status(context.Background())
		}
		return nil
	}
	return fmt.Errorf("receive from postgres: unknown message %q", b[0])
}

// serverTime reads a time as the protocol has it: microseconds since 2000.
func serverTime(b []byte) time.Time {
	const microsTo2000 = 946_684_800_000_000
	return time.UnixMicro(int64(binary.BigEndian.Uint64(b)) + microsTo2000)
}

// Begin is called by the decoder.
func (s *stream) Begin(*pgoutput.Tx) error { return nil }

// Change routes a row to its lane and partition.
func (s *stream) Change(rel *pgoutput.Relation, tx *pgoutput.Tx, e *cdc.Entry) error {
	r := s.router.find(rel, e.Position)
	if r == nil {
		s.capture.stats.filtered.Add(1)
		return nil
	}
	lane, err := r.lane(tx.Rows, e)
	if err != nil {
		return err
	}
	s.capture.stats.rows.Add(1)
	e.Table = r.name
	if s.injector.tracking {
		s.injector.change(rel.OID, e)
	}
	s.app.Append(cdc.Stream{Lane: lane, Partition: cdc.PartitionOf(r.name, e.Key, s.partitions)}, e)
	return nil
}

// Keyless stops a table that lost its key: its rows can be told apart no more.
func (s *stream) Keyless(rel *pgoutput.Relation, _ *pgoutput.Tx) error {
	t, captured := s.router.now[rel.OID]
	if !captured {
		s.capture.stats.filtered.Add(1)
		return nil
	}
	s.capture.stats.keyless.Add(1)
	if s.keyless[rel.OID] {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), catalogTimeout)
	defer cancel()
	if err := s.capture.stopTable(ctx, t, "rows came that had no key: it, or a partition of it, had no usable replica identity for a while"); err != nil {
		return err
	}
	s.keyless[rel.OID] = true
	return nil
}

// Truncate goes to every partition in every lane.
func (s *stream) Truncate(rel *pgoutput.Relation, _ *pgoutput.Tx, e *cdc.Entry) error {
	if r := s.router.find(rel, e.Position); r != nil {
		s.capture.stats.rows.Add(1)
		e.Table = r.name
		if s.injector.tracking {
			s.injector.change(rel.OID, e)
		}
		s.app.AppendAll(e)
	}
	return nil
}

// Commit marks the end of a transaction.
func (s *stream) Commit(tx *pgoutput.Tx, end cdc.LSN) error {
	st := &s.capture.stats
	st.transactions.Add(1)
	st.seen.Store(uint64(time.Now().UnixNano()))
	s.app.Mark(end, time.UnixMicro(tx.Micros))
	if s.injector.tracking {
		s.injector.commit(tx.XID)
	}
	if len(s.injector.answers) > 0 {
		s.answer(end)
	}
	return nil
}

var _ pgoutput.Handler = (*stream)(nil)
