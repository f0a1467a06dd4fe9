package pgoutput

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/walbridge/walbridge/cdc"
)

// Tx is the transaction whose rows are being read.
type Tx struct {
	// Commit is the LSN of its commit record, by the server's count.
	Commit cdc.LSN
	// Micros is its commit time in microseconds since 1970.
	Micros int64
	// XID is its id, widened to 64 bits.
	XID uint64
	// Rows counts the row messages so far, filtered ones too.
	Rows uint64
}

// Handler takes what the Decoder finds. An error stops the decoding and is
// returned as it is. The entry and everything in it is valid only during the
// call.
type Handler interface {
	Begin(tx *Tx) error
	// Change is called for each entry of one row: twice for a changed key.
	Change(rel *Relation, tx *Tx, e *cdc.Entry) error
	// Keyless is called for a row that has no key, or not all of it.
	Keyless(rel *Relation, tx *Tx) error
	// Truncate is called for each table of a TRUNCATE.
	Truncate(rel *Relation, tx *Tx, e *cdc.Entry) error
	// Commit is called with the LSN after the commit record.
	Commit(tx *Tx, end cdc.LSN) error
	// Message is called for a logical message; tx is nil for one that stands within no
	// transaction.
	Message(tx *Tx, prefix string, content []byte) error
}

// Decoder reads the messages of one replication session in order. It is not
// safe for concurrent use.
type Decoder struct {
	options   Options
	relations map[uint32]*Relation
	tx        Tx
	open      bool

	old, new []cell
	entry    cdc.Entry
	encoder  encoder
	key      []byte
	after    []byte
	before   []byte
	absent   []byte
	unread   []byte
}

// Options are what a Decoder needs to know of the session.
type Options struct {
	Catalog Catalog
	// Base is added to the server's LSNs to give those of the log.
	Base cdc.LSN
	// XID is a transaction id of about now, in 64 bits: the 32 bits that the
	// protocol has of each transaction are widened to the nearest.
	XID uint64
	// Misfit is called for each value of a composite that does not fit the
	// catalog even when that was read anew, and that is therefore left out of
	// the row. It may be nil.
	Misfit func(table, column string)
}

// NewDecoder gives a decoder for a new session.
func NewDecoder(o Options) *Decoder {
	return &Decoder{options: o, relations: map[uint32]*Relation{}}
}

// widen gives the 64-bit id with these low bits that is nearest to the last one.
func (d *Decoder) widen(xid uint32) uint64 {
	const half = 1 << 31
	ref := d.options.XID
	full := ref&^0xffffffff | uint64(xid)
	switch {
	case full > ref+half && full >= 1<<32:
		full -= 1 << 32
	case full+half < ref:
		full += 1 << 32
	}
	d.options.XID = full
	return full
}

// InTransaction tells whether a Begin has been read and not its Commit.
func (d *Decoder) InTransaction() bool { return d.open }

// microsTo2000 are the microseconds from 1970 to PostgreSQL's epoch.
const microsTo2000 = 946684800 * 1_000_000

// Decode reads one message and calls h for what is in it.
func (d *Decoder) Decode(msg []byte, h Handler) error {
	if len(msg) == 0 {
		return fmt.Errorf("decode message: %w", errShort)
	}
	r := reader{buf: msg[1:]}
	var err error
	switch msg[0] {
	case 'I', 'U', 'D':
		err = d.row(msg[0], &r, h)
	case 'B':
		err = d.begin(&r, h)
	case 'C':
		err = d.commit(&r, h)
	case 'R':
		var rel *Relation
		if rel, err = readRelation(&r, d.options.Catalog, d.position()); err == nil {
			d.relations[rel.OID] = rel
		}
	case 'T':
		err = d.truncate(&r, h)
	case 'M':
		err = d.message(&r, h)
	case 'Y', 'O': // a type's name, which the catalog tells better; an origin
	case 'A': // a stream's abort, though version 1 has no streams: PostgreSQL 18 sends it of
		// a large rollback with a savepoint, of which it had sent nothing
	default:
		err = fmt.Errorf("unknown kind")
	}
	if err != nil {
		return fmt.Errorf("decode message %q at commit %v: %w", msg[0], d.tx.Commit, err)
	}
	return nil
}

