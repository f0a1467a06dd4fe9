package pgsource

import (
	"bufio"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	readBuffer = 64 << 10
	// busyRate is the rate of bytes from which reads become patient: some
	// thousand small transactions a second.
	busyRate = 4 << 20
	// rateWindow is how long a rate is measured.
	rateWindow = 2 * time.Millisecond
	// patience is how long a patient read lets bytes gather.
	patience = 400 * time.Microsecond
)

// patientReader gathers bytes when there are many in small pieces. The server
// sends each message of a transaction by itself; a reader that is woken for each
// of them spends its core, and the server's, on changing between the two. At
// ordinary rates it waits for nothing.
type patientReader struct {
	from  io.Reader
	since time.Time
	bytes int
	busy  bool
	full  bool // the last read filled its buffer: there is more
}

func (p *patientReader) Read(b []byte) (int, error) {
	if p.busy && !p.full {
		time.Sleep(patience)
	}
	n, err := p.from.Read(b)
	p.full = n == len(b)
	p.bytes += n
	now := time.Now()
	if d := now.Sub(p.since); d >= rateWindow {
		p.busy = float64(p.bytes) >= busyRate*d.Seconds()
		p.since, p.bytes = now, 0
	}
	return n, err
}

// patientFrontend makes a connection's reads patient and its buffer large.
func patientFrontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	return pgproto3.NewFrontend(bufio.NewReaderSize(&patientReader{from: r}, readBuffer), w)
}
