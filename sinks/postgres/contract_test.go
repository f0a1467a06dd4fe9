package postgres

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/sinktest"
	"github.com/walbridge/walbridge/sinks/transport"
	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Run(m)) }

// through gives the URL of a database by way of another address, with a password.
func through(tb testing.TB, dsn, address, password string) transport.Secret {
	tb.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host, u.User = address, url.UserPassword(u.User.Username(), password)
	return transport.Secret(u.String())
}

// The whole contract, in front of a real server.
func TestContract(t *testing.T) {
	dsn := servertest.SharedPostgres(t).URL
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	var schema string
	options := func(site sinktest.Site) Options {
		return Options{URL: through(t, dsn, site.Address, site.Secret), Schema: schema, Timeout: site.Timeout}
	}
	sinktest.Run(t, sinktest.Subject{
		Serve: func(tb testing.TB) sinktest.Server {
			n++
			schema = fmt.Sprintf("s%d", n)
			if _, err := conn.Exec(t.Context(), fmt.Sprintf(`CREATE SCHEMA %[1]s;
				CREATE TABLE %[1]s.parents (id text PRIMARY KEY);
				CREATE TABLE %[1]s."Deals" ("Ext" text PRIMARY KEY, "Name" text, "Amount" numeric, "Owner" text REFERENCES %[1]s.parents, "_walbridge_position" numeric(40,20))`, schema)); err != nil {
				tb.Fatal(err)
			}
			own := schema
			return sinktest.Server{Address: fmt.Sprintf("%s:%d", cfg.Host, cfg.Port), Held: func(object string) map[string]map[string]json.RawMessage {
				return heldBy(tb, conn, pgx.Identifier{own, object})
			}}
		},
		Make: func(tb testing.TB, site sinktest.Site) sinks.Target {
			target, err := New(options(site))
			if err != nil {
				tb.Fatal(err)
			}
			return target
		},
		Shown:  func(site sinktest.Site) []any { return []any{options(site)} },
		Object: "Deals", Key: "Ext", Text: "Name", Number: "Amount",
		Bad:    sinks.Field{Name: "Amount", Value: json.RawMessage(`"pr1vate"`)},
		Orphan: sinks.Field{Name: "Owner", Value: json.RawMessage(`"nobody"`)},
	})
}

// heldBy reads a table.
func heldBy(tb testing.TB, conn *pgx.Conn, table pgx.Identifier) map[string]map[string]json.RawMessage {
	tb.Helper()
	rows, err := conn.Query(tb.Context(), `SELECT t."Ext", to_jsonb(t)::text FROM `+table.Sanitize()+` AS t`)
	if err != nil {
		tb.Fatal(err)
	}
	out := make(map[string]map[string]json.RawMessage)
	var key, text string
	if _, err := pgx.ForEachRow(rows, []any{&key, &text}, func() error {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			return err
		}
		out[key] = fields
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return out
}
