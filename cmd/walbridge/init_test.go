package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

// database starts a server with some tables, and gives its address.
func database(t *testing.T, sql string) string {
	t.Helper()
	url := servertest.Postgres(t).URL("postgres")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%v:\n%s", err, sql)
	}
	return url
}

const salesTables = `CREATE TABLE deals (id bigint PRIMARY KEY, name text NOT NULL, amount numeric(12,2), scan bytea, memo text,
  twice numeric GENERATED ALWAYS AS (amount * 2) STORED, "Close Date" date);
COMMENT ON COLUMN deals.name IS 'as the customer
says it';
INSERT INTO deals SELECT n, 'deal', 1, NULL, string_agg(md5(n::text || m::text), '') FROM generate_series(1, 5) n, generate_series(1, 400) m GROUP BY n;
CREATE TABLE "Order Lines" (order_id int, line int, PRIMARY KEY (order_id, line));
CREATE TABLE notes (code text NOT NULL UNIQUE, body text);
CREATE TABLE loose (a text);
CREATE TABLE odd (k jsonb PRIMARY KEY);
CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (9);
ANALYZE`

func TestInit(t *testing.T) {
	t.Setenv("DATABASE_URL", "")
	t.Setenv("REDIS_URL", "")
	url := database(t, salesTables)
	t.Run("lists tables", func(t *testing.T) {
		dir := t.TempDir()
		out, err := command(t, "", "init", "--database", url, "--dir", dir)
		want := `TABLE                 ROWS     KEY             CAN BE CAPTURED
public."Order Lines"  about 0  order_id, line  yes
public.deals          about 5  id              yes
public.loose          about 0  none            no
public.notes          about 0  none            no
public.odd            about 0  k               no
public.p              about 0  id              yes

table public.loose has no primary key, so its rows cannot be told apart: give it one: ALTER TABLE public.loose ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
table public.notes has no primary key, so its rows cannot be told apart: run ALTER TABLE "public"."notes" REPLICA IDENTITY USING INDEX "notes_code_key";
the key of table public.odd cannot be that of a record: it is a json, jsonb or array column: give it a unique index on NOT NULL columns of text or numbers, then ALTER TABLE "public"."odd" REPLICA IDENTITY USING INDEX …;

choose with --table 'public."Order Lines"', or --all
`
		if err != nil || out != want {
			t.Errorf("%v\n%s\nwant\n%s", err, out, want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("wrote %v (%v)", left, err)
		}
	})
	t.Run("writes files", func(t *testing.T) { writesFiles(t, url) })
	t.Run("keeps files", func(t *testing.T) { keepsFiles(t, url) })
	t.Run("refuses", func(t *testing.T) {
		for arg, want := range map[string]string{
			"--table=public.dels":              "no such table; did you mean public.deals?",
			"--table=public.loose":             "ALTER TABLE public.loose ADD COLUMN id",
			"--table=p_1":                      "table public.p_1 is a partition; choose public.p",
			"--table=a.b.c":                    "not a table",
			"--target=crm=htp@http://x":        "unknown type; did you mean http?",
			"--target=crm=http@ftp://x:s3cret": "not a web address",
			"--target=https://x:s3cret@y":      "write NAME=TYPE@URL",
		} {
			_, err := command(t, "", "init", "--database", url, "--dir", t.TempDir(), arg)
			var usage *usageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: got %v, want %q", arg, err, want)
			}
		}
		var usage *usageError
		if _, err := command(t, "", "init"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--database is missing") {
			t.Errorf("without a database: %v", err)
		}
		var setup *cdc.SetupError
		if _, err := command(t, "", "init", "--database", "postgres://u:s3cret@127.0.0.1:1/x"); !errors.As(err, &setup) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("without a server: %v", err)
		}
	})
}

