package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc/redislog"
)

// Worker is a process that delivers to a target, or waits to.
type Worker struct {
	// Name is the owner's name in the leases.
	Name string `json:"-"`
	// Since is when it came, by its own clock.
	Since time.Time `json:"since"`
	// Mappings are the names of those that it knows.
	Mappings []string `json:"mappings"`
	// Address is where its console listens; empty if it does not.
	Address string `json:"address,omitempty"`
	// Lease is for how long it counts as there when it is heard of; Meet sets it.
	Lease time.Duration `json:"lease,omitempty"`
	// Quiet is how long ago it was heard of; only Look tells.
	Quiet time.Duration `json:"-"`
}

// Meeting is what is known of all who deliver to a target.
type Meeting struct {
	// Workers are those that were heard of lately, the oldest first.
	Workers []Worker
	// Owners are the names of those that own the partitions; empty where nobody does.
	Owners []string
}

// meetScript notes that a worker is there, for as long as a lease would last, or that it
// is gone. By the clock of the server, so that those of the workers need not agree.
// KEYS: workers. ARGV: its name, for how many milliseconds, what it says of itself; without that
// it is gone. Output: names and what they say.
var meetScript = redis.NewScript(`
local time = redis.call('TIME')
redis.call('HDEL', KEYS[1], '\0none')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == '' then
	redis.call('HDEL', KEYS[1], ARGV[1])
else
	redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])) .. ' ' .. ARGV[3])
	redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) * 10)
end
local out, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
	local till, about = string.match(all[i + 1], '^(%d+) (.*)$')
	if not till or tonumber(till) <= now then
		redis.call('HDEL', KEYS[1], all[i])
	else
		out[#out + 1] = all[i]
		out[#out + 1] = about
	end
end
return out
`)

// Meet notes that this worker is there, and tells who else is and who owns what. It is not
// of one moment: who is not there any more may still own something, and what nobody owns
// may be taken before it is asked for.
func (s *Store) Meet(ctx context.Context, me Worker) (m Meeting, err error) {
	me.Lease = s.o.TTL
	about, err := json.Marshal(&me)
	if err != nil {
		return m, fmt.Errorf("encode worker: %w", err)
	}
	pipe := s.rdb.Pipeline()
	there := meetScript.Eval(ctx, pipe, []string{s.o.Keys.Workers(s.o.Target)}, s.o.Owner, s.o.TTL.Milliseconds(), about)
	leases := leasesIn(ctx, pipe, s.o.Keys, s.o.Target, s.o.Partitions)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return m, fmt.Errorf("meet the workers of target %s: %w", s.o.Target, err)
	}
	texts, err := there.StringSlice()
	if err == nil {
		m.Workers, err = workersOf(texts)
	}
	if err != nil {
		return m, fmt.Errorf("meet the workers of target %s: %w", s.o.Target, err)
	}
	m.Owners, err = ownersOf(leases)
	return m, err
}

// Leave notes that this worker takes no more partitions: others may have its share.
func (s *Store) Leave(ctx context.Context) error {
	if err := meetScript.Run(ctx, s.rdb, []string{s.o.Keys.Workers(s.o.Target)}, s.o.Owner, 0, "").Err(); err != nil {
		return fmt.Errorf("leave the workers of target %s: %w", s.o.Target, err)
	}
	return nil
}

// Meet is that of the store.
func (c *Claim) Meet(ctx context.Context, me Worker) (Meeting, error) { return c.s.Meet(ctx, me) }

// Leave is that of the store.
func (c *Claim) Leave(ctx context.Context) error { return c.s.Leave(ctx) }

// Look tells what Meet does, from outside: it notes nothing.
func Look(ctx context.Context, client redis.UniversalClient, keys redislog.Keys, target string, partitions int) (m Meeting, err error) {
	pipe := client.Pipeline()
	there := pipe.HGetAll(ctx, keys.Workers(target))
	now := pipe.Time(ctx)
	leases := leasesIn(ctx, pipe, keys, target, partitions)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return m, fmt.Errorf("look at the workers of target %s: %w", target, err)
	}
	var texts []string
	left := map[string]time.Duration{}
	for name, text := range there.Val() {
		till, about, _ := strings.Cut(text, " ")
		if ms, err := strconv.ParseInt(till, 10, 64); err == nil && ms > now.Val().UnixMilli() {
			texts = append(texts, name, about)
			left[name] = time.UnixMilli(ms).Sub(now.Val())
		}
	}
	if m.Workers, err = workersOf(texts); err == nil {
		m.Owners, err = ownersOf(leases)
	}
	for i := range m.Workers {
		w := &m.Workers[i]
		w.Quiet = max(0, w.Lease-left[w.Name])
	}
	return m, err
}

func leasesIn(ctx context.Context, pipe redis.Pipeliner, keys redislog.Keys, target string, partitions int) []*redis.StringCmd {
	out := make([]*redis.StringCmd, partitions)
	for p := range out {
		out[p] = pipe.Get(ctx, keys.Lease(target, p))
	}
	return out
}

func ownersOf(leases []*redis.StringCmd) ([]string, error) {
	out := make([]string, len(leases))
	for p, l := range leases {
		lease, err := l.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("read lease of partition %d: %w", p, err)
		}
		_, out[p], _ = strings.Cut(lease, " ")
	}
	return out, nil
}

func workersOf(texts []string) ([]Worker, error) {
	var out []Worker
	for i := 0; i+1 < len(texts); i += 2 {
		w := Worker{Name: texts[i]}
		if err := json.Unmarshal([]byte(texts[i+1]), &w); err != nil {
			return nil, fmt.Errorf("read what worker %s says of itself: %w", w.Name, err)
		}
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b Worker) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out, nil
}

// Of gives the partitions that a worker owns.
func (m *Meeting) Of(name string) (out []int) {
	for p, o := range m.Owners {
		if o == name {
			out = append(out, p)
		}
	}
	return out
}
