package redislog

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

var update = flag.Bool("update", false, "write the golden files")

// wire builds the messages that PostgreSQL would send, as its manual lays them out.
type wire struct{ b []byte }

func msg(kind byte) *wire          { return &wire{[]byte{kind}} }
func (w *wire) u8(v byte) *wire    { w.b = append(w.b, v); return w }
func (w *wire) u16(v int) *wire    { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)); return w }
func (w *wire) u32(v uint32) *wire { w.b = binary.BigEndian.AppendUint32(w.b, v); return w }
func (w *wire) u64(v uint64) *wire { w.b = binary.BigEndian.AppendUint64(w.b, v); return w }
func (w *wire) str(s string) *wire { w.b = append(append(w.b, s...), 0); return w }

// unchanged is a TOAST value that is not sent.
type unchanged struct{}

// tuple writes columns: nil is null.
func (w *wire) tuple(cols ...any) *wire {
	w.u16(len(cols))
	for _, c := range cols {
		switch c := c.(type) {
		case nil:
			w.u8('n')
		case unchanged:
			w.u8('u')
		case string:
			w.u8('t').u32(uint32(len(c)))
			w.b = append(w.b, c...)
		}
	}
	return w
}

// column of a table; key tells whether it belongs to the replica identity.
type column struct {
	name string
	oid  uint32
	key  bool
}

// relation describes a table.
func relation(oid uint32, schema, name string, identity pgoutput.Identity, columns ...column) []byte {
	w := msg('R').u32(oid).str(schema).str(name).u8(byte(identity)).u16(len(columns))
	for _, c := range columns {
		flag := byte(0)
		if c.key || identity == pgoutput.IdentityFull {
			flag = 1
		}
		w.u8(flag).str(c.name).u32(c.oid).u32(0xffffffff)
	}
	return w.b
}

// transaction puts messages between a begin and a commit, at 2026-03-01 10:00:00.5.
func transaction(commit uint64, xid uint32, msgs ...[]byte) [][]byte {
	const micros = (9556*24+10)*3600*1_000_000 + 500_000 // since 2000
	begin := msg('B').u64(commit).u64(micros).u32(xid).b
	return append(append([][]byte{begin}, msgs...), msg('C').u8(0).u64(commit).u64(commit+48).u64(micros).b)
}

// goldenCatalog knows the types of the golden files that are not the server's own.
type goldenCatalog struct{}

const (
	oidEnum, oidDomain, oidComposite, oidComposites, oidHStore, oidRanges, oidBoxes, oidMisfit = 90001, 90002, 90003, 90004, 90005, 90006, 1020, 90007
)

func (goldenCatalog) Type(oid uint32) (pgoutput.Type, error) {
	text, number := pgoutput.Type{}, pgoutput.Type{Kind: pgoutput.Number}
	at := pgoutput.Type{Kind: pgoutput.Timestamp}
	address := pgoutput.CompositeOf(pgoutput.Field{Name: "street", Type: &text}, pgoutput.Field{Name: "No", Type: &number}, pgoutput.Field{Name: "since", Type: &at})
	switch oid {
	case oidDomain:
		return pgoutput.Type{Kind: pgoutput.Decimal}, nil
	case oidComposite, oidMisfit:
		return address, nil
	case oidComposites:
		return pgoutput.ArrayOf(&address, ','), nil
	case oidHStore:
		return pgoutput.Type{Kind: pgoutput.HStore}, nil
	case oidRanges:
		return pgoutput.ArrayOf(&text, ','), nil
	case oidBoxes:
		return pgoutput.ArrayOf(&text, ';'), nil
	}
	return text, nil
}

func (c goldenCatalog) Refresh(oid uint32) (pgoutput.Type, error) { return c.Type(oid) }

func (goldenCatalog) PrimaryKey(_ *pgoutput.Relation, _ cdc.Position) ([]string, cdc.Position, error) {
	return []string{"id"}, cdc.Position{LSN: 1<<64 - 1, Ordinal: 1<<64 - 1}, nil
}

// passer hands entries to a writer, as a capture does.
type passer struct {
	w    *Writer
	last cdc.LSN
}

const goldenPartitions = 2