func (d *Decoder) begin(r *reader, h Handler) error {
	if d.open {
		return fmt.Errorf("a transaction begins within another")
	}
	d.tx = Tx{Commit: cdc.LSN(r.uint64()), Micros: int64(r.uint64()) + microsTo2000}
	xid := r.uint32()
	if r.err != nil {
		return r.err
	}
	d.tx.XID = d.widen(xid)
	d.open = true
	return h.Begin(&d.tx)
}

func (d *Decoder) commit(r *reader, h Handler) error {
	r.byte() // flags, unused in version 1
	r.uint64()
	end := cdc.LSN(r.uint64())
	if r.err != nil {
		return r.err
	}
	if !d.open {
		return fmt.Errorf("a commit without a begin")
	}
	d.open = false
	return h.Commit(&d.tx, end)
}

func (d *Decoder) message(r *reader, h Handler) error {
	flags := r.byte()
	r.uint64() // the message's own LSN
	prefix := r.string()
	content := r.take(int(int32(r.uint32())))
	if r.err != nil {
		return r.err
	}
	if flags&1 == 0 {
		return h.Message(nil, prefix, content)
	}
	return h.Message(&d.tx, prefix, content)
}

func (d *Decoder) truncate(r *reader, h Handler) error {
	n := int(int32(r.uint32()))
	r.byte() // cascade, restart identity
	for i := 0; i < n; i++ {
		oid := r.uint32()
		if r.err != nil {
			return r.err
		}
		rel, err := d.relation(oid)
		if err != nil {
			return err
		}
		// Each table counts as a row message of its own, or two tables of one
		// TRUNCATE would share an entry id.
		d.start(rel, cdc.OpTruncate)
		if err := h.Truncate(rel, &d.tx, &d.entry); err != nil {
			return err
		}
	}
	return nil
}

func (d *Decoder) relation(oid uint32) (*Relation, error) {
	if !d.open {
		return nil, fmt.Errorf("a row outside a transaction")
	}
	rel := d.relations[oid]
	if rel == nil {
		return nil, fmt.Errorf("row of table %d, which was not described", oid)
	}
	// The server describes a table again when it likes: where the key changes does not
	// depend on that.
	if rel.Identity == IdentityFull && rel.until.Before(d.position()) {
		if err := rel.findKey(d.options.Catalog, d.position()); err != nil {
			return nil, err
		}
	}
	return rel, nil
}

// position is that of the next row message.
func (d *Decoder) position() cdc.Position {
	return cdc.Position{LSN: d.options.Base + d.tx.Commit, Ordinal: 2 * d.tx.Rows}
}

// start counts a row message and sets the entry to it.
func (d *Decoder) start(rel *Relation, op cdc.Op) {
	d.entry = cdc.Entry{
		Position: d.position(),
		Op:       op, Table: rel.Name, Micros: d.tx.Micros, XID: d.tx.XID,
	}
	d.tx.Rows++
}

func (d *Decoder) row(kind byte, r *reader, h Handler) error {
	oid := r.uint32()
	if r.err != nil {
		return r.err
	}
	rel, err := d.relation(oid)
	if err != nil {
		return err
	}
	if rel.Keyless() {
		d.tx.Rows++
		return h.Keyless(rel, &d.tx)
	}
	image := r.byte()
	hasOld := image == 'K' || image == 'O'
	if hasOld {
		if d.old, err = readTuple(r, rel, d.old); err != nil {
			return err
		}
	}
	if kind == 'D' {
		if !hasOld {
			return fmt.Errorf("delete from %s without a key", rel.Name)
		}
		rows := d.tx.Rows
		return d.halfKey(rel, rows, d.delete(rel, image, h), h)
	}
	if hasOld {
		if kind != 'U' {
			return fmt.Errorf("insert into %s with an old row", rel.Name)
		}
		r2 := r.byte()
		if r2 != 'N' {
			return fmt.Errorf("update of %s without a new row", rel.Name)
		}
	} else if image != 'N' {
		return fmt.Errorf("row of %s without a new image", rel.Name)
	}
	if d.new, err = readTuple(r, rel, d.new); err != nil {
		return err
	}
	op := cdc.OpCreate
	if kind == 'U' {
		op = cdc.OpUpdate
	}
	rows := d.tx.Rows
	err = d.write(rel, op, old{image: image, has: hasOld}, h)
	return d.halfKey(rel, rows, err, h)
}

