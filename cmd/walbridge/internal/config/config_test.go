package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

func env(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

var testEnv = env(map[string]string{
	"DATABASE_URL": "postgres://app:s3cret@db.example.com:5433/sales?sslmode=require", "CRM_TOKEN": "s3cret-token",
	"PARTITIONS": "16", "STAGE": "", "BROKEN": "s3cret\nX",
})

const (
	postgresExample = "write postgres://user:password@host:5432/database, ${DATABASE_URL} or file:/run/secrets/pg"
	redisExample    = "write redis://host:6379/0, or rediss:// for TLS"
)

// badFiles has, for each file with one mistake, the whole error text after the
// file's name.
var badFiles = map[string]string{
	"addresses":              `8:16: targets.crm.addresses: "10.0.0.0/33" is no address; write networks such as 10.0.0.0/8, or public, or private`,
	"rate-account":           `8:21: targets.crm.rate.account: not a valid name "A B"; name the account with lower-case letters, digits, - and _`,
	"rate-accounts":          `7:54: targets.forecast.rate: account sf has other limits in targets.crm.rate; write the limits of an account once, and only account: with its other targets`,
	"rate-burst":             `8:19: targets.crm.rate.burst: a burst without per_second; add per_second: the burst is what may go above it`,
	"rate-daily":             `8:19: targets.crm.rate.daily: out of range "-1"; write a number from 0 to 1000000000`,
	"rate-floor":             `8:24: targets.crm.rate.bulk_floor: out of range "30%"; write a percentage from 1% to 25%, or 0% for none`,
	"rate-keep-all":          `8:41: targets.crm.rate.keep_for_people: not below daily "100"; nothing would be left for walbridge: write a smaller number`,
	"rate-keep-share":        `8:29: targets.crm.rate.keep_for_people: out of range "100%"; write a percentage from 0% to 99%`,
	"rate-keep":              `8:29: targets.crm.rate.keep_for_people: neither a number nor a percentage "some"; write how many requests, such as 5000, or a share of the day's, such as 20%`,
	"rate-key":               `8:12: targets.crm.rate.per_secund: unknown key "per_secund"; did you mean per_second?`,
	"rate-per-second":        `8:24: targets.crm.rate.per_second: want a number, not a text "fast"; write a number such as 25 or 0.5, without quotes`,
	"rate-range":             `8:24: targets.crm.rate.per_second: out of range "-1"; write a number from 0 to 100000`,
	"retry-attempts":         `8:23: targets.crm.retry.attempts: out of range "0"; write a number from 1 to 10000`,
	"retry-initial":          `8:22: targets.crm.retry.initial: out of range "0s"; write a duration from 1ms to 1h`,
	"retry-max":              `8:12: targets.crm.retry.max: less than initial "1m"; waits grow from initial to max: set both`,
	"errors-after-range":     `8:44: targets.crm.errors[0].after: out of range "48h"; write a duration from 0s to 24h`,
	"errors-after":           `8:45: targets.crm.errors[0].after: there is nothing to wait for with then: accept "1s"; leave it out`,
	"errors-any":             `8:14: targets.crm.errors[0]: the rule fits every answer; add status, code or message`,
	"errors-class":           `8:23: targets.crm.errors[0].status: not a status "6xx"; write a number such as 409, or a class such as 5xx`,
	"errors-code-type":       `8:21: targets.crm.errors[0].code: want a text or a number, not a section of keys; write one, or a list of them in [ ]`,
	"errors-code-list":       `8:21: targets.crm.errors[0].code: an empty list; write what is to fit, or leave it out`,
	"errors-code":            `8:65: targets.crm.errors[1].code: an empty code; write the target's own word, such as UNABLE_TO_LOCK_ROW`,
	"errors-message-type":    `8:24: targets.crm.errors[0].message: want a regular expression, not a list; put it in quotes`,
	"errors-message":         "8:24: targets.crm.errors[0].message: not a regular expression (missing closing ): `(`): \"(\"; write it as RE2, such as (?i)no such account; https://github.com/google/re2/wiki/Syntax",
	"errors-no-then":         `8:14: targets.crm.errors[0].then: missing; write one of retry, throttle, reject, wait_for_parent, pause, accept`,
	"errors-status":          `8:23: targets.crm.errors[0].status: not a status "99"; write a number such as 409, or a class such as 5xx`,
	"errors-then":            `8:30: targets.crm.errors[0].then: unknown value "retries"; did you mean retry?`,
	"errors-type":            `8:13: targets.crm.errors: want a list of rules, not a section of keys; write {code: UNABLE_TO_LOCK_ROW, then: retry, after: 2s} as one of a list`,
	"dead-letters-age":       `6:32: delivery.dead_letters.age: out of range "1s"; write a duration from 1m to 87600h`,
	"deferred-count":         `6:30: delivery.deferred.count: out of range "0"; write a number from 1 to 1000000`,
	"trace-bytes":            `6:27: delivery.trace.bytes: out of range "1000B"; write a size from 1MiB to 1GiB, or 0B to keep no history`,
	"parents-wait":           `6:28: delivery.parents.wait: out of range "0s"; write a duration from 1ms to 24h`,
	"hold":                   `6:18: delivery.hold: out of range "10ms"; write a duration from 1s to 1h`,
	"dead-letters-count":     `6:34: delivery.dead_letters.count: out of range "0"; write a number from 1 to 10000000`,
	"empty":                  `1:1: the file is empty; a configuration needs postgres, redis, mappings and targets`,
	"env-dollar":             `1:17: postgres.url: a single $; write ${NAME} for a variable, or $$ for a dollar`,
	"env-name":               `1:17: postgres.url: not the name of an environment variable within ${}; write ${NAME} or ${NAME:-default}`,
	"env-number":             `2:43: redis.partitions: want a whole number, not a text "${CRM_TOKEN}"; write digits only, without quotes`,
	"env-open":               `1:17: postgres.url: a reference ${ without its }; write ${NAME}, or $$ for a dollar`,
	"env-unset":              `1:17: postgres.url: the environment variable is not set: "NOT_SET"; set it, or write ${NOT_SET:-default}`,
	"file-empty":             `1:17: postgres.url: the file is empty: "testdata/secrets/empty"; put the value into it`,
	"file-missing":           `1:17: postgres.url: the file cannot be read (no such file or directory): "testdata/secrets/none"; check the path, which is relative to the configuration file, and its permissions`,
	"header-break":           `5:60: targets.crm.headers.X-Key: the value has a line break "${BROKEN}"; a header is one line: look at the variable or file it comes from`,
	"header-name":            `5:62: targets.crm.headers.X Key: not a valid name "X Key"; write a header's name, such as Authorization`,
	"header-type":            `5:60: targets.crm.headers.X-Key: want a text, not a number; put it in quotes`,
	"heartbeat":              `1:51: postgres.heartbeat: not a duration "10"; write a number with a unit, such as 200ms, 2s, 1m30s`,
	"on-loss":                `1:49: postgres.on_loss: unknown value "go-on"; did you mean go_on?`,
	"wal-budget":             `1:52: postgres.wal_budget: not a size "10"; write a number with a unit, such as 10GiB`,
	"wal-budget-range":       `1:52: postgres.wal_budget: less than 1MiB; write a size such as 10GiB`,
	"heartbeat-range":        `1:51: postgres.heartbeat: out of range "1ms"; write a duration from 100ms to 1h`,
	"lease":                  `6:19: delivery.lease: out of range "10ms"; write a duration from 1s to 10m`,
	"from":                   `8:11: targets.crm.from: unknown value "start"; write one of beginning, now, backfill`,
	"key-case":               `8:15: targets.crm.key_case: unknown value "upper"; write one of exact, insensitive`,
	"list":                   `1:1: want a section of keys, not a list; its keys are name, postgres, redis, mappings, targets, delivery, listen, log`,
	"listen":                 `6:9: listen: want a text, not a number "8642"; put it in quotes`,
	"listen-port":            `6:9: listen: not an address to listen on "127.0.0.1:http"; write host:port, such as 127.0.0.1:8642, or "" to switch it off`,
	"log-format":             `6:15: log.format: unknown value "xml"; write one of text, json`,
	"log-level":              `6:14: log.level: unknown value "warning"; did you mean warn?`,
	"mappings-type":          `3:11: mappings: want a list of texts, not a text "m.yaml"; write [m.yaml]`,
	"name":                   `6:7: name: not a valid name "Sales-EU"; write 1 to 40 lower-case letters, digits and _`,
	"name-type":              `6:7: name: want a text, not a number "5"; put it in quotes`,
	"no-mappings":            `1:1: mappings: no mapping files; add mappings: [mappings/*.yaml]`,
	"no-postgres":            `1:1: postgres.url: no address of the database; ` + postgresExample,
	"no-targets":             `1:1: targets: no target; add one, such as targets: {crm: {type: http, url: https://crm.example.com/batch}}`,
	"partitions":             `2:43: redis.partitions: out of range "0"; write a number from 1 to 256`,
	"partitions-type":        `2:43: redis.partitions: want a whole number, not a text "eight"; write digits only, without quotes`,
	"postgres-escape":        `1:17: postgres.url: not an address; write special characters of user and password as %XX; ` + postgresExample,
	"postgres-scheme":        `1:17: postgres.url: the address does not begin with postgres:// or postgresql://; ` + postgresExample,
	"postgres-words":         `1:17: postgres.url: not an address of a PostgreSQL database; ` + postgresExample,
	"queue-bytes":            `6:25: delivery.queue_bytes: not a size "128M"; write a number with a unit, such as 128MiB`,
	"redis-both":             `1:18: redis.cluster: redis.sentinel is given too; a server is found by sentinels or belongs to a cluster: keep one of the two`,
	"redis-cluster-address":  `1:30: redis.cluster[1]: not the address of a server "n2"; write host:6379`,
	"redis-cluster-db":       `1:14: redis.url: a cluster has no databases but 0; write redis://user:password@, or rediss:// for TLS`,
	"redis-cluster-host":     `1:14: redis.url: the address names a host, but the servers are those of redis.cluster; write redis://user:password@, or rediss:// for TLS`,
	"redis-cluster-type":     `1:42: redis.cluster: want a list of texts, not a text "n1"; write [n1]`,
	"redis-replicas":         `1:42: redis.replicas: out of range "-1"; write a number from 0 to 16`,
	"redis-sentinel-address": `1:47: redis.sentinel.addresses[0]: not the address of a server ":26379"; write host:26379`,
	"redis-sentinel-key":     `1:20: redis.sentinel.name: unknown key "name"; known keys are master, addresses, password`,
	"redis-sentinel-master":  `1:19: redis.sentinel.master: no name of the master; write the name that sentinel.conf gives it, such as mymaster`,
	"redis-sentinel-none":    `1:19: redis.sentinel.addresses: no sentinels; write [host:26379, …]`,
	"redis-sentinel-scheme":  `1:14: redis.url: the address does not begin with redis:// or rediss://; write redis://user:password@/0, or rediss:// for TLS`,
	"redis-tls-bool":         `1:61: redis.tls.insecure_skip_verify: want true or false, not a text "yes"; write true or false, without quotes`,
	"redis-tls-cert":         `1:38: redis.tls: cert and key belong together; give both files, or none where the server asks for no certificate`,
	"redis-tls-plain":        `1:37: redis.tls: redis.url does not ask for TLS; write redis.url: rediss://…`,
	"redis-scheme":           `2:14: redis.url: the address does not begin with redis:// or rediss://; ` + redisExample,
	"repeated-key":           `6:1: mappings: repeated key "mappings"; it is already given in line 3: keep one`,
	"slot":                   `1:46: postgres.slot: not a valid name "My-Slot"; write 1 to 63 lower-case letters, digits and _`,
	"syntax":                 `6:6: not YAML: could not find flow mapping end token '}'; check indentation, quotes and colons here and in the line above`,
	"target-batch":           `5:54: targets.crm.max_batch: out of range "0"; write a number from 1 to 10000`,
	"target-describe":        `5:63: targets.crm.describe: the address has no {object}; write an address such as https://crm.example.com/describe/{object}`,
	"target-describe-scheme": `5:63: targets.crm.describe: the address does not begin with http:// or https://; write an address such as https://crm.example.com/describe/{object}`,
	"target-list":            `4:10: targets: want a section of named targets, not a list; write crm: {type: http, url: …} below it`,
	"target-name":            `5:11: targets.CRM EU: not a valid name "CRM EU"; name the target with lower-case letters, digits, - and _`,
	"target-no-type":         `5:8: targets.crm.type: missing; write one of ` + strings.Join(TargetTypes(), ", "),
	"target-type":            `5:15: targets.crm.type: unknown value "htpp"; did you mean http?`,
	"target-url":             `5:26: targets.crm.url: the address does not begin with http:// or https://; write an address such as https://crm.example.com/batch`,
	"unknown-key":            `6:1: delivry: unknown key "delivry"; did you mean delivery?`,
	"unknown-nested-key":     `6:12: delivery.leese: unknown key "leese"; did you mean lease?`,
	"url-type":               `2:14: redis.url: want a text, not a list; put it in quotes`,
	"floor":                  `6:19: delivery.floor: not a percentage "10"; write a whole number with %, such as 10%`,
	"floor-range":            `6:19: delivery.floor: out of range "30%"; write a percentage from 1% to 25%, or 0% for none`,
	"high-mark":              `2:42: redis.high_mark: not a percentage "0.8"; write a whole number with %, such as 80%`,
	"high-mark-range":        `2:42: redis.high_mark: out of range "100%"; write a percentage from 10% to 95%, or 0% for none`,
	"on-full":                `2:40: redis.on_full: unknown value "deatch"; did you mean detach?`,
	"retention-age":          `2:48: redis.retention.age: not a duration "7d"; write a number with a unit, such as 200ms, 2s, 1m30s`,
	"retention-bytes":        `2:50: redis.retention.bytes: less than 4MiB; write a size such as 4GiB, or 0B for no bound`,
}

func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(paths) != len(badFiles) {
		t.Fatalf("%d bad files for %d texts (%v)", len(paths), len(badFiles), err)
	}
	for name, want := range badFiles {
		path := filepath.Join("testdata", name+".bad.yml")
		_, err := Load(path, testEnv)
		var errs Errors
		if !errors.As(err, &errs) {
			t.Errorf("%s: got %v, want Errors", name, err)
			continue
		}
		if want = path + ":" + want; errs.Error() != want {
			t.Errorf("%s:\n got %s\nwant %s", name, errs, want)
		}
		if strings.Contains(strings.ToLower(errs.Detail()), "s3cret") {
			t.Errorf("%s shows a secret: %s", name, errs.Detail())
		}
	}
}

