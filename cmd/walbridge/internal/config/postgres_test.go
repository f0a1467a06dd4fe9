package config

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func init() {
	maps.Copy(badFiles, map[string]string{
		"target-postgres-create":   `8:13: targets.forecast.create: want true or false, not a text "sometimes"; write true or false, without quotes`,
		"target-postgres-no-url":   `6:5: targets.forecast.url: no address of the target; write postgres://user:password@host:5432/database, or ${FORECAST_URL}`,
		"target-postgres-position": `8:15: targets.forecast.position: not a name in PostgreSQL; write 1 to 63 bytes without a point`,
		"target-postgres-schema":   `8:13: targets.forecast.schema: not a name in PostgreSQL "a.b"; write 1 to 63 bytes without a point`,
		"target-postgres-url":      `7:10: targets.forecast.url: the address does not begin with postgres:// or postgresql://; write postgres://user:password@host:5432/database, or ${FORECAST_URL}`,
	})
	beyondForm = append(beyondForm, "target-postgres-url")
}

// A target of tables has a schema, and a greater batch.
func TestPostgresTargets(t *testing.T) {
	forecast, commission := DefaultTarget(TypePostgres), DefaultTarget(TypePostgres)
	forecast.Name, forecast.URL = "forecast", "postgres://app:s3cret@db.example.com:5433/sales?sslmode=require"
	commission.Name, commission.URL, commission.MaxBatch = "commission", "postgresql://walbridge:s3cret@warehouse/finance", 500
	commission.Postgres = PostgresTarget{Schema: "payouts", Create: true, Position: "changed_at_position"}
	if forecast.MaxBatch != 1000 || forecast.Postgres != (PostgresTarget{Schema: "public", Position: "_walbridge_position"}) {
		t.Errorf("defaults %+v", forecast)
	}
	if c := load(t, "target-postgres.good.yml"); !reflect.DeepEqual(c.Targets, []Target{forecast, commission}) || c.Validate() != nil {
		t.Errorf("got %+v", c.Targets)
	}
}

// The configurations that the page shows are right, and it tells of every key.
func TestPostgresPage(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/targets/postgres.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```yaml\ntargets:\n(.*?)```").FindAllSubmatch(page, -1)
	for i, m := range shown {
		text := "postgres: {url: '${DATABASE_URL}'}\nredis: {url: 'redis://redis'}\nmappings: [m.yaml]\ntargets:\n" + string(m[1])
		if _, err := parse("page.yml", []byte(text), func(name string) (string, bool) {
			if name == "FORECAST_URL" {
				return "postgres://forecast", true
			}
			return testEnv(name)
		}); err != nil {
			t.Errorf("configuration %d of the page: %v", i+1, err)
		}
	}
	if len(shown) == 0 {
		t.Error("the page shows no configuration")
	}
	for _, key := range append([]string{"url", "timeout", "max_batch", "max_in_flight", "key_case"}, postgresKind.keys...) {
		if !strings.Contains(string(page), "\n| `"+key+"` |") {
			t.Errorf("the page does not tell of %s", key)
		}
	}
}