func (p *passer) Begin(*pgoutput.Tx) error { return nil }
func (p *passer) Change(_ *pgoutput.Relation, _ *pgoutput.Tx, e *cdc.Entry) error {
	p.w.Append(cdc.Stream{Lane: cdc.LaneNormal, Partition: cdc.PartitionOf(e.Table, e.Key, goldenPartitions)}, e)
	return nil
}
func (p *passer) Keyless(rel *pgoutput.Relation, _ *pgoutput.Tx) error {
	return fmt.Errorf("a row of %s without a key", rel.Name)
}
func (p *passer) Truncate(_ *pgoutput.Relation, _ *pgoutput.Tx, e *cdc.Entry) error {
	p.w.AppendAll(e)
	return nil
}
func (p *passer) Commit(tx *pgoutput.Tx, end cdc.LSN) error {
	p.w.Mark(end, time.UnixMicro(tx.Micros))
	p.last = end
	return nil
}
func (p *passer) Message(*pgoutput.Tx, string, []byte) error { return nil }

// The entries of the public contract, as any reader of Redis gets them. A change of
// a golden file that is not an addition is a new version of the contract.
func TestEntriesAreGolden(t *testing.T) {
	deals := []column{{"id", 20, true}, {"name", 25, false}, {"note", 25, false}}
	const oid = 17000
	identity := func(i pgoutput.Identity) []byte { return relation(oid, "public", "deals", i, deals...) }
	insert := func(cols ...any) []byte { return msg('I').u32(oid).u8('N').tuple(cols...).b }
	for name, msgs := range map[string][][]byte{
		"changes": slices.Concat(
			transaction(0x16_B374_D848, 771, identity(pgoutput.IdentityDefault), insert("1", "Acme", "a long text"), insert("2", "Zürich \"AG\"\n", nil)),
			transaction(0x16_B374_D900, 772,
				msg('U').u32(oid).u8('N').tuple("1", "Acme Corp", unchanged{}).b,
				msg('U').u32(oid).u8('K').tuple("1", nil, nil).u8('N').tuple("7", "Acme Corp", unchanged{}).b,
				msg('D').u32(oid).u8('K').tuple("2", nil, nil).b),
			transaction(0x16_B374_DA00, 773,
				relation(oid+1, "Sales", `My "best" deals`, pgoutput.IdentityIndex, column{"region", 25, true}, column{"quarter", 23, true}, column{"total", 1700, false}),
				msg('I').u32(oid+1).u8('N').tuple("Zürich", "3", "100.00").b,
				msg('T').u32(2).u8(0).u32(oid).u32(oid+1).b)),
		"full": slices.Concat(
			transaction(1000, 5, identity(pgoutput.IdentityFull), insert("1", "a", "long"),
				msg('U').u32(oid).u8('O').tuple("1", "a", "long").u8('N').tuple("1", "b", unchanged{}).b,
				msg('U').u32(oid).u8('O').tuple("1", "b", "long").u8('N').tuple("2", "b", unchanged{}).b,
				msg('D').u32(oid).u8('O').tuple("2", "b", "long").b)),
		"types": transaction(2000, 6, typeMessages()...),
	} {
		t.Run(name, func(t *testing.T) {
			got := append([]byte(goldenHead), recordEntries(t, msgs)...)
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs; if that is meant, run go test ./cdc/redislog -run Golden -update\ngot\n%s\nwant\n%s", path, got, want)
			}
		})
	}
}

const goldenHead = `# The entries that cdc/redislog/golden_test.go makes of fixed messages of PostgreSQL, as
# XRANGE gives them: the stream, the id, then each field and its bytes (as a Go string
# where there are control characters).
`

