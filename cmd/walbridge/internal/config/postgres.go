package config

import (
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// TypePostgres is the type of targets that are tables of a PostgreSQL database.
const TypePostgres = "postgres"

// PostgresTarget are the settings of a target of TypePostgres.
type PostgresTarget struct {
	// Schema is where tables are whose object does not name one.
	Schema string
	// Create makes missing schemas, tables and columns.
	Create bool
	// Position is the name of the column for the position of a change.
	Position string
}

// maxIdentifier is how many bytes of a name PostgreSQL keeps.
const maxIdentifier = 63

var postgresKind = kind{
	name: TypePostgres,
	keys: []string{"schema", "create", "position"},
	set: func(t *Target) {
		t.MaxBatch = 1000
		t.Postgres = PostgresTarget{Schema: "public", Position: "_walbridge_position"}
	},
	load: func(l *loader, s *yamldoc.Section, t *Target) {
		s.Text("schema", &t.Postgres.Schema)
		s.Bool("create", &t.Postgres.Create)
		s.Text("position", &t.Postgres.Position)
	},
	validate: (*Target).validatePostgres,
}

func (t *Target) validatePostgres(v *validator, at string) {
	t.needURL(v, at, []string{"postgres", "postgresql"}, "write postgres://user:password@host:5432/database, or ${FORECAST_URL}")
	for _, n := range []struct{ path, name string }{{at + ".schema", t.Postgres.Schema}, {at + ".position", t.Postgres.Position}} {
		if n.name == "" || len(n.name) > maxIdentifier || strings.ContainsAny(n.name, ".\x00") {
			v.fail(n.path, "not a name in PostgreSQL", n.name, "write 1 to 63 bytes without a point")
		}
	}
}
