package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

// TestPostgresTarget brings a table into another database, once where what check tells makes the
// table, and once where the target makes it: then rows of before and of after the start, changes, values that were not sent with a change,
// deletes and a kill come to the same rows on both sides.
func TestPostgresTarget(t *testing.T) {
	t.Parallel()
	there := servertest.SharedPostgres(t).URL
	target := fmt.Sprintf("  store:\n    type: postgres\n    url: %[1]q\n    schema: sales\n    timeout: 5s\n  made:\n    type: postgres\n    url: %[1]q\n    schema: made\n    create: true\n", there)
	b := newBridge(t, options{rewrite: func(config string) string { return config + target }})
	b.exec(`ALTER TABLE deals ADD tags text[], ADD won boolean, ADD custom jsonb`)
	for _, name := range []string{"store", "made"} {
		b.write("mappings/"+name+".yaml", `from: public.deals
to: `+name+`/deals
key: {id: id}
fields: {owner: owner, name: name, stage: stage, amount: amount, note: note, updated_at: updated_at, tags: tags, won: won, custom: custom}
coalesce: {quiet: 10ms, max_delay: 100ms}
`)
	}
	missing := b.wants(b.check(), "fail", "mapping store", `has no object "deals"`)
	b.execAt(there, regexp.MustCompile(`CREATE SCHEMA .*`).FindString(missing.Fix))
	list := b.check()
	for _, about := range []string{"mapping store", "mapping made", "target made"} {
		if f := find(list, "fail", about, ""); f != nil {
			t.Errorf("with the table that it told of: %+v", f)
		}
	}

	const insert = `INSERT INTO deals SELECT i, i % 7, 'deal ' || i, 'new', i * 1.25, repeat('a long note ' || i, 300), now(), ARRAY['a', NULL, 'c "d"'], i % 2 = 0,
		jsonb_build_object('n', 12345678901234567.890, 'i', i) FROM generate_series($1::int, $2::int) i`
	b.exec(insert, 1, 300)
	p := b.start("run")
	b.waitSlot(p)
	b.exec(insert, 301, 600)
	for round := range 5 {
		// The note is stored apart, and is not sent with these.
		b.exec(`UPDATE deals SET amount = amount + 0.01, stage = 'round ' || $1::text, won = NULL WHERE id % 5 = $2`, fmt.Sprint(round), round)
		b.exec(`DELETE FROM deals WHERE id % 50 = $1`, round)
		if round == 2 {
			p.kill()
			p = b.start("run")
		}
	}
	b.exec(`UPDATE deals SET id = id + 1000 WHERE id % 60 = 7`)
	const rows = `SELECT coalesce(string_agg(r::text, E'\n' ORDER BY id), '') FROM (SELECT id, owner, name, stage, amount, md5(note), updated_at, tags, won, custom FROM `
	for _, schema := range []string{"sales", "made"} {
		until(t, time.Minute, func() string {
			p.mustRun()
			here, err := b.text(rows + `deals) r`)
			held, err2 := textAt(t.Context(), there, rows+schema+`.deals) r`)
			if err := errors.Join(err, err2); err != nil {
				return err.Error()
			}
			return firstOther(here, held)
		})
		if n, err := textAt(t.Context(), there, `SELECT count(*) || ' ' || count("_walbridge_position") FROM `+schema+`.deals`); err != nil || n != "540 540" {
			t.Errorf("rows, and those with a position: %s (%v)", n, err)
		}
	}
}

func textAt(ctx context.Context, url, sql string) (s string, err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return "", err
	}
	cfg.RuntimeParams["TimeZone"] = "UTC"
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return "", err
	}
	err = c.QueryRow(ctx, sql).Scan(&s)
	return s, errors.Join(err, c.Close(ctx))
}

// firstOther tells the first line in which two texts are not the same.
func firstOther(here, there string) string {
	a, b := strings.Split(here, "\n"), strings.Split(there, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("source %s\ntarget %s", a[i], b[i])
		}
	}
	return unless(len(a) == len(b), fmt.Sprintf("%d rows here, %d there", len(a), len(b)))
}