// typeMessages are rows of a table for each family of types: one for each value and one
// of null.
func typeMessages() [][]byte {
	values := []struct {
		name string
		oid  uint32
		text []string
	}{
		{"bool", 16, []string{"t", "f"}},
		{"smallint", 21, []string{"-32768"}}, {"bigint", 20, []string{"9223372036854775807"}},
		{"numeric", 1700, []string{"12345678901234567890.10", "-0.000", "NaN", "Infinity"}},
		{"real", 700, []string{"1.1"}}, {"double", 701, []string{"5e-324", "1.7976931348623157e+308", "-Infinity"}},
		{"money", 790, []string{"$1,234.50"}},
		{"text", 25, []string{"", "null", "a \"b\" \\ \t\n\x01\x7f ü 東京"}}, {"char", 1042, []string{"ab  "}},
		{"bytea", 17, []string{`\xdeadbeef00ff`}},
		{"uuid", 2950, []string{"7d444840-9dc0-11d1-b245-5ffdce74fad2"}}, {"inet", 869, []string{"10.0.0.1/8"}}, {"xml", 142, []string{`<a b="c"/>`}},
		{"date", 1082, []string{"2026-02-03", "0044-03-15 BC", "infinity"}},
		{"time", 1083, []string{"10:11:12.000001"}}, {"timetz", 1266, []string{"10:11:12.5+05:30"}},
		{"timestamp", 1114, []string{"2026-02-03 10:11:12.5", "0044-03-15 10:00:00 BC", "-infinity"}},
		{"timestamptz", 1184, []string{"2026-02-03 08:11:12.000001+00", "0044-03-15 10:00:00+00 BC", "infinity"}},
		{"interval", 1186, []string{"1 year 2 mons -3 days +04:05:06.000007"}},
		{"json", 114, []string{"{\"b\" : [1, 2.50],\n\"a\":1, \"a\":2}", "null"}}, {"jsonb", 3802, []string{`{"a": 2, "b": [1, 2.50]}`}},
		{"ints", 1007, []string{"{1,NULL,-3}", "{}", "{{1,2},{3,4}}", "[0:1]={1,2}"}},
		{"texts", 1009, []string{`{plain,"with, comma","quo\"te","NULL",NULL}`}}, {"jsons", 199, []string{`{"{\"a\": 1}",NULL}`}},
		{"boxes", oidBoxes, []string{"{(3,3),(1,1);(0,0),(0,0)}"}}, {"int2vector", 22, []string{"1 -2 3"}},
		{"enum", oidEnum, []string{"won"}}, {"domain", oidDomain, []string{"100.00", "NaN"}},
		{"composite", oidComposite, []string{`("Main ""St""",5,"2026-02-03 10:11:12")`, "(,,)"}},
		{"composites", oidComposites, []string{`{"(a,1,)",NULL}`}},
		{"hstore", oidHStore, []string{`"a"=>"1", "b"=>NULL`}},
		{"range", 3904, []string{"[1,5)", "empty"}}, {"ranges", oidRanges, []string{`{"[1,5)",NULL}`}},
		{"point", 600, []string{"(1,-2.5)"}}, {"bits", 1560, []string{"101"}},
		{"misfit", oidMisfit, []string{"(a,1)"}},
	}
	var out [][]byte
	for i, v := range values {
		oid := uint32(18000 + i)
		out = append(out, relation(oid, "types", v.name, pgoutput.IdentityDefault, column{"id", 23, true}, column{"v", v.oid, false}))
		for row, text := range v.text {
			out = append(out, msg('I').u32(oid).u8('N').tuple(strconv.Itoa(row+1), text).b)
		}
		out = append(out, msg('I').u32(oid).u8('N').tuple("0", nil).b)
	}
	return out
}

// recordEntries passes messages through the decoder and a writer to a real server, and
// reads back what is there, in the order of ids.
func recordEntries(t *testing.T, msgs [][]byte) []byte {
	t.Helper()
	k := servertest.SharedRedis(t)
	l, err := Open(t.Context(), Options{URL: k.Server.URL(), Name: k.Name, Partitions: goldenPartitions, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, err := l.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	p := &passer{w: w}
	d := pgoutput.NewDecoder(pgoutput.Options{Catalog: goldenCatalog{}, XID: 3 << 32})
	for _, m := range msgs {
		if err := d.Decode(m, p); err != nil {
			t.Fatal(err)
		}
	}
	for w.Appended() < p.last {
		select {
		case <-t.Context().Done():
			t.Fatal("the entries were not appended")
		case <-time.After(time.Millisecond): // Appended has no event of its own
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return rawEntries(t, l)
}

func rawEntries(t *testing.T, l *Log) []byte {
	t.Helper()
	type entry struct {
		pos  cdc.Position
		text string
	}
	var all []entry
	for _, s := range l.Streams() {
		key := l.Keys().Stream(s)
		answer, err := l.Client().Do(t.Context(), "xrange", key, "-", "+").Slice()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range answer {
			id, fields := a.([]any)[0].(string), a.([]any)[1].([]any)
			pos, err := cdc.ParsePosition(id)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "\n%s %s\n", strings.Replace(key, l.Keys().Name, "NAME", 1), id)
			for i := 0; i < len(fields); i += 2 {
				name, text := fields[i].(string), fields[i+1].(string)
				if slices.Contains([]string{"key", "after", "before", "absent", "unread"}, name) && !json.Valid([]byte(text)) {
					t.Errorf("%s of %s is not JSON: %s", name, id, text)
				}
				if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
					text = strconv.Quote(text)
				}
				fmt.Fprintf(&b, "  %-6s %s\n", name, text)
			}
			all = append(all, entry{pos, b.String()})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.pos.Compare(b.pos) })
	var out []byte
	for _, e := range all {
		out = append(out, e.text...)
	}
	return out
}
