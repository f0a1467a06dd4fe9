package check

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

var deals = cdc.Table{Schema: "public", Name: "deals"}

func columns() *mapping.MemoryCatalog {
	return &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{deals: {
		{Name: "id", Type: "bigint", NotNull: true, Key: true},
		{Name: "name", Type: "text"},
		{Name: "code", Type: "character varying(20)", NotNull: true},
		{Name: "amount", Type: "numeric(12,2)", NotNull: true},
		{Name: "seats", Type: "integer", NotNull: true},
		{Name: "won", Type: "boolean", NotNull: true},
		{Name: "day", Type: "date", NotNull: true},
		{Name: "at", Type: "timestamp with time zone", NotNull: true},
		{Name: "local", Type: "timestamp without time zone", NotNull: true},
		{Name: "tags", Type: "text[]", NotNull: true},
		{Name: "custom", Type: "jsonb", NotNull: true},
		{Name: "word", Type: "text", NotNull: true}, {Name: "parent", Type: "bigint"},
	}}, TargetNames: []string{"crm"}}
}

// compiled gives facts with mapping files, by name and text, and what is wrong with them.
func compiled(t *testing.T, files ...string) *Facts {
	t.Helper()
	f := &Facts{Config: "walbridge.yaml", Compiled: true}
	for i, text := range files {
		file, err := mapping.Parse(fmt.Sprintf("m%d.yaml", i), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f.Files = append(f.Files, file)
	}
	f.Mappings, f.FileErr = mapping.CompileAll(f.Files, columns())
	return f
}

// wantFindings wants each text, as level, about, what and fix are written, in any order,
// and no other finding that is not ok.
func wantFindings(t *testing.T, r *Report, want ...string) {
	t.Helper()
	var have []string
	for _, f := range r.Findings {
		if f.Level != OK {
			have = append(have, line(f))
		}
	}
	if len(have) != len(want) {
		t.Errorf("%d findings, want %d:\n%s", len(have), len(want), strings.Join(have, "\n"))
	}
	for _, w := range want {
		found := false
		for _, h := range have {
			found = found || strings.Contains(h, w)
		}
		if !found {
			t.Errorf("no finding %q among\n%s", w, strings.Join(have, "\n"))
		}
	}
}

func line(f Finding) string {
	return fmt.Sprintf("%s | %s | %s | %s", f.Level, f.About, f.What, f.Fix)
}

func wantOK(t *testing.T, r *Report, want ...string) {
	t.Helper()
	var all strings.Builder
	for _, f := range r.Findings {
		all.WriteString(line(f) + "\n")
	}
	for _, w := range want {
		if !strings.Contains(all.String(), w) {
			t.Errorf("no finding %q among\n%s", w, all.String())
		}
	}
}

// healthy is a server on which nothing is wrong.
func healthy() *Postgres {
	return &Postgres{
		User: "walbridge", Needs: []Aspect{{Good: "wal_level is logical"}},
		Slots: 1, MaxSlots: 10, Senders: 0, MaxSenders: 10, MaxKeep: 20 << 30, Budget: 10 << 30, SenderTimeout: time.Minute,
		Tables: map[cdc.Table]Table{deals: {Enter: true, Read: true}},
	}
}

const plain = "from: public.deals\nto: crm/Deal\nkey: {Id: id}\nfields: {Name: name, Code: code}\n"

func TestPostgres(t *testing.T) {
	t.Parallel()
	trouble := &cdc.SetupError{What: "wal_level = replica", Hint: "ALTER SYSTEM"}
	table := func(change func(*Table)) func(*Postgres) {
		return func(p *Postgres) {
			one := p.Tables[deals]
			change(&one)
			p.Tables[deals] = one
		}
	}
	for name, c := range map[string]struct {
		change func(*Postgres)
		want   []string
	}{
		"healthy":    {func(*Postgres) {}, nil},
		"away":       {func(p *Postgres) { p.Err = errors.New("refused") }, []string{"fail | postgres | refused | check that the server runs"}},
		"a need":     {func(p *Postgres) { p.Needs = append(p.Needs, Aspect{Trouble: trouble}) }, []string{"fail | postgres | wal_level = replica | ALTER SYSTEM"}},
		"no slot":    {func(p *Postgres) { p.Slots = 10 }, []string{"fail | postgres | all 10 replication slots of the server are in use | ALTER SYSTEM SET max_replication_slots = 11;"}},
		"our slot":   {func(p *Postgres) { p.Slots, p.Slot = 10, true }, nil},
		"no sender":  {func(p *Postgres) { p.Senders = 10 }, []string{"fail | postgres | all 10 replication connections of the server (max_wal_senders) are in use | ALTER SYSTEM SET max_wal_senders = 12;"}},
		"one sender": {func(p *Postgres) { p.Senders = 9 }, []string{"warn | postgres | one of 10 replication connections"}},
		"our sender": {func(p *Postgres) { p.Senders, p.Active = 10, true }, nil},
		"unbounded":  {func(p *Postgres) { p.MaxKeep = -1 }, []string{"warn | postgres | max_slot_wal_keep_size is -1: while walbridge is away the slot keeps WAL until the disk is full, and the database stops | ALTER SYSTEM SET max_slot_wal_keep_size = '20480MB'; SELECT pg_reload_conf();"}},
		"too small":  {func(p *Postgres) { p.MaxKeep = 4 << 30 }, []string{"warn | postgres | max_slot_wal_keep_size is 4GiB, less than postgres.wal_budget, which is 10GiB: the server gives the slot up before anybody is warned | set postgres.wal_budget: 2GiB"}},
		"no timeout": {func(p *Postgres) { p.SenderTimeout = 0 }, []string{"warn | postgres | wal_sender_timeout is 0: the server holds the slot for a connection whose other end is gone | ALTER SYSTEM SET wal_sender_timeout = '60s';"}},
		"unreadable": {table(func(x *Table) { x.Enter, x.Read = false, false }), []string{"fail | mapping m0 | role walbridge may not read table public.deals, which backfills and the delivery of large values do | GRANT USAGE ON SCHEMA public TO walbridge; GRANT SELECT ON public.deals TO walbridge;"}},
		"filtered":   {table(func(x *Table) { x.Filtered = true }), []string{"fail | mapping m0 | row level security of public.deals is for role walbridge too: its reads are refused, as hidden rows would count as deleted | ALTER ROLE walbridge BYPASSRLS;"}},
		"no key":     {table(func(x *Table) { x.Trouble = trouble }), []string{"fail | mapping m0 | wal_level = replica"}},
		"apart":      {table(func(x *Table) { x.Apart, x.Large = []string{"name", "code", "custom"}, true }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := compiled(t, plain)
			f.Postgres = healthy()
			c.change(f.Postgres)
			wantFindings(t, Run(f), c.want...)
		})
	}
	quoted := compiled(t, plain)
	quoted.Postgres = healthy()
	quoted.Postgres.User, quoted.Postgres.Tables[deals] = "Wal Bridge", Table{Enter: true}
	wantFindings(t, Run(quoted), `| GRANT SELECT ON public.deals TO "Wal Bridge";`)
}

// A log that another server filled may be that of another bridge.
func TestSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server, log string
		want        []string
	}{
		{"7", "7", nil}, {"7", "", nil}, {"", "7", nil},
		{"8", "7", []string{"warn | postgres | the log in Redis was filled from another server (system 7, this is 8): a start takes this one for its restore"}},
	} {
		f := compiled(t, plain)
		f.Postgres, f.Redis = healthy(), &Redis{Durability: "waitaof", SystemID: c.log}
		f.Postgres.SystemID = c.server
		wantFindings(t, Run(f), c.want...)
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Redis)
		want   []string
	}{
		"healthy": {func(*Redis) {}, nil},
		"away": {func(x *Redis) {
			x.Err = &cdc.SetupError{What: "redis cannot be used", Err: errors.New("refused"), Hint: "look"}
		}, []string{"fail | redis | redis cannot be used: refused | look"}},
		"evicts":    {func(x *Redis) { x.Troubles = []*cdc.SetupError{{What: "allkeys-lru", Hint: "noeviction"}} }, []string{"fail | redis | allkeys-lru | noeviction"}},
		"forgets":   {func(x *Redis) { x.Durability, x.Why = "none", "set appendonly yes in redis.conf" }, []string{"warn | redis | what is in the log is lost when the server ends, and then the tables are read again | set appendonly yes in redis.conf"}},
		"old":       {func(x *Redis) { x.Servers[0].Version = "Redis 6.2.1" }, []string{"warn | redis | r:6379 is Redis 6.2.1, which walbridge is not tested on | use Redis 7.0 or newer, or Valkey"}},
		"valkey":    {func(x *Redis) { x.Servers[0].Version = "Valkey 8.0.1" }, nil},
		"silent":    {func(x *Redis) { x.Servers[0] = RedisServer{Address: "r:6379", Silent: true, Hint: "ACL"} }, []string{"warn | redis | r:6379 does not let us see version, memory and its policy, which must be noeviction | ACL"}},
		"unbounded": {func(x *Redis) { x.Retention, x.Servers[0].MaxMemory = 0, 0 }, []string{"warn | redis | r:6379 has no maxmemory, and redis.retention.bytes is not set"}},
		"by us":     {func(x *Redis) { x.Servers[0].MaxMemory = 0 }, nil},
		"by itself": {func(x *Redis) { x.Retention = 0 }, nil},
		"no mark":   {func(x *Redis) { x.HighMark, x.Retention = 0, 3<<30 }, []string{"CONFIG SET maxmemory 3221225472"}},
		"does not fit": {func(x *Redis) { x.Retention = 2 << 30 }, []string{
			"warn | redis | redis.retention.bytes is 2GiB, but maxmemory of r:6379 is 2GiB, of which redis.high_mark leaves 1638MiB to the log: less is kept | CONFIG SET maxmemory 2684354600 and put it into redis.conf, or set redis.retention.bytes to less than 1638MiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := compiled(t, plain)
			f.Redis = &Redis{Durability: "waitaof", Retention: 1 << 30, HighMark: 80, Servers: []RedisServer{{Address: "r:6379", Version: "Redis 7.2.0", Policy: "noeviction", MaxMemory: 2 << 30}}}
			c.change(f.Redis)
			wantFindings(t, Run(f), c.want...)
		})
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target Target
		want   []string
		ok     string
	}{
		"silent":       {Target{Name: "crm"}, nil, "ok | target crm | it can be reached; it does not tell its fields: not checked"},
		"away":         {Target{Name: "crm", Err: errors.New("refused")}, []string{"fail | target crm | refused | check targets.crm.url, and that the target runs"}, ""},
		"not set up":   {Target{Name: "crm", Err: &cdc.SetupError{What: "it is not set up", Err: errors.New("bad"), Hint: "correct it"}}, []string{"fail | target crm | it is not set up: bad | correct it"}, ""},
		"unauthorized": {Target{Name: "crm", Err: &sinks.Unauthorized{Err: errors.New("h answered 401")}}, []string{"fail | target crm | h answered 401 | check the credentials in targets.crm"}, ""},
		"broken": {Target{Name: "crm", Describes: true, Objects: map[string]Object{"Deal": {Err: errors.New("no JSON")}}},
			[]string{"fail | target crm | it does not tell the fields of Deal: no JSON | check targets.crm.describe"}, "ok | target crm | it can be reached, and tells its fields"},
		"no object": {Target{Name: "crm", Describes: true, Objects: map[string]Object{"Deal": {Err: &sinks.UnknownObject{Object: "Deal", Known: []string{"Deals", "Account"}}}}},
			[]string{`fail | mapping m0 | target crm has no object "Deal" | did you mean Deals?`}, ""},
		"nothing known": {Target{Name: "crm", Describes: true, Objects: map[string]Object{"Deal": {Err: &sinks.UnknownObject{Object: "Deal"}}}},
			[]string{`fail | mapping m0 | target crm has no object "Deal" | check its name at the target`}, ""},
		"mistake": {Target{Name: "crm", Err: yamldoc.Errors{{File: "w.yaml", Line: 9, Column: 13, Path: "targets.crm.preset", Msg: "no such preset", Value: "reest", Hint: "did you mean rest?"}}},
			[]string{`fail | target crm | targets.crm.preset: no such preset "reest" | did you mean rest?`}, ""},
		"too large a batch": {Target{Name: "crm", MaxBatch: 500, MostInBatch: 100}, []string{"warn | target crm | max_batch: 500 has no effect: a request to it has at most 100 records | write max_batch: 100 or less, or take it out"}, ""},
		"no batches":        {Target{Name: "crm", MaxBatch: 2, MostInBatch: 1}, []string{"warn | target crm | max_batch: 2 has no effect: a request to it has at most 1 record | take it out"}, ""},
		"batch":             {Target{Name: "crm", MaxBatch: 100, MostInBatch: 100}, nil, ""},
		"not named": {Target{Name: "crm", Named: []string{"Account", "Deals"}},
			[]string{"warn | mapping m0 | targets.crm.objects has no Deal, which is sent as it is, in place of what stands for it | did you mean Deals?"}, ""},
		"far from named": {Target{Name: "crm", Named: []string{"Account"}},
			[]string{"warn | mapping m0 | targets.crm.objects has no Deal, which is sent as it is, in place of what stands for it | add it there, or write one of those that there are: Account"}, ""},
		"named":  {Target{Name: "crm", Named: []string{"Deal"}}, nil, ""},
		"unused": {Target{Name: "crm2"}, []string{"warn | target crm2 | no mapping leads to it | write to: crm2/… in a mapping file, or take it out of targets"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := compiled(t, plain)
			f.Targets = []Target{c.target}
			r := Run(f)
			wantFindings(t, r, c.want...)
			wantOK(t, r, c.ok)
		})
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	f := compiled(t, strings.Replace(plain, "name,", "nmae,", 1), strings.Replace(plain, "Name: name", "Total: total", 1), strings.Replace(plain, "Id: id", "Other: id", 1), plain)
	f.Postgres = healthy()
	f.Postgres.Tables[deals] = Table{Enter: true, Generated: map[string]string{"total": "(amount * 2)"}}
	r := Run(f)
	wantFindings(t, r,
		`fail | mapping m0 | fields.Name: unknown column "nmae" | did you mean name?`,
		`fail | mapping m1 | fields.Total: public.deals computes the column, and PostgreSQL does not send it: "total" | write its expression in the mapping; PostgreSQL has (amount * 2)`,
		"fail | mapping m0 | role walbridge may not read", "fail | mapping m1 | role walbridge may not read", "fail | mapping m2 | role", "fail | mapping m3 | role",
		"warn | mapping m3 | it writes crm/Deal by the key Id, and mapping m2 by Other: one record may be made twice | write key: {Other: …} in both")
	for _, x := range r.Findings {
		if strings.Contains(x.What, "nmae") && (x.Place != "m0.yaml:4:16" || !strings.Contains(x.Excerpt, "fields: {Name: nmae")) {
			t.Errorf("the place is %q, the excerpt\n%s", x.Place, x.Excerpt)
		}
	}

	f = &Facts{ConfigErr: yamldoc.Errors{{File: "walbridge.yaml", Line: 2, Column: 3, Path: "postgres.url", Msg: "missing", Hint: "write it"}}, FileErr: errors.New("broken"), Compiled: true}
	wantFindings(t, Run(f), "fail | configuration | postgres.url: missing | write it", "fail | mappings | broken")
	f = compiled(t, plain)
	f.Compiled, f.Mappings = false, nil
	wantFindings(t, Run(f), "warn | mappings | they are not held against tables, which are not known | see to postgres")
	f = compiled(t, plain)
	f.Offline, f.CatalogErr, f.Saved = true, &cdc.SetupError{What: "no catalog.json", Hint: "save one"}, "catalog.json"
	f.Targets = []Target{{Name: "crm"}}
	r = Run(f)
	wantFindings(t, r, "fail | configuration | no catalog.json | save one")
	wantOK(t, r, "ok | postgres | not looked at: offline", "ok | redis | not looked at: offline", "ok | target crm | nothing was saved of its objects", "ok | configuration | wrote catalog.json")
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := &Report{}
	r.ok("postgres", "wal_level is logical")
	r.warn("redis", "it forgets", "set appendonly yes")
	r.add(Finding{Level: Fail, About: "mapping deals", What: "field Nmae is not one", Fix: "did you mean Name?", Place: "deals.yaml:4:9", Excerpt: "  4 | fields:\n    | ^"})
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `ok    postgres       wal_level is logical
warn  redis          it forgets
      fix: set appendonly yes
fail  mapping deals  deals.yaml:4:9: field Nmae is not one
      4 | fields:
        | ^
      fix: did you mean Name?
1 ok, 1 to look at, 1 to mend
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// Large values cost a read where the mapping needs them, and the table has some.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file  string
		large bool
		want  string
	}{
		"left alone":     {plain, true, "ok | mapping m0 | large values of name, code that an update does not change are not sent, and stay as they are at the target"},
		"joined":         {strings.Replace(plain, "Name: name", "Name: name + code", 1), true, "warn | mapping m0 | PostgreSQL leaves large values of name, code out of updates that do not change them: as the mapping needs these columns, walbridge then reads the row from the table, in its state of then | none is needed; ALTER TABLE public.deals REPLICA IDENTITY FULL;"},
		"a condition":    {plain + "when: name != nil\n", true, "warn | mapping m0 | PostgreSQL leaves large values of name out of updates"},
		"none is there":  {plain + "when: name != nil\n", false, "ok | mapping m0 | large values of code"},
		"none is mapped": {"from: public.deals\nto: crm/Deal\nkey: {Id: id}\nfields: {Amount: amount}\n", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := compiled(t, c.file)
			f.Postgres = healthy()
			one := f.Postgres.Tables[deals]
			one.Apart, one.Large = []string{"name", "code", "custom"}, c.large
			f.Postgres.Tables[deals] = one
			var got []string
			for _, x := range Run(f).Findings {
				if l := line(x); strings.Contains(l, "large values") {
					got = append(got, l)
				}
			}
			if all := strings.Join(got, "\n"); !strings.Contains(all, c.want) || c.want == "" && all != "" {
				t.Errorf("got\n%s\nwant %s", all, c.want)
			}
		})
	}
}