func writesFiles(t *testing.T, url string) {
	dir := t.TempDir()
	out, err := command(t, "", "init", "--database", url, "--dir", dir, "--table", "deals", "--table", `public."Order Lines"`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"wrote " + filepath.Join(dir, "walbridge.yaml"), "walbridge sandbox", "walbridge check -c", "walbridge test", "walbridge run -c"} {
		if !strings.Contains(out, want) {
			t.Errorf("did not say %q:\n%s", want, out)
		}
	}
	loads(t, dir, url)
	got := contents(t, filepath.Join(dir, "mappings", "deals-to-crm.yaml"))
	for _, want := range []string{
		"name: deals-to-crm\nfrom: public.deals\n", "key: {id: id}", "\n  name: name      # text, not null; as the customer says it\n",
		"# scan: scan  # bytea: bytes, which", "# memo: memo  # text: large, up to ", "# twice: …  # numeric: generated, ",
		`Close Date: 'col("Close Date")'  # date`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	// What stands there as a comment is right, too, where it is not for a person to fill in.
	got = strings.NewReplacer("# scan: ", "scan: ", "# memo: ", "memo: ", "# when: ", "when: ", "# lane: ", "lane: ", "# start: ", "start: ", "# coalesce: ", "coalesce: ").Replace(got)
	file := write(t, filepath.Join(dir, "mappings", "deals-to-crm.yaml"), got)
	if _, err := command(t, "", "fmt", "-w", file); err != nil {
		t.Error(err)
	}
	loads(t, dir, url)
	got = contents(t, filepath.Join(dir, "mappings", "order-lines-to-crm.yaml"))
	if want := `key: {external_id: 'string(order_id) + "-" + string(line)'}`; !strings.Contains(got, want) {
		t.Errorf("%q is not in\n%s", want, got)
	}
	const catalog = `{
  "version": 1,
  "tables": {
    "public.\"Order Lines\"": {
      "columns": [
        {
          "name": "order_id",
          "type": "integer",
          "not_null": true,
          "key": true
        },`
	if got := contents(t, filepath.Join(dir, "catalog.json")); !strings.HasPrefix(got, catalog) {
		t.Errorf("got\n%s", got)
	}
}

func keepsFiles(t *testing.T, url string) {
	dir := t.TempDir()
	mine := write(t, filepath.Join(dir, "walbridge.yaml"), "mine\n")
	catalog := write(t, filepath.Join(dir, "catalog.json"), "mine\n")
	args := []string{"init", "--database", url, "--dir", dir, "--all"}
	out, err := command(t, "", args...)
	if err != nil || contents(t, mine) != "mine\n" || contents(t, catalog) != "mine\n" || !strings.Contains(out, "kept "+mine) || !strings.Contains(out, "kept "+catalog) {
		t.Errorf("%v\n%s", err, out)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "mappings", "*.yaml")); err != nil || len(files) != 3 {
		t.Errorf("mappings %v (%v)", files, err)
	}
	if out, err = command(t, "", append(args, "--force")...); err != nil || strings.Contains(out, "kept") {
		t.Errorf("by force: %v\n%s", err, out)
	}
	loads(t, dir, url)
}