// halfKey makes a row whose key was sent only in part one that has none. Nothing
// of it was handed on: the keys are the first that is made of a row.
func (d *Decoder) halfKey(rel *Relation, rows uint64, err error, h Handler) error {
	if !errors.Is(err, errHalfKey) {
		return err
	}
	d.tx.Rows = rows + 1
	return h.Keyless(rel, &d.tx)
}

// old says what an update carries of the row before it: K only the columns of
// the replica identity, O all of them.
type old struct {
	image byte
	has   bool
}

// write hands on an insert or update, and a changed key as a delete and a create.
func (d *Decoder) write(rel *Relation, op cdc.Op, o old, h Handler) (err error) {
	if o.has {
		o.image = d.fillFromOld(rel, o.image)
	}
	d.start(rel, op)
	e := &d.entry
	if d.key, err = d.appendKey(d.key[:0], rel, d.new); err != nil {
		return err
	}
	if o.has {
		mark := len(d.key)
		if d.key, err = d.appendKey(d.key, rel, d.old); err != nil {
			return err
		}
		oldKey := d.key[mark:]
		d.key = d.key[:mark]
		changed := !bytes.Equal(oldKey, d.key)
		if d.before, err = d.appendOld(d.before[:0], oldKey, rel, o.image, d.old); err != nil {
			return err
		}
		if changed {
			e.Op, e.Key, e.Before = cdc.OpDelete, oldKey, d.before
			if err := h.Change(rel, &d.tx, e); err != nil {
				return err
			}
			e.Op = cdc.OpCreate
			e.Position.Ordinal++
			e.Before = nil
		} else if o.image == 'O' {
			e.Before = d.before
		}
	}
	d.unread = d.unread[:0]
	d.after, d.absent, err = d.appendRow(d.after[:0], d.absent[:0], rel, d.new)
	if err != nil {
		return err
	}
	if len(d.unread) > 0 {
		d.unread = append(d.unread, ']')
	}
	e.Key, e.After, e.Absent, e.Unread = d.key, d.after, d.absent, d.unread
	return h.Change(rel, &d.tx, e)
}

// fillFromOld takes unchanged TOAST values from the old row where it holds
// them: all of them under REPLICA IDENTITY FULL, else only columns of the
// identity. Other columns of a key-only image are null because they are not
// part of it, and must not be taken for values.
//
// It gives what the image is in truth: a TOASTed value is never null, so a null in
// its place proves that only the key was logged.
func (d *Decoder) fillFromOld(rel *Relation, image byte) byte {
	image = d.truly(rel, image)
	for i := range d.new {
		if d.new[i].kind == 'u' && d.old[i].kind == 'n' {
			image = 'K'
		}
	}
	for i := range d.new {
		if d.new[i].kind == 'u' && (image == 'O' || rel.Columns[i].Key) {
			d.new[i] = d.old[i]
		}
	}
	return image
}

// truly tells a complete old row from one that only has the name of it: a partition
// may log only the key while its root, which the stream describes, has FULL. The
// server then sends nulls for all other columns, which must not be taken for values
// (I5). A complete row that has nothing but nulls there looks the same; its key is
// all that is told of it then.
func (d *Decoder) truly(rel *Relation, image byte) byte {
	for i := range d.old {
		if !rel.Columns[i].Key && d.old[i].kind != 'n' {
			return image
		}
	}
	return 'K'
}

func (d *Decoder) delete(rel *Relation, image byte, h Handler) (err error) {
	d.start(rel, cdc.OpDelete)
	if d.key, err = d.appendKey(d.key[:0], rel, d.old); err != nil {
		return err
	}
	if d.before, err = d.appendOld(d.before[:0], d.key, rel, d.truly(rel, image), d.old); err != nil {
		return err
	}
	d.entry.Key, d.entry.Before = d.key, d.before
	return h.Change(rel, &d.tx, &d.entry)
}

// appendOld appends what the replica identity gave of the old row; what does not
// fit the catalog is left out.
func (d *Decoder) appendOld(dst, key []byte, rel *Relation, image byte, cells []cell) ([]byte, error) {
	if image == 'K' {
		return append(dst, key...), nil
	}
	dst, _, err := d.appendRow(dst, nil, rel, cells)
	return dst, err
}