func load(t *testing.T, name string) *Config {
	t.Helper()
	c, err := Load(filepath.Join("testdata", name), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Targets { // which is not a part of what it says
		if c.Targets[i].Section.Node == nil {
			t.Errorf("nothing tells where target %s is", c.Targets[i].Name)
		}
		c.Targets[i].Section = Section{}
	}
	return c
}

func TestFullFile(t *testing.T) {
	want := &Config{
		Name: "sales",
		Postgres: Postgres{
			URL: "postgres://app:s3cret@db.example.com:5433/sales?sslmode=require", Slot: "my_slot", Publication: "my_publication", Heartbeat: 5 * time.Second,
			WALBudget: 2 << 30, OnLoss: OnLossGoOn,
		},
		Redis: Redis{URL: "rediss://:nopass@redis.example.com:6380/1", Partitions: 16, BulkAfter: 500,
			Retention: Retention{Age: 24 * time.Hour, Bytes: 4 << 30}, HighMark: 70, OnFull: OnFullWait},
		Mappings: []string{"mappings/*.yaml", "more/dev/*.yaml"},
		Targets: []Target{
			{
				Name: "crm", Type: "http", URL: "https://crm.example.com/batch", Addresses: sinks.Addresses{"public", "10.0.0.0/8"}, Timeout: 20 * time.Second, MaxBatch: 100, MaxInFlight: 2, From: FromNow, KeyCase: KeyCaseInsensitive,
				HTTP:  HTTP{Describe: "https://crm.example.com/describe/{object}?key=s3cret-token", Headers: []Header{{"Authorization", "Bearer s3cret-token"}, {"X-Price", "5$"}}},
				Rate:  Rate{Account: "sf", PerSecond: 2.5, Burst: 10, BulkFloor: 10, Daily: 100_000, KeepPercent: 20},
				Retry: Retry{Attempts: 7, Initial: time.Second, Max: 5 * time.Minute},
				Errors: []sinks.Rule{
					{Codes: []string{"CANNOT_EXECUTE_FLOW_TRIGGER", "77"}, Message: regexp.MustCompile("(?i)unable_to_lock_row"), Then: sinks.ThenRetry, After: 2 * time.Second},
					{Statuses: []string{"404", "410"}, Then: sinks.ThenAccept},
					{Statuses: []string{"5xx"}, Then: sinks.ThenThrottle},
				},
			},
			{Name: "forecast", Type: "http", URL: "http://127.0.0.1:9000/", Timeout: 15 * time.Second, MaxInFlight: 4, KeyCase: KeyCaseExact, Rate: Rate{BulkFloor: 5},
				Retry: Retry{Attempts: 20, Initial: 500 * time.Millisecond, Max: time.Minute}},
		},
		Delivery: Delivery{Lease: 20 * time.Second, QueueEntries: 5000, QueueBytes: 64 << 20, Floor: 5, Shutdown: 5 * time.Second, DeadLetters: DeadLetters{Count: 700, Age: 48 * time.Hour}, Hold: 30 * time.Second, Deferred: Deferred{Count: 500}, Parents: Parents{Wait: 5 * time.Second}, Trace: Trace{Bytes: 4 << 20}},
		Log:      Log{Level: "debug", Format: "json"},
		Dir:      "testdata",
	}
	got := load(t, "full.good.yml")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if got.Postgres.URL.Reveal() != want.Postgres.URL.Reveal() || got.Targets[0].HTTP.Headers[0].Value.Reveal() != "Bearer s3cret-token" {
		t.Error("secrets differ")
	}
	if names := got.TargetNames(); !reflect.DeepEqual(names, []string{"crm", "forecast"}) {
		t.Errorf("targets %v", names)
	}
	if _, ok := got.Target("hubspot"); ok {
		t.Error("found a target that is not there")
	}
	if c, ok := got.Target("forecast"); !ok || c.Name != "forecast" {
		t.Error("a target was not found")
	}
}

// The ways to reach Redis that are not one plain server.
func TestRedisServers(t *testing.T) {
	env := func(name string) (string, bool) {
		if name == "KEY_FILE" {
			return "keys/client.key", true
		}
		return testEnv(name)
	}
	like := Default().Redis
	c, err := Load("testdata/redis-sentinel.good.yml", env)
	want := Redis{URL: "rediss://app:s3cret@/2", Replicas: 1, Partitions: 8, BulkAfter: 1000,
		TLS:       &RedisTLS{CA: "testdata/secrets/ca.pem", Cert: "/etc/walbridge/client.pem", Key: "testdata/keys/client.key", ServerName: "redis.example.com", InsecureSkipVerify: true},
		Sentinel:  &RedisSentinel{Master: "sales", Addresses: []string{"s1.example.com:26379", "[::1]:26380"}, Password: "s3cret-token"},
		Retention: like.Retention, HighMark: like.HighMark, OnFull: like.OnFull}
	if err != nil || !reflect.DeepEqual(c.Redis, want) {
		t.Errorf("got %+v (%v), want %+v", c, err, want)
	}
	want = Redis{Cluster: []string{"n1.example.com:6379", "n2.example.com:6379"}, Partitions: 8, BulkAfter: 1000,
		Retention: like.Retention, HighMark: like.HighMark, OnFull: like.OnFull}
	if c := load(t, "redis-cluster.good.yml"); !reflect.DeepEqual(c.Redis, want) {
		t.Errorf("got %+v, want %+v", c.Redis, want)
	}
}

// What is not written, and what is written empty, keeps its default.
func TestDefaultsHold(t *testing.T) {
	for _, name := range []string{"minimal.good.yml", "empty-sections.good.yml"} {
		c, want := load(t, name), Default()
		want.Postgres.URL, want.Redis.URL, want.Mappings, want.Dir = c.Postgres.URL, "redis://127.0.0.1:6379/0", []string{"mappings/*.yaml"}, "testdata"
		crm := DefaultTarget("http")
		crm.Name, crm.URL = "crm", "https://crm.example.com/batch"
		want.Targets = []Target{crm}
		if !reflect.DeepEqual(c, want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, c, want)
		}
	}
	if c := load(t, "minimal.good.yml"); c.Postgres.URL.Reveal() != "postgres://app:s3cret-file@db.example.com/sales" || c.Postgres.Slot != "walbridge_walbridge" {
		t.Errorf("got slot %q", c.Postgres.Slot)
	}
}