// loads holds what init wrote against the database, as a bridge does, and against fmt.
func loads(t *testing.T, dir, url string) {
	t.Helper()
	cfg, err := config.Load(filepath.Join(dir, "walbridge.yaml"), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Postgres.URL.Reveal() != url {
		t.Errorf("the database's address is %s", cfg.Postgres.URL.Reveal())
	}
	files, err := mapping.LoadGlob(cfg.Mappings, cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	src, err := pgsource.New(pgsource.Options{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cat := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{}, TargetNames: cfg.TargetNames()}
	for _, table := range tables {
		for _, c := range table.Columns {
			cat.TableColumns[table.Table] = append(cat.TableColumns[table.Table], mapping.Column{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Key: c.Key && table.Keyed()})
		}
	}
	for _, f := range files {
		if _, err := mapping.Compile(f, cat); err != nil {
			t.Errorf("%v\n%s", err, contents(t, f.Path))
		}
	}
	if out, err := command(t, "", "fmt", "-l", dir); out != "" || err != nil {
		t.Errorf("fmt has something to say: %v, %s", err, out)
	}
}

// What init writes loads, whatever the tables are called and made of.
func TestInitOfRandomTables(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const tables = 150
	url := database(t, randomTables(r, tables))
	dir := t.TempDir()
	out, err := command(t, "", "init", "--database", url, "--dir", dir, "--all", "--target", "crm-2=http")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	loads(t, dir, url)
	files, err := filepath.Glob(filepath.Join(dir, "mappings", "*.yaml"))
	if err != nil || len(files) < tables*9/10 {
		t.Errorf("%d mappings of %d tables (%v)", len(files), tables, err)
	}
}

var (
	randomTypes = []string{"int", "bigint", "text", "varchar(10)", "numeric(10,2)", "float8", "bool", "date", "timestamptz", "interval", "uuid", "jsonb",
		"json", "bytea", "text[]", "int4range", "point", "inet", "mood", `"Odd Mood"`, "cents", "pair", "xml", "bit(3)", "money", "tsvector", "oid", `"char"`}
	keyTypes = []string{"int", "bigint", "text", "varchar(10)", "uuid", "numeric", "date", "bool", "mood"}
	oddNames = []string{"select", "order", "true", "false", "nil", "null", "NULL", "in", "not", "and", "or", "let", "if", "else", "contains", "matches", "upper",
		"string", "col", "round", "map", "name", "from", "Name", "a b", " a", "a ", " ", "a-b", "1st", "a.b", `a"b`, "a'b", `a\b`, `\n`, "a\nb", "a\tb", "a: b",
		"a #b", "#a", "{a}", "[a]", "a,b", "*a", "&a", "!a", "|", ">", "%a", "@a", "`a", "- a", "-", "?", "~", "y", "No", "12", "1.5", "0x1F", "1e3", ".inf",
		"é", "名前", "😀", "\u2028", "\ufeff", "\u0085", "\x7f", "\x01", "${HOME}", "$$", "external_id", "walbridge_id", "=", "<<", "a==b", "id", "..", "---", "null "}
)

func randomName(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return oddNames[r.IntN(len(oddNames))]
	}
	alphabet := []rune("abcXYZ019_ .-\"'\\:#{}[],\n\té$%=()")
	name := make([]rune, 1+r.IntN(12))
	for i := range name {
		name[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(name)
}

// randomTables gives the statements that make tables with keys of one or two columns.
func randomTables(r *rand.Rand, n int) string {
	var b strings.Builder
	b.WriteString(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE "Odd Mood" AS ENUM ('x'); CREATE DOMAIN cents AS numeric(12,2); CREATE TYPE pair AS (a int, b text);` + "\n")
	quoted := func(name string) string { return pgx.Identifier{name}.Sanitize() }
	schemas, taken := []string{"public"}, map[string]bool{}
	for len(schemas) < 4 {
		name := randomName(r)
		if !taken[name] && name != "public" && !strings.HasPrefix(name, "pg_") {
			taken[name] = true
			schemas = append(schemas, name)
			fmt.Fprintf(&b, "CREATE SCHEMA %s;\n", quoted(name))
		}
	}
	types := map[string]bool{"public\x00mood": true, "public\x00Odd Mood": true, "public\x00cents": true, "public\x00pair": true}
	for len(types) < n+4 {
		schema, name := schemas[r.IntN(len(schemas))], randomName(r)
		if types[schema+"\x00"+name] {
			continue
		}
		types[schema+"\x00"+name] = true
		columns, keys, names := []string{}, []string{}, map[string]bool{}
		for i := range 1 + r.IntN(8) {
			column := randomName(r)
			if names[column] {
				continue
			}
			names[column] = true
			kind := randomTypes[r.IntN(len(randomTypes))]
			if i == 0 || i == 1 && r.IntN(3) == 0 {
				kind = keyTypes[r.IntN(len(keyTypes))]
				keys = append(keys, quoted(column))
			}
			if strings.Contains("mood \"Odd Mood\" cents pair", kind) {
				kind = "public." + kind
			}
			columns = append(columns, quoted(column)+" "+kind)
		}
		fmt.Fprintf(&b, "CREATE TABLE %s.%s (%s, PRIMARY KEY (%s));\n", quoted(schema), quoted(name), strings.Join(columns, ", "), strings.Join(keys, ", "))
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "COMMENT ON COLUMN %s.%s.%s IS '%s';\n", quoted(schema), quoted(name), keys[0], strings.ReplaceAll(randomName(r), "'", "''"))
		}
	}
	return b.String()
}
