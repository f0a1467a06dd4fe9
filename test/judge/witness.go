package judge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// Fact is what an entry of the log must say, less the row itself.
type Fact struct {
	At    cdc.Position
	Op    string
	Table string
	Key   string // columns and values as text, in the order of names; empty for a truncate
	TS    int64  // microseconds since 1970
	XID   uint32 // the lower half
}

// Witness is a replication slot that nobody else reads.
type Witness struct {
	Slot, Publication string
	// Keys are the columns of the keys where the stream does not tell them, by
	// table: under REPLICA IDENTITY FULL.
	Keys map[string][]string
}

// chunk is about how many messages are read from the slot at once.
const chunk = 50_000

// Read reads the slot to its end, and so only once. What it gives is in the order
// of Positions.
func (w *Witness) Read(ctx context.Context, conn *pgx.Conn) ([]Fact, error) {
	var found []Fact
	for {
		// The server describes its tables anew to each call.
		d := decoder{keys: w.Keys, relations: map[uint32]relation{}, found: found}
		n, err := w.readChunk(ctx, conn, &d)
		if err != nil {
			return nil, fmt.Errorf("read the witness: %w", err)
		}
		if found = d.found; n == 0 {
			break
		}
	}
	for i := 1; i < len(found); i++ {
		if !found[i-1].At.Before(found[i].At) {
			return nil, fmt.Errorf("read the witness: %v after %v", found[i].At, found[i-1].At)
		}
	}
	return found, nil
}

func (w *Witness) readChunk(ctx context.Context, conn *pgx.Conn, d *decoder) (n int, err error) {
	rows, err := conn.Query(ctx, `SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, $2, 'proto_version', '1', 'publication_names', $3)`,
		w.Slot, chunk, w.Publication)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		if err := d.message(rows.RawValues()[0]); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}

// decoder reads pgoutput, protocol version 1, by the manual: "Logical Replication
// Message Formats".
type decoder struct {
	keys      map[string][]string
	relations map[uint32]relation
	found     []Fact
	// Of the transaction that is open:
	base Fact
	rows uint64
}

// relation is a table as a Relation message tells it.
type relation struct {
	name    string
	columns []string
	key     []bool // by column: it is of the key
}

var errCut = errors.New("the message is cut short")

// bytesLeft reads a message from the front.
type bytesLeft struct {
	b   []byte
	err error
}

func (r *bytesLeft) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err, r.b = errCut, nil
		return make([]byte, max(0, min(n, 8)))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *bytesLeft) u8() byte    { return r.take(1)[0] }
func (r *bytesLeft) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *bytesLeft) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *bytesLeft) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *bytesLeft) text() string {
	i := slices.Index(r.b, 0)
	s := string(r.take(i))
	r.take(1)
	return s
}

func (d *decoder) message(msg []byte) error {
	const microsTo2000 = 946_684_800_000_000
	r := &bytesLeft{b: msg}
	switch kind := r.u8(); kind {
	case 'B':
		d.base = Fact{At: cdc.Position{LSN: cdc.LSN(r.u64())}, TS: int64(r.u64()) + microsTo2000}
		d.base.XID, d.rows = r.u32(), 0
	case 'R':
		d.relation(r)
	case 'I', 'U', 'D':
		d.row(kind, r)
	case 'T':
		n := r.u32()
		r.u8() // cascade, restart identity
		for range n {
			rel, known := d.relations[r.u32()]
			if !known {
				r.err = errNotDescribed
			}
			d.add("t", rel.name, "", 0)
			d.rows++
		}
	case 'C', 'Y', 'O', 'M':
	default:
		return fmt.Errorf("unknown message %q", kind)
	}
	if r.err != nil {
		return fmt.Errorf("read message %q at %v: %w", msg[0], d.base.At.LSN, r.err)
	}
	return nil
}

var errNotDescribed = errors.New("its table was not described")

func (d *decoder) relation(r *bytesLeft) {
	id := r.u32()
	rel := relation{name: r.text() + "." + r.text()}
	r.u8() // replica identity
	own := d.keys[rel.name]
	for range r.u16() {
		isKey := r.u8()&1 == 1
		name := r.text()
		r.take(8) // type and its modifier
		if own != nil {
			isKey = slices.Contains(own, name)
		}
		rel.key, rel.columns = append(rel.key, isKey), append(rel.columns, name)
	}
	d.relations[id] = rel
}

// add notes a fact of the row message that is being read.
func (d *decoder) add(op, table, key string, half uint64) {
	f := d.base
	f.At.Ordinal, f.Op, f.Table, f.Key = 2*d.rows+half, op, table, key
	d.found = append(d.found, f)
}

// row notes the facts of one row message: two if it changes the key.
func (d *decoder) row(kind byte, r *bytesLeft) {
	rel, known := d.relations[r.u32()]
	if !known {
		r.err = errNotDescribed
		return
	}
	var was, is string
	image := r.u8()
	if image == 'K' || image == 'O' {
		was = rel.keyOf(r)
		if kind == 'U' {
			image = r.u8()
		}
	}
	if image == 'N' {
		is = rel.keyOf(r)
	}
	switch {
	case kind == 'D':
		d.add("d", rel.name, was, 0)
	case kind == 'U' && was != "" && was != is:
		d.add("d", rel.name, was, 0)
		d.add("c", rel.name, is, 1)
	case kind == 'U':
		d.add("u", rel.name, is, 0)
	default:
		d.add("c", rel.name, is, 0)
	}
	d.rows++
}

// keyOf reads a tuple and gives its key.
func (rel relation) keyOf(r *bytesLeft) string {
	key := map[string]string{}
	n := int(r.u16())
	for i := range n {
		var text string
		if r.u8() == 't' {
			text = string(r.take(int(r.u32())))
		}
		if i < len(rel.key) && rel.key[i] {
			key[rel.columns[i]] = text
		}
	}
	return keyText(key)
}

// keyText gives a key's columns and values in the order of names.
func keyText(key map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(key)) {
		fmt.Fprintf(&b, "%s=%q ", name, key[name])
	}
	return strings.TrimSpace(b.String())
}
