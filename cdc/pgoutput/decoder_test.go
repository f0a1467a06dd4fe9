package pgoutput

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

// wire builds pgoutput messages by hand, as the manual lays them out.
type wire struct{ b []byte }

func msg(kind byte) *wire           { return &wire{[]byte{kind}} }
func (w *wire) u8(v byte) *wire     { w.b = append(w.b, v); return w }
func (w *wire) u16(v uint16) *wire  { w.b = binary.BigEndian.AppendUint16(w.b, v); return w }
func (w *wire) u32(v uint32) *wire  { w.b = binary.BigEndian.AppendUint32(w.b, v); return w }
func (w *wire) u64(v uint64) *wire  { w.b = binary.BigEndian.AppendUint64(w.b, v); return w }
func (w *wire) str(s string) *wire  { w.b = append(append(w.b, s...), 0); return w }
func (w *wire) text(s string) *wire { w.u8('t').u32(uint32(len(s))); w.b = append(w.b, s...); return w }

// tuple writes columns: nil is null, "\x00" an unchanged TOAST value.
func (w *wire) tuple(cols ...any) *wire {
	w.u16(uint16(len(cols)))
	for _, c := range cols {
		switch {
		case c == nil:
			w.u8('n')
		case c == unchanged:
			w.u8('u')
		default:
			w.text(c.(string))
		}
	}
	return w
}

const unchanged = "\x00unchanged"

const dealsOID = 17000

func relation(identity Identity, keys ...string) []byte {
	w := msg('R').u32(dealsOID).str("public").str("deals").u8(byte(identity)).u16(3)
	for _, c := range []struct {
		name string
		oid  uint32
	}{{"id", 20}, {"name", 25}, {"note", 25}} {
		var flag byte
		if slices.Contains(keys, c.name) || identity == IdentityFull {
			flag = 1
		}
		w.u8(flag).str(c.name).u32(c.oid).u32(0xffffffff)
	}
	return w.b
}

func begin(commit uint64, xid uint32) []byte {
	return msg('B').u64(commit).u64(0).u32(xid).b
}

func commit(lsn, end uint64) []byte { return msg('C').u8(0).u64(lsn).u64(end).u64(0).b }

// recorder writes down what the decoder calls.
type recorder struct{ lines []string }

func (r *recorder) add(format string, args ...any) error {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
	return nil
}

func (r *recorder) Begin(tx *Tx) error { return r.add("begin %d xid %d", tx.Commit, tx.XID) }
func (r *recorder) Change(_ *Relation, _ *Tx, e *cdc.Entry) error {
	return r.add("%v %v %s key %s after %s before %s absent %s", e.Position, e.Op, e.Table, e.Key, e.After, e.Before, e.Absent)
}
func (r *recorder) Keyless(rel *Relation, tx *Tx) error {
	return r.add("keyless %s, row %d", rel.Name, tx.Rows)
}
func (r *recorder) Truncate(rel *Relation, _ *Tx, e *cdc.Entry) error {
	return r.add("%v truncate %s", e.Position, rel.Name)
}
func (r *recorder) Commit(_ *Tx, end cdc.LSN) error { return r.add("commit %d", end) }
func (r *recorder) Message(tx *Tx, prefix string, content []byte) error {
	return r.add("message %s %v %s", prefix, tx != nil, content)
}

type fakeCatalog struct{ primary []string }

func (c fakeCatalog) Type(uint32) (Type, error) { return Type{}, nil }
func (c fakeCatalog) PrimaryKey(*Relation, cdc.Position) ([]string, cdc.Position, error) {
	return c.primary, cdc.Position{LSN: 1<<64 - 1}, nil
}
func (c fakeCatalog) Refresh(uint32) (Type, error) { return Type{}, nil }

func decodeAll(t *testing.T, msgs ...[]byte) []string {
	t.Helper()
	d := NewDecoder(Options{Catalog: fakeCatalog{primary: []string{"id"}}, Base: 1000, XID: 5 << 32})
	r := &recorder{}
	for _, m := range msgs {
		if err := d.Decode(m, r); err != nil {
			t.Fatalf("message %q: %v", m[0], err)
		}
	}
	return r.lines
}

