package pgsource

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// literals are values of the server's own base types, ranges and multiranges; one
// that begins with ( is an expression.
var literals = map[string][]string{
	"bool":           {"t", "f"},
	"bytea":          {`\x`, `\xdeadbeef00ff`, `a\\b"c`},
	"char":           {"a", "", `"`, `\`},
	"name":           {"n", "", `a "b" ü`, strings.Repeat("n", 63)},
	"int2":           {"0", "-32768", "32767"},
	"int4":           {"0", "-2147483648", "2147483647"},
	"int8":           {"0", "-9223372036854775808", "9223372036854775807", "9007199254740993"},
	"int2vector":     {"1 -2 3", "", "7"},
	"oidvector":      {"23 4294967295", "", "0"},
	"oid":            {"0", "4294967295"},
	"text":           {"", "NULL", "null", " a\tb\nc\rd\b\f\x01\x7f ", `"q" \ 'q' {a,b} (c)`, "Zürich 東京 👩‍🔬", strings.Repeat("long ", 3000)},
	"tid":            {"(0,0)", "(4294967295,65535)"},
	"xid":            {"0", "4294967295"},
	"cid":            {"7"},
	"xid8":           {"18446744073709551615"},
	"json":           {"null", "1", `"a \"b\" \\ ü"`, "{\"b\" : [1, 2.50, {\"c\":\tnull}],\n\"a\":1, \"a\":2}", "12345678901234567890.10", "[]"},
	"jsonb":          {"null", `"a \"b\" \\ é"`, `{"b":[1,2.50,{"c":null}],"a":1,"a":2}`, "12345678901234567890.10", "1e400", "[true,false]"},
	"xml":            {"", `<a b="c">&amp; "d" ü<e/></a>`, "no element"},
	"pg_node_tree":   {"(SELECT ev_action FROM pg_catalog.pg_rewrite ORDER BY oid LIMIT 1)"},
	"point":          {"(1,-2.5)", "(NaN,Infinity)", "(1e300,0.1)"},
	"lseg":           {"[(1,2),(3,4)]"},
	"path":           {"[(1,2),(3,4)]", "((1,2),(3,4))"},
	"box":            {"(3,3),(1,1)", "(0,0),(0,0)"},
	"polygon":        {"((1,2),(3,4),(5,6))"},
	"line":           {"{1,-1,0.5}"},
	"circle":         {"<(1,2),3>"},
	"float4":         {"0", "-0", "1.1", "1e-45", "3.4028235e38", "NaN", "Infinity", "-Infinity"},
	"float8":         {"0", "-0", "0.1", "5e-324", "1.7976931348623157e308", "NaN", "Infinity", "-Infinity", "100000000000000000000"},
	"numeric":        {"0", "-0.000", "100.00", "0." + strings.Repeat("0", 400) + "1", strings.Repeat("9876543210", 13000) + ".5", "NaN", "Infinity", "-Infinity"},
	"money":          {"0", "-12.34", "92233720368547758.07", "-92233720368547758.08"},
	"macaddr":        {"08:00:2b:01:02:03"},
	"macaddr8":       {"08:00:2b:01:02:03:04:05"},
	"inet":           {"10.0.0.1/8", "10.0.0.1", "::1", "2001:db8::/32"},
	"cidr":           {"10.0.0.0/8", "2001:db8::/32"},
	"aclitem":        {"postgres=arw*/postgres", "=r/postgres"},
	"bpchar":         {"ab  ", "", `"`},
	"varchar":        {"ab  ", "", `\`},
	"date":           {"2026-02-03", "0044-03-15 BC", "4714-11-24 BC", "5874897-12-31", "infinity", "-infinity"},
	"time":           {"00:00", "24:00", "10:11:12.000001"},
	"timetz":         {"10:11:12.5+05:30", "24:00-15:59:59", "00:00Z"},
	"timestamp":      {"2026-02-03 10:11:12.5", "0044-03-15 10:00 BC", "4714-11-24 BC", "294276-12-31 23:59:59.999999", "infinity", "-infinity"},
	"timestamptz":    {"2026-02-03 10:11:12.000001+02", "0044-03-15 10:00 BC", "4714-11-24Z BC", "294276-12-31 23:59:59.999999Z", "infinity", "-infinity"},
	"interval":       {"0", "1 year 2 mons -3 days 04:05:06.000007", "-00:00:01", "-178000000 years", "1 mon -1 sec"},
	"bit":            {"", "101", "0"},
	"varbit":         {"", "101"},
	"refcursor":      {"c 1", ""},
	"regproc":        {"now", "-", `public."a ""b"", c"`},
	"regprocedure":   {"sum(int4)", "-"},
	"regoper":        {"pg_catalog.||/", "0"},
	"regoperator":    {"+(int4,int4)", "0"},
	"regclass":       {"pg_class", "public.measured", "-"},
	"regcollation":   {`"C"`, "-"},
	"regtype":        {"int4", "timestamptz[]", `"char"`, "-"},
	"regrole":        {"postgres", "-"},
	"regnamespace":   {"public", "-"},
	"regconfig":      {"english", "-"},
	"regdictionary":  {"simple", "-"},
	"uuid":           {"7d444840-9dc0-11d1-b245-5ffdce74fad2", "00000000-0000-0000-0000-000000000000"},
	"pg_lsn":         {"16/B374D848", "0/0"},
	"tsvector":       {`'a b':1A,2 'c''d' "e`, ""},
	"tsquery":        {"'a b' & (c | !d:*B)", ""},
	"jsonpath":       {`$.a[*] ? (@ > 1 && @.b == "c")`},
	"txid_snapshot":  {"10:20:10,14"},
	"pg_snapshot":    {"10:20:10,14", "1:1:"},
	"int4range":      {"empty", "(,)", "[1,5)"},
	"int8range":      {"empty", "[1,9223372036854775807)"},
	"numrange":       {"(0.10,1.50]", "[NaN,]"},
	"tsrange":        {"[2026-01-01 10:00,infinity)", "empty"},
	"tstzrange":      {"[2026-01-01 10:00+02,)", "(-infinity,0044-03-15 10:00 BC]"},
	"daterange":      {"[2026-01-01,2026-02-01]"},
	"int4multirange": {"{}", "{[1,3),[5,)}"}, "int8multirange": {"{(,)}"}, "nummultirange": {"{(0.1,1],(2,3)}"},
	"tsmultirange": {"{[2026-01-01 10:00,infinity)}"}, "tstzmultirange": {"{[2026-01-01 10:00+02,)}"}, "datemultirange": {"{[2026-01-01,2026-02-01]}"},

	// Made by ANALYZE only.
	"pg_ndistinct":    {"(SELECT stxdndistinct FROM pg_catalog.pg_statistic_ext_data)"},
	"pg_dependencies": {"(SELECT stxddependencies FROM pg_catalog.pg_statistic_ext_data)"},
	"pg_mcv_list":     {"(SELECT stxdmcv FROM pg_catalog.pg_statistic_ext_data)"},
	// No statement makes a value of these, which live in indexes only. Columns of
	// them hold nulls, and of their arrays also {}.
	"gtsvector": {}, "pg_brin_bloom_summary": {}, "pg_brin_minmax_multi_summary": {},
}

// preparation makes what the literals name.
const preparation = `CREATE FUNCTION "a ""b"", c"() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE measured AS SELECT i % 3 AS a, i % 3 AS b FROM generate_series(1, 100) i;
CREATE STATISTICS measure (ndistinct, dependencies, mcv) ON a, b FROM measured; ANALYZE measured`

// typeTest is a table for a type, with columns v of it and a of its array.
type typeTest struct {
	table, typ string
	array      bool   // false: there is no array of it
	values     string // a SELECT of values
}

func (r typeTest) create() string {
	if !r.array {
		return fmt.Sprintf("CREATE TABLE %s (id serial PRIMARY KEY, v %s)", r.table, r.typ)
	}
	return fmt.Sprintf("CREATE TABLE %s (id serial PRIMARY KEY, v %s, a %[2]s[])", r.table, r.typ)
}

// fill gives statements for a row of nulls, one for each value, and arrays of
// them in all their forms: empty, with nulls, of several dimensions, with bounds.
func (r typeTest) fill() string {
	sql := fmt.Sprintf("INSERT INTO %s (v) SELECT NULL UNION ALL SELECT v FROM (%s) AS x", r.table, r.values)
	if !r.array {
		return sql
	}
	return sql + fmt.Sprintf(`;
INSERT INTO %s (a) VALUES ('{}'), (array_append(ARRAY(%[3]s)::%[2]s[], NULL));
INSERT INTO %[1]s (a) SELECT ARRAY[[[v, NULL]],[[NULL, v]]]::%[2]s[] FROM (%[3]s) AS x;
INSERT INTO %[1]s (a) SELECT array_fill(v, '{2,1}', '{-1,5}')::%[2]s[] FROM (%[3]s) AS x`, r.table, r.typ, r.values)
}

// valuesOf gives a SELECT of values of a type.
func valuesOf(typ string, values ...string) string {
	if len(values) == 0 {
		return "SELECT NULL::" + typ + " AS v WHERE false"
	}
	var list []string
	for _, v := range values {
		if !strings.HasPrefix(v, "(SELECT") && !strings.HasPrefix(v, "ROW(") {
			v = "'" + strings.ReplaceAll(v, "'", "''") + "'"
		}
		list = append(list, "("+v+"::"+typ+")")
	}
	return "SELECT v FROM (VALUES " + strings.Join(list, ",") + ") AS l(v)"
}

// Values equal to_jsonb of the row (design section 4), for every type of the
// server's own catalog that can be a column.
//
// Pseudo-types cannot, nor can the row types of those catalog tables and views
// that have a column of one: anyarray in pg_statistic and its like. Of a view that
// not every machine has (NUMA), no row can be had.
func TestValuesOfEveryType(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, preparation)
	var tests []typeTest
	var name, kind string
	var array bool
	rows, err := b.conn.Query(t.Context(), `SELECT t.typname::text, t.typtype::text, t.typarray <> 0 FROM pg_catalog.pg_type t
WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname <> 'pg_shmem_allocations_numa' AND t.typtype IN ('b', 'e', 'd', 'r', 'm', 'c')
AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.ForEachRow(rows, []any{&name, &kind, &array}, func() error {
		typ := "pg_catalog." + cdc.QuoteIdent(name)
		values, ok := literals[name]
		r := typeTest{table: "t_" + name, typ: typ, array: array, values: valuesOf(typ, values...)}
		if kind == "c" { // the row types of the catalog's own tables and views
			r.values = "SELECT v FROM " + typ + " AS v LIMIT 3"
		} else if !ok {
			t.Errorf("type %s has no values to test it with: add some to literals", name)
			return nil
		}
		tests = append(tests, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.equal(tests, func(err error) bool { // 42P16: a column of it has a pseudo-type
		var pe *pgconn.PgError
		return errors.As(err, &pe) && pe.Code == "42P16"
	})
	if n := len(b.options.Tables); n < 180 {
		t.Errorf("only %d types were tested", n)
	}
}

// extension makes an extension, or tells that it is not there.
func (b *bench) extension(name, schema string) bool {
	b.t.Helper()
	var ok bool
	if err := b.conn.QueryRow(b.t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = $1)`, name).Scan(&ok); err != nil {
		b.t.Fatal(err)
	}
	if !ok {
		b.t.Logf("extension %s is not tested: the server does not have it; install postgresql-contrib", name)
		return false
	}
	b.exec(fmt.Sprintf("CREATE EXTENSION %q SCHEMA %s", name, schema))
	return true
}

const ownTypes = `CREATE TYPE stage AS ENUM ('new', 'won', 'a "b", {c} (d)');
CREATE DOMAIN money2 AS numeric(12,2); CREATE DOMAIN money3 AS money2;
CREATE DOMAIN numbers AS int[]; CREATE DOMAIN stages AS stage[]; CREATE DOMAIN boxes AS box[];
CREATE TYPE pair AS (n int, s text); CREATE DOMAIN pairs AS pair; CREATE DOMAIN lists AS pair[];
CREATE TYPE "Größe, ""x""" AS ("der ""Name""" text, n numeric, d date, t timestamp, z timestamptz, b bool, j json, jb jsonb,
  e stage, m money3, r tstzrange, x xml, y bytea, v int2vector, f float8, o oid);
CREATE TYPE deep AS (p pair, d pairs, list pair[], ds pairs[], l lists, nn numbers, more "Größe, ""x""", bb boxes);
CREATE TYPE nothing AS ();
CREATE TABLE shrunk (a int, gone text, b text); ALTER TABLE shrunk DROP gone, ADD c numeric;
CREATE TYPE textrange AS RANGE (subtype = text, collation = "C"); CREATE TYPE pairrange AS RANGE (subtype = pair);
CREATE SCHEMA ext; CREATE SCHEMA fake; CREATE TYPE fake.hstore AS ENUM ('"a"=>"1"')`

// The same for types that users and extensions make.
func TestValuesOfOwnTypes(t *testing.T) {
	b := newBench(t, servertest.SharedPostgres(t).URL, ownTypes)
	var tests []typeTest
	add := func(typ string, values ...string) {
		tests = append(tests, typeTest{table: fmt.Sprintf("own_%d", len(tests)), typ: typ, array: true, values: valuesOf(typ, values...)})
	}
	const pairs = `ROW(ROW(1, 'x'), ROW(2, '"'), ARRAY[ROW(3, E'a\n"b" \\ ,()'), NULL, ROW(NULL, '')]::pair[], '{"(4,)"}', '{"(,\"\\\"\\\"\")"}', '[0:1]={5,NULL}', `
	const big = `ROW(E'a "b", (c) \\', 12345678901234567890.10, '0044-03-15 BC', '2026-01-02 03:04:05.6', '2026-01-02 03:04:05+06', true, E'{"a" :\n[1.0]}',
  '{"b":2.50}', 'a "b", {c} (d)', 1.5, '[2026-01-01 00:00Z,)', '<a b="c"/>', '\x00ff', '1 2', '-Infinity', 7)`
	add("stage", "new", `a "b", {c} (d)`)
	add("money2", "1.50", "NaN")
	add("money3", "-1.50")
	add("numbers", "{1,NULL}", "{{1},{2}}", "[0:0]={1}", "{}")
	add("stages", `{new,"a \"b\", {c} (d)"}`)
	add("boxes", "{(1,1),(0,0);(3,3),(2,2)}")
	add("pair", "ROW(1, 'x')", "ROW(NULL, NULL)", "ROW(NULL, '')", `ROW(-5, E'a\n"b" \\ ,()')`, "ROW(1, 'NULL')", "ROW(1, ' ')")
	add("pairs", "ROW(1, 'x')", "ROW(NULL, NULL)")
	add("lists", `{"(1,x)",NULL}`, "{}")
	add(`"Größe, ""x"""`, big, "ROW("+strings.Repeat("NULL,", 15)+"NULL)")
	add("deep", pairs+big+`, '{(1,1),(0,0);(3,3),(2,2)}')`, "ROW("+strings.Repeat("NULL,", 7)+"NULL)")
	add("nothing", "ROW()")
	add("shrunk", "ROW(1, 'b', 1.50)", "ROW(NULL, NULL, NULL)")
	add("textrange", `["a \"b\"","c,d")`, "empty")
	add("pairrange", `["(1,a)","(1,\"b c\")")`)
	add("fake.hstore", `"a"=>"1"`) // only that of the extension has a cast to json
	if b.extension("hstore", "ext") {
		b.exec(`CREATE DOMAIN attributes AS ext.hstore; CREATE TYPE described AS (n int, h ext.hstore, hs ext.hstore[])`)
		hstores := []string{`a=>1, b=>NULL, "c\"\\"=>"x=>\"y\", z", ""=>"NULL", "ü"=>"\t"`, "", "a=>"}
		add("ext.hstore", hstores[:2]...)
		add("attributes", hstores[:2]...)
		add("described", `ROW(1, 'a=>"b c"', ARRAY['a=>NULL', NULL]::ext.hstore[])`)
	}
	for name, value := range map[string]string{"citext": `Ab "c"`, "ltree": "a.b", "cube": "(1,2),(3,4)", "seg": "1 .. 2", "isbn": "978-0-393-04002-9"} {
		extension := name
		if name == "isbn" {
			extension = "isn"
		}
		if b.extension(extension, "ext") {
			add("ext."+name, value)
		}
	}
	b.equal(tests, nil)
}

// equal makes and fills the tables of tests, but for those whose type mayFail says
// cannot be a column, and compares what is captured with what the server has.
func (b *bench) equal(tests []typeTest, mayFail func(error) bool) {
	b.t.Helper()
	tests = slices.DeleteFunc(tests, func(r typeTest) bool {
		_, err := b.conn.Exec(b.t.Context(), r.create())
		if err == nil {
			b.options.Tables[cdc.Table{Schema: "public", Name: r.table}] = Lanes{Lane: cdc.LaneNormal}
		} else if mayFail == nil || !mayFail(err) {
			b.t.Errorf("type %s: %v", r.typ, err)
		}
		return err != nil
	})
	c := b.start()
	for _, r := range tests {
		b.exec(r.fill())
	}
	b.equalToSource(c)
}

// equalToSource compares every captured row with what the server gives for it, and
// with what a completion reads. Rows are not changed after they were inserted.
func (b *bench) equalToSource(c *Capture) {
	b.t.Helper()
	byTable := map[string]map[string]cdc.Change{}
	for _, ch := range b.wait(c) {
		rows := byTable[ch.Table.String()]
		if rows == nil {
			rows = map[string]cdc.Change{}
			byTable[ch.Table.String()] = rows
		}
		rows[ch.Key] = ch
	}
	source := c.source
	conn, err := source.Connect(b.t.Context()) // with the pinned settings
	if err != nil {
		b.t.Fatal(err)
	}
	defer closeConn(conn)
	complete := source.NewCompleter()
	defer complete.Close()
	for table := range b.options.Tables {
		rows := byTable[table.String()]
		b.equalToServer(conn, table, rows)
		b.verbatim(conn, table, rows)
		keys := slices.Collect(maps.Keys(rows))
		read, err := complete.Complete(b.t.Context(), table, keys, nil)
		if err != nil {
			b.t.Errorf("%s: %v", table, err)
		}
		for key, ch := range rows {
			if read[key] != ch.After {
				b.t.Errorf("%s: a completion of %s reads %s, want %s", table, key, read[key], ch.After)
			}
		}
	}
}

// equalToServer lets the server compare, as jsonb.
func (b *bench) equalToServer(conn *pgx.Conn, table cdc.Table, rows map[string]cdc.Change) {
	b.t.Helper()
	var keys, afters []string
	for key, ch := range rows {
		keys, afters = append(keys, key), append(afters, ch.After)
	}
	generated := `ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = '` + table.String() + `'::regclass AND attgenerated <> '')`
	answer, err := conn.Query(b.t.Context(), fmt.Sprintf(`SELECT (to_jsonb(t) - %s) IS NOT DISTINCT FROM k.after, to_jsonb(t)::text, k.after::text
FROM %s t FULL JOIN (SELECT key::jsonb, after::jsonb FROM unnest($1::text[], $2::text[]) AS u(key, after)) k ON k.key = jsonb_build_object('id', t.id)`,
		generated, table), keys, afters)
	if err != nil {
		b.t.Fatalf("%s: %v", table, err)
	}
	var same bool
	var want, got *string
	n := 0
	if _, err := pgx.ForEachRow(answer, []any{&same, &want, &got}, func() error {
		if n++; !same {
			b.t.Errorf("%s: the server says\n%s, captured was\n%s", table, short(want), short(got))
		}
		return nil
	}); err != nil {
		b.t.Errorf("%s: %v", table, err)
	}
	if n == 0 {
		b.t.Errorf("%s has no rows", table)
	}
}

// verbatim checks that json is as it was written and that numbers keep all their
// digits, which jsonb does not tell.
func (b *bench) verbatim(conn *pgx.Conn, table cdc.Table, rows map[string]cdc.Change) {
	b.t.Helper()
	var columns []string
	if err := conn.QueryRow(b.t.Context(), `SELECT COALESCE(array_agg(attname::text), '{}') FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND attgenerated = ''
AND atttypid IN ('json'::regtype, 'jsonb'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype, 'int8'::regtype)`,
		table.String()).Scan(&columns); err != nil {
		b.t.Fatal(err)
	}
	for _, column := range columns {
		answer, err := conn.Query(b.t.Context(), fmt.Sprintf(`SELECT id, %[1]s::text FROM %s WHERE %[1]s IS NOT NULL`, cdc.QuoteIdent(column), table))
		if err != nil {
			b.t.Fatal(err)
		}
		var id int
		var want string
		if _, err := pgx.ForEachRow(answer, []any{&id, &want}, func() error {
			row, err := cdc.ParseRow(rows[fmt.Sprintf(`{"id":%d}`, id)].After)
			if got := row.Get(column).JSON(); got != want && got != `"`+want+`"` { // NaN and the infinities have quotes
				b.t.Errorf("%s: row %d has %s in column %s, want %s", table, id, short(&got), column, short(&want))
			}
			return err
		}); err != nil {
			b.t.Errorf("%s: %v", table, err)
		}
	}
}

func short(s *string) string {
	switch {
	case s == nil:
		return "nothing"
	case len(*s) > 2000:
		return (*s)[:2000] + "…"
	}
	return *s
}
