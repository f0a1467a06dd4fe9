package e2e

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

// fact is what an entry of the log must say, less the row itself.
type fact struct {
	op    string
	table string
	key   string // columns and values as text, in the order of names
	ts    int64  // microseconds since 1970
	xid   uint32 // the lower half
}

// facts are what the log must hold, by Position.
type facts map[cdc.Position]fact

// readWitness reads the witness's slot, which nobody consumes, from its begin.
func (b *bridge) readWitness() facts {
	b.t.Helper()
	d := witnessDecoder{relations: map[uint32]relation{}, found: facts{}}
	err := b.inDatabase(func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)`,
			b.witness(), b.publication())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := d.message(rows.RawValues()[0]); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		b.t.Fatalf("read the witness: %v", err)
	}
	return d.found
}

// witnessDecoder reads pgoutput, protocol version 1, by the manual: "Logical
// Replication Message Formats".
type witnessDecoder struct {
	relations map[uint32]relation
	found     facts
	// Of the transaction that is open:
	commit cdc.LSN
	base   fact
	rows   uint64
}

// relation is a table as a Relation message tells it.
type relation struct {
	name    string
	columns []string
	key     []bool // by column: it is of the replica identity
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

func (d *witnessDecoder) message(msg []byte) error {
	const microsTo2000 = 946_684_800_000_000
	r := &bytesLeft{b: msg}
	switch kind := r.u8(); kind {
	case 'B':
		d.commit, d.rows = cdc.LSN(r.u64()), 0
		d.base = fact{ts: int64(r.u64()) + microsTo2000}
		d.base.xid = r.u32()
	case 'R':
		d.relation(r)
	case 'I', 'U', 'D':
		d.row(kind, r)
	case 'C', 'Y', 'O':
	default:
		return fmt.Errorf("unknown message %q", kind)
	}
	if r.err != nil {
		return fmt.Errorf("read message %q at %v: %w", msg[0], d.commit, r.err)
	}
	return nil
}

func (d *witnessDecoder) relation(r *bytesLeft) {
	id := r.u32()
	rel := relation{name: r.text() + "." + r.text()}
	r.u8() // replica identity
	for range r.u16() {
		rel.key = append(rel.key, r.u8()&1 == 1)
		rel.columns = append(rel.columns, r.text())
		r.take(8) // type and its modifier
	}
	d.relations[id] = rel
}

// row notes the facts of one row message: two if it changes the key.
func (d *witnessDecoder) row(kind byte, r *bytesLeft) {
	rel, known := d.relations[r.u32()]
	if !known {
		r.err = errors.New("its table was not described")
		return
	}
	f := d.base
	f.table = rel.name
	at := cdc.Position{LSN: d.commit, Ordinal: 2 * d.rows}
	d.rows++
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
		f.op, f.key = "d", was
	case kind == 'U' && was != "" && was != is:
		f.op, f.key = "d", was
		d.found[at] = f
		at.Ordinal++
		f.op, f.key = "c", is
	case kind == 'U':
		f.op, f.key = "u", is
	default:
		f.op, f.key = "c", is
	}
	if _, twice := d.found[at]; twice && r.err == nil {
		r.err = fmt.Errorf("two rows at %v", at)
	}
	d.found[at] = f
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
