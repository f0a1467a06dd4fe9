package check

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

func (r *Report) aspects(about string, list []Aspect) {
	for _, a := range list {
		if a.Trouble != nil {
			r.trouble(about, a.Trouble, "")
			continue
		}
		r.ok(about, a.Good)
	}
}

func (r *Report) postgres(p *Postgres) {
	if p.Err != nil {
		r.trouble(aboutPostgres, p.Err, "check that the server runs, and postgres.url")
		return
	}
	r.aspects(aboutPostgres, p.Needs)
	r.room(p)
	switch {
	case p.MaxKeep < 0:
		r.warn(aboutPostgres, "max_slot_wal_keep_size is -1: while walbridge is away the slot keeps WAL until the disk is full, and the database stops",
			fmt.Sprintf("ALTER SYSTEM SET max_slot_wal_keep_size = '%dMB'; SELECT pg_reload_conf(); (more than postgres.wal_budget, less than the disk has free)", max(1, 2*p.Budget>>20)))
	case p.MaxKeep < p.Budget:
		r.warn(aboutPostgres, fmt.Sprintf("max_slot_wal_keep_size is %s, less than postgres.wal_budget, which is %s: the server gives the slot up before anybody is warned", size(p.MaxKeep), size(p.Budget)),
			fmt.Sprintf("set postgres.wal_budget: %s, or raise max_slot_wal_keep_size", size(p.MaxKeep/2)))
	default:
		r.ok(aboutPostgres, fmt.Sprintf("max_slot_wal_keep_size is %s", size(p.MaxKeep)))
	}
	if p.SenderTimeout == 0 {
		r.warn(aboutPostgres, "wal_sender_timeout is 0: the server holds the slot for a connection whose other end is gone",
			"ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf();")
	} else {
		r.ok(aboutPostgres, fmt.Sprintf("wal_sender_timeout is %s", p.SenderTimeout))
	}
}

// room tells whether the server has a slot and connections for the capture.
func (r *Report) room(p *Postgres) {
	const senders = 2 // of each process that captures or waits to
	switch left := p.MaxSlots - p.Slots; {
	case p.Slot:
	case left <= 0:
		r.fail(aboutPostgres, fmt.Sprintf("all %d replication slots of the server are in use", p.MaxSlots),
			fmt.Sprintf("ALTER SYSTEM SET max_replication_slots = %d; and restart the server, or drop slots that nobody reads: SELECT slot_name, active FROM pg_replication_slots", p.Slots+1))
	default:
		r.ok(aboutPostgres, fmt.Sprintf("%d of %d replication slots are free", left, p.MaxSlots))
	}
	fix := fmt.Sprintf("ALTER SYSTEM SET max_wal_senders = %d; and restart the server", p.Senders+senders)
	switch left := p.MaxSenders - p.Senders; {
	case p.Active:
	case left <= 0:
		r.fail(aboutPostgres, fmt.Sprintf("all %d replication connections of the server (max_wal_senders) are in use", p.MaxSenders), fix)
	case left < senders:
		r.warn(aboutPostgres, fmt.Sprintf("one of %d replication connections (max_wal_senders) is free, and a capture may need two", p.MaxSenders), fix)
	default:
		r.ok(aboutPostgres, fmt.Sprintf("%d of %d replication connections are free", left, p.MaxSenders))
	}
}

// subject is a mapping as its table sees it.
type subject struct {
	name    string
	table   cdc.Table
	at      mapping.Place
	columns []string
	needed  []string // those without which a change has no record
	fits    bool     // it has no mistakes
}