func TestDecode(t *testing.T) {
	ins := func(cols ...any) []byte { return msg('I').u32(dealsOID).u8('N').tuple(cols...).b }
	for _, tc := range []struct {
		name string
		rel  []byte
		msgs [][]byte
		want []string
	}{
		{"rows of one transaction share the LSN and count up", relation(IdentityDefault, "id"),
			[][]byte{ins("1", "a", nil), ins("2", "b", "n")},
			[]string{
				`1100-0 c public.deals key {"id":1} after {"id":1,"name":"a","note":null} before  absent `,
				`1100-2 c public.deals key {"id":2} after {"id":2,"name":"b","note":"n"} before  absent `}},
		{"unchanged TOAST is absent, not null", relation(IdentityDefault, "id"),
			[][]byte{msg('U').u32(dealsOID).u8('N').tuple("1", "a", unchanged).b},
			[]string{`1100-0 u public.deals key {"id":1} after {"id":1,"name":"a"} before  absent ["note"]`}},
		{"unchanged TOAST comes from the old row under FULL", relation(IdentityFull),
			[][]byte{msg('U').u32(dealsOID).u8('O').tuple("1", "a", "long").u8('N').tuple("1", "b", unchanged).b},
			[]string{`1100-0 u public.deals key {"id":1} after {"id":1,"name":"b","note":"long"} before {"id":1,"name":"a","note":"long"} absent `}},
		{"a partition that logs only keys under a root with FULL", relation(IdentityFull),
			[][]byte{msg('U').u32(dealsOID).u8('O').tuple("1", nil, nil).u8('N').tuple("2", "b", unchanged).b},
			[]string{
				`1100-0 d public.deals key {"id":1} after  before {"id":1} absent `,
				`1100-1 c public.deals key {"id":2} after {"id":2,"name":"b"} before  absent ["note"]`}},
		{"nulls of a key-only old row are not values (pitfall 18)", relation(IdentityDefault, "id"),
			[][]byte{msg('U').u32(dealsOID).u8('K').tuple("1", nil, nil).u8('N').tuple("2", "b", unchanged).b},
			[]string{
				`1100-0 d public.deals key {"id":1} after  before {"id":1} absent `,
				`1100-1 c public.deals key {"id":2} after {"id":2,"name":"b"} before  absent ["note"]`}},
		{"a changed key is a delete and a create (pitfall 20)", relation(IdentityDefault, "id"),
			[][]byte{ins("7", "x", nil), msg('U').u32(dealsOID).u8('K').tuple("7", nil, nil).u8('N').tuple("8", "x", nil).b, ins("9", "z", nil)},
			[]string{
				`1100-0 c public.deals key {"id":7} after {"id":7,"name":"x","note":null} before  absent `,
				`1100-2 d public.deals key {"id":7} after  before {"id":7} absent `,
				`1100-3 c public.deals key {"id":8} after {"id":8,"name":"x","note":null} before  absent `,
				`1100-4 c public.deals key {"id":9} after {"id":9,"name":"z","note":null} before  absent `}},
		{"an old key that did not change is an update", relation(IdentityDefault, "id"),
			[][]byte{msg('U').u32(dealsOID).u8('K').tuple("7", nil, nil).u8('N').tuple("7", "x", nil).b},
			[]string{`1100-0 u public.deals key {"id":7} after {"id":7,"name":"x","note":null} before  absent `}},
		{"delete by key", relation(IdentityDefault, "id"),
			[][]byte{msg('D').u32(dealsOID).u8('K').tuple("1", nil, nil).b},
			[]string{`1100-0 d public.deals key {"id":1} after  before {"id":1} absent `}},
		{"delete under FULL keeps the primary key as key", relation(IdentityFull),
			[][]byte{msg('D').u32(dealsOID).u8('O').tuple("1", "a", nil).b},
			[]string{`1100-0 d public.deals key {"id":1} after  before {"id":1,"name":"a","note":null} absent `}},
		{"truncate", relation(IdentityDefault, "id"),
			[][]byte{msg('T').u32(1).u8(0).u32(dealsOID).b},
			[]string{"1100-0 truncate public.deals"}},
		{"each table of a truncate has a position of its own", relation(IdentityDefault, "id"),
			[][]byte{msg('T').u32(2).u8(0).u32(dealsOID).u32(dealsOID).b},
			[]string{"1100-0 truncate public.deals", "1100-2 truncate public.deals"}},
		{"a logical message takes no ordinal", relation(IdentityDefault, "id"),
			[][]byte{msg('M').u8(1).u64(50).str("walbridge").u32(2).u8('h').u8('i').b, ins("1", "a", nil)},
			[]string{"message walbridge true hi",
				`1100-0 c public.deals key {"id":1} after {"id":1,"name":"a","note":null} before  absent `}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msgs := append([][]byte{begin(100, 7), tc.rel}, tc.msgs...)
			got := decodeAll(t, append(msgs, commit(100, 120))...)
			want := append([]string{"begin 100 xid 21474836487"}, tc.want...)
			want = append(want, "commit 120")
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	rel := relation(IdentityDefault, "id")
	for _, tc := range []struct {
		name, want string
		msgs       [][]byte
	}{
		{"row outside a transaction", "outside a transaction", [][]byte{rel, msg('I').u32(dealsOID).u8('N').tuple("1", "a", nil).b}},
		{"row of an unknown table", "was not described", [][]byte{begin(1, 1), msg('I').u32(3).u8('N').tuple("1").b}},
		{"columns that do not fit", "has 1 columns", [][]byte{begin(1, 1), rel, msg('I').u32(dealsOID).u8('N').tuple("1").b}},
		{"cut off", "ends too early", [][]byte{begin(1, 1), rel, msg('I').u32(dealsOID).u8('N').u16(3).b}},
		{"begin within a transaction", "within another", [][]byte{begin(1, 1), begin(2, 2)}},
		{"commit without begin", "without a begin", [][]byte{commit(1, 2)}},
		{"unknown kind", "unknown kind", [][]byte{{'S', 0, 0}}},
		{"empty", "ends too early", [][]byte{{}}},
		{"delete without a key", "without a key", [][]byte{begin(1, 1), rel, msg('D').u32(dealsOID).u8('N').tuple("1", "a", nil).b}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := NewDecoder(Options{Catalog: fakeCatalog{}})
			var err error
			for _, m := range tc.msgs {
				if err = d.Decode(m, &recorder{}); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// A row without a key is told, not passed over, and counts in the ordinals of the
// rows after it.
func TestRowsWithoutKey(t *testing.T) {
	for _, identity := range []Identity{IdentityNothing, IdentityFull, IdentityDefault} {
		d, r := NewDecoder(Options{Catalog: fakeCatalog{}}), &recorder{}
		insert := msg('I').u32(dealsOID).u8('N').tuple("1", "a", nil).b
		for _, m := range [][]byte{begin(100, 7), relation(identity), insert, relation(IdentityDefault, "id"), insert} {
			if err := d.Decode(m, r); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"begin 100 xid 7", "keyless public.deals, row 1", `100-2 c public.deals key {"id":1} after {"id":1,"name":"a","note":null} before  absent `}
		if !slices.Equal(r.lines, want) {
			t.Errorf("identity %c: got %q, want %q", identity, r.lines, want)
		}
	}
}

func TestXIDsAreWidenedToTheNearest(t *testing.T) {
	d := NewDecoder(Options{XID: 3<<32 + 10})
	for _, tc := range []struct {
		xid  uint32
		want uint64
	}{{9, 3<<32 + 9}, {0xfffffff0, 2<<32 + 0xfffffff0}, {5, 3<<32 + 5}} {
		if got := d.widen(tc.xid); got != tc.want {
			t.Errorf("widen(%d) = %d, want %d", tc.xid, got, tc.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(begin(100, 7))
	f.Add(relation(IdentityFull))
	f.Add(msg('U').u32(dealsOID).u8('K').tuple("1", nil, nil).u8('N').tuple("2", "b", unchanged).b)
	f.Add(msg('T').u32(1).u8(0).u32(dealsOID).b)
	f.Add(msg('M').u8(1).u64(50).str("walbridge").u32(2).u8('h').u8('i').b)
	f.Fuzz(func(t *testing.T, m []byte) {
		d := NewDecoder(Options{Catalog: fakeCatalog{primary: []string{"id"}}})
		r := &recorder{}
		for _, known := range [][]byte{begin(1, 1), relation(IdentityDefault, "id")} {
			if err := d.Decode(known, r); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Decode(m, r); err == nil {
			// What decodes must leave the decoder fit for the end of the transaction.
			if d.InTransaction() {
				if err := d.Decode(commit(1, 2), r); err != nil {
					t.Fatalf("commit after %q: %v", m, err)
				}
			}
		}
	})
}
