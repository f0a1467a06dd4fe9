package vendors

import (
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks"
)

// The columns of a table are those of all mappings that lead to it, of types that take what the
// mappings give.
func TestMendOfMappings(t *testing.T) {
	cat := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{{Schema: "public", Name: "deals"}: {
		{Name: "id", Type: "bigint", NotNull: true, Key: true}, {Name: "name", Type: "character varying(80)"}, {Name: "amount", Type: "numeric(12,2)"}, {Name: "won", Type: "boolean"},
		{Name: "day", Type: "date"}, {Name: "at", Type: "timestamp with time zone"}, {Name: "local", Type: "timestamp without time zone"},
		{Name: "custom", Type: "json"}, {Name: "tags", Type: "integer[]"}, {Name: "moods", Type: "mood[]"}, {Name: "seats", Type: "integer"}}}}
	var files []*mapping.File
	for name, text := range map[string]string{
		"a.yaml": "from: public.deals\nto: forecast/deals\nkey: {id: id}\nfields: {name: name, amount: amount, won: won, day: day, at: at, local: local, custom: custom, tags: tags, moods: moods, size: seats, code: seats}\ndelete: {set: {gone: {const: true}}}\n",
		"b.yaml": "from: public.deals\nwhen: won\nto: forecast/deals\nkey: {id: id}\nfields: {size: amount, code: name}\n",
		"c.yaml": "from: public.deals\nto: crm/deals\nkey: {id: id}\nfields: {other: name}\n",
	} {
		f, err := mapping.Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	mappings, err := mapping.CompileAll(files, cat)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.DefaultTarget(config.TypePostgres)
	cfg.Name, cfg.URL, cfg.Postgres.Create = "forecast", "postgres://u:s3cret@h/d", true
	sql := Mend(cfg, "deals", mappings, nil)
	if len(sql) != 2 || !strings.HasPrefix(sql[1], `CREATE TABLE IF NOT EXISTS "public"."deals" (`) {
		t.Fatalf("got %q", sql)
	}
	for _, want := range []string{`"id" bigint PRIMARY KEY`, `"name" text`, `"amount" numeric`, `"won" boolean`, `"day" date`, `"at" timestamptz`, `"local" timestamp`, `"custom" jsonb`,
		`"tags" integer[]`, `"moods" text[]`, `"size" numeric`, `"code" text`, `"gone" boolean`, `"_walbridge_position" numeric(40,20)`} {
		if !strings.Contains(strings.ReplaceAll(sql[1], ")", ","), strings.ReplaceAll(want, ")", ",")+",") {
			t.Errorf("%s is not in %s", want, sql[1])
		}
	}
	if strings.Contains(sql[1], "other") {
		t.Errorf("a column of another target's mapping is in %s", sql[1])
	}
	held := &sinks.Schema{Fields: []sinks.SchemaField{{Name: "id"}, {Name: "name"}}}
	if sql := Mend(cfg, "deals", mappings, held); len(sql) != 11 || !strings.HasPrefix(sql[0], `ALTER TABLE "public"."deals" ADD COLUMN IF NOT EXISTS "`) {
		t.Errorf("of a table that lacks columns: %q", sql)
	}
	if sql := Mend(config.DefaultTarget(config.TypeHTTP), "deals", mappings, nil); sql != nil {
		t.Errorf("of an http target: %q", sql)
	}
	target, err := Open(cfg, Stores{})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	Expect(target, mappings) // it is told; that it makes the table is tested where there is a server
}