// table looks at the table of a mapping.
func (r *Report) table(m *subject, p *Postgres) {
	if p == nil || p.Err != nil {
		return
	}
	t, ok := p.Tables[m.table]
	if !ok {
		return // told as a mistake of the file
	}
	say := func(level Level, what, fix string) { r.at(level, m.name, m.at, [2]string{what, fix}) }
	role := cdc.QuoteIdent(p.User)
	if t.Trouble != nil && m.fits { // else it may be one of its mistakes
		say(Fail, t.Trouble.What, t.Trouble.Hint)
	}
	if !t.Enter || !t.Read {
		var grants []string
		if !t.Enter {
			grants = append(grants, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s;", cdc.QuoteIdent(m.table.Schema), role))
		}
		if !t.Read {
			grants = append(grants, fmt.Sprintf("GRANT SELECT ON %s TO %s;", m.table, role))
		}
		say(Fail, fmt.Sprintf("role %s may not read table %s, which backfills and the delivery of large values do", p.User, m.table), strings.Join(grants, " "))
	}
	if t.Filtered {
		say(Fail, fmt.Sprintf("row level security of %s is for role %s too: its reads are refused, as hidden rows would count as deleted", m.table, p.User),
			fmt.Sprintf("ALTER ROLE %s BYPASSRLS;", role))
	}
	r.apart(m, &t)
}

// apart tells what comes of large values, which PostgreSQL leaves out of updates that do
// not change them. Where the table has some and the mapping needs the column, updates cost
// a read.
func (r *Report) apart(m *subject, t *Table) {
	var needed, left []string
	for _, c := range t.Apart {
		switch {
		case slices.Contains(m.needed, c):
			needed = append(needed, c)
		case slices.Contains(m.columns, c):
			left = append(left, c)
		}
	}
	if len(needed) > 0 && t.Large {
		r.at(Warn, m.name, m.at, [2]string{
			fmt.Sprintf("PostgreSQL leaves large values of %s out of updates that do not change them: as the mapping needs these columns, walbridge then reads the row from the table, in its state of then", strings.Join(needed, ", ")),
			fmt.Sprintf("none is needed; ALTER TABLE %s REPLICA IDENTITY FULL; has them sent, at the price of the whole old row in the WAL with every update and delete", m.table)})
	}
	if len(left) > 0 {
		r.at(OK, m.name, m.at, [2]string{fmt.Sprintf("large values of %s that an update does not change are not sent, and stay as they are at the target", strings.Join(left, ", ")), ""})
	}
}

// oldestRedis is the first version that the tests run on.
const oldestRedis = 7

func (r *Report) redis(x *Redis) {
	if x.Err != nil {
		r.trouble(aboutRedis, x.Err, "check that the server runs, and redis.url")
		return
	}
	for _, t := range x.Troubles {
		r.trouble(aboutRedis, t, "")
	}
	for _, s := range x.Servers {
		r.redisServer(s, x)
	}
	switch x.Durability {
	case "":
	case "none":
		r.warn(aboutRedis, "what is in the log is lost when the server ends, and then the tables are read again", x.Why)
	default:
		r.ok(aboutRedis, "the log is durable by "+x.Durability)
	}
}

func (r *Report) redisServer(s RedisServer, x *Redis) {
	if s.Silent {
		r.warn(aboutRedis, s.Address+" does not let us see version, memory and its policy, which must be noeviction", s.Hint)
		return
	}
	name, number, _ := strings.Cut(s.Version, " ")
	major, _, _ := strings.Cut(number, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldestRedis && name == "Redis" {
		r.warn(aboutRedis, fmt.Sprintf("%s is %s, which walbridge is not tested on", s.Address, s.Version), "use Redis 7.0 or newer, or Valkey")
	} else {
		r.ok(aboutRedis, fmt.Sprintf("%s is %s", s.Address, strings.TrimSpace(s.Version)))
	}
	if s.Policy == "noeviction" {
		r.ok(aboutRedis, "maxmemory-policy is noeviction")
	}
	usable := s.MaxMemory
	if x.HighMark > 0 {
		usable = s.MaxMemory / 100 * int64(x.HighMark)
	}
	switch {
	case s.MaxMemory == 0 && x.Retention == 0:
		r.warn(aboutRedis, s.Address+" has no maxmemory, and redis.retention.bytes is not set: only its age bounds the log, and the machine's memory",
			"CONFIG SET maxmemory to less than the machine has, and put it into redis.conf; or set redis.retention.bytes")
	case s.MaxMemory == 0:
		r.ok(aboutRedis, fmt.Sprintf("no maxmemory; redis.retention.bytes is %s", size(x.Retention)))
	case x.Retention > usable:
		r.warn(aboutRedis, fmt.Sprintf("redis.retention.bytes is %s, but maxmemory of %s is %s, of which redis.high_mark leaves %s to the log: less is kept",
			size(x.Retention), s.Address, size(s.MaxMemory), size(usable)),
			fmt.Sprintf("CONFIG SET maxmemory %d and put it into redis.conf, or set redis.retention.bytes to less than %s", maxMemoryFor(x), size(usable)))
	default:
		r.ok(aboutRedis, fmt.Sprintf("maxmemory is %s", size(s.MaxMemory)))
	}
}

// maxMemoryFor gives the least memory that the retention fits into.
func maxMemoryFor(x *Redis) int64 {
	if x.HighMark == 0 {
		return x.Retention
	}
	return (x.Retention/int64(x.HighMark) + 1) * 100
}

func (r *Report) target(t *Target, f *Facts) {
	about := "target " + t.Name
	mapped := Objects(f.Files, t.Name)
	var denied *sinks.Unauthorized
	var mistakes yamldoc.Errors
	r.settings(t, f)
	switch {
	case errors.As(t.Err, &mistakes):
		for _, e := range mistakes {
			r.mistake(about, e)
		}
		return
	case errors.As(t.Err, &denied):
		r.fail(about, denied.Error(), fmt.Sprintf("check the credentials in targets.%s", t.Name))
		return
	case t.Err != nil:
		r.trouble(about, t.Err, fmt.Sprintf("check targets.%s.url, and that the target runs", t.Name))
		return
	}
	if len(mapped) == 0 && f.FileErr == nil {
		r.warn(about, "no mapping leads to it", fmt.Sprintf("write to: %s/… in a mapping file, or take it out of targets", t.Name))
	}
	switch {
	case f.Offline && !t.Describes:
		r.ok(about, "nothing was saved of its objects: fields are not checked")
	case f.Offline:
		r.ok(about, "not looked at: offline; its objects are those that were saved")
	case !t.Describes:
		r.ok(about, "it can be reached; it does not tell its fields: not checked")
	default:
		r.ok(about, "it can be reached, and tells its fields")
	}
	for _, object := range mapped {
		var unknown *sinks.UnknownObject
		if err := t.Objects[object].Err; err != nil && !errors.As(err, &unknown) {
			r.trouble(about, fmt.Errorf("it does not tell the fields of %s: %w", object, err), fmt.Sprintf("check targets.%s.describe", t.Name))
		}
	}
}

// size writes a number of bytes as the configuration has them.
func size(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	if n > 10<<20 {
		return fmt.Sprintf("%dMiB", n>>20)
	}
	return fmt.Sprintf("%dB", n)
}