// Targets of one account share the limits that one of them has.
func TestRateOfAnAccount(t *testing.T) {
	said, other := DefaultTarget(TypeHTTP), DefaultTarget(TypeHTTP)
	said.Name, said.Rate.Account, said.Rate.PerSecond = "b", "sf", 7
	other.Name, other.Rate.Account = "a", "sf"
	alone := DefaultTarget(TypeHTTP)
	alone.Name = "c"
	c := &Config{Targets: []Target{other, said, alone}}
	if r := c.RateOf("sf"); r.PerSecond != 7 || r.Account != "sf" || other.Account() != "sf" {
		t.Errorf("limits of sf %+v", r)
	}
	if r := c.RateOf(alone.Account()); r.PerSecond != 0 || r.Account != "c" || r.BulkFloor != 5 {
		t.Errorf("limits of c %+v", r)
	}
}

func TestAllMistakesAreTold(t *testing.T) {
	_, err := parse("w.yml", []byte("name: A\nredis: {partitions: 999, url: 'x'}\nlog: {level: loud}\nnmae: b\n"), testEnv)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 8 {
		t.Errorf("want 8 mistakes, got\n%v", err)
	}
}

func TestValidate(t *testing.T) {
	err := Default().Validate()
	for _, want := range []string{"postgres.url: no address", "redis.url: no address", "mappings: no mapping files", "targets: no target"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if err := load(t, "full.good.yml").Validate(); err != nil {
		t.Error(err)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load("testdata/none.yml", testEnv)
	if err == nil || err.Error() != "testdata/none.yml: cannot be read: no such file or directory; name the configuration with -c" {
		t.Errorf("got %v", err)
	}
}

func TestSecretHides(t *testing.T) {
	const s = Secret("s3cret")
	asJSON, err := json.Marshal(map[string]any{"a": s, "b": Target{URL: s, HTTP: HTTP{Headers: []Header{{"X", s}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "url", s, "target", Target{URL: s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "url", s, "target", Target{URL: s})
	texts := []string{string(asJSON), log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, Target{URL: s}), fmt.Sprintf(verb, &Config{Postgres: Postgres{URL: s}}))
	}
	for _, text := range texts {
		if strings.Contains(text, "s3cret") || strings.Contains(strings.ToLower(text), "733363726574") {
			t.Errorf("shown in %s", text)
		}
	}
	if s.Reveal() != "s3cret" || s.String() != "[hidden]" || Secret("").String() != "" {
		t.Error("Reveal or String is wrong")
	}
}

func TestRedacted(t *testing.T) {
	for in, want := range map[Secret]string{
		"postgres://app:s3cret@db:5432/sales?sslpassword=s3cret": "postgres://app:xxxxx@db:5432/sales",
		"postgres://app@db/sales":                                "postgres://app:xxxxx@db/sales",
		"redis://:s3cret@cache:6379/0":                           "redis://xxxxx@cache:6379/0",
		"redis://cache:6379/0":                                   "redis://cache:6379/0",
		"https://hooks.example.com/T0/s3cret?key=s3cret":         "https://hooks.example.com/…",
		"https://s3cret@api.example.com/":                        "https://xxxxx@api.example.com/",
		"postgres://app:s3cret%zz@db/sales":                      "[hidden]",
		"host=db port=5432 user=app password=s3cret dbname=x":    "host=db port=5432 user=app dbname=x",
		"host=db password='host=s3cret x'":                       "[hidden]",
		"s3cret":                                                 "[hidden]",
		"":                                                       "",
	} {
		if got := in.Redacted(); got != want {
			t.Errorf("Redacted(%s) = %s, want %s", in.Reveal(), got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"128MiB": 128 << 20, "1 GiB": 1 << 30, "5KB": 5000, "7B": 7, "2GB": 2e9} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "128", "128M", "-1MiB", "1.5MiB", "99999999999GiB", "MiB"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", in, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{"name: ${A:-b}", "postgres: {url: '$$'}", "targets: {a: {headers: {X: '${'}}}", "delivery:\n  queue_bytes: 9GiB\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("w.yml", data, testEnv)
		if err == nil && c.Validate() != nil {
			t.Fatalf("%q was taken but is not valid: %v", data, c.Validate())
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") && !strings.Contains(string(data), "s3cret") {
			t.Fatalf("%q shows a secret: %v", data, err)
		}
	})
}
