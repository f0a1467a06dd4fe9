package wire

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/state"
)

// ReplayPlan is what a replay means, as far as log and state tell.
type ReplayPlan struct {
	cdc.Replay
	// FromLSN and ToLSN are the range as LSNs of the source.
	FromLSN string `json:"from_lsn"`
	ToLSN   string `json:"to_lsn"`
	// Gone tells that the log does not reach back to the beginning.
	Gone bool `json:"beyond_the_log"`
	// Records are the rows that they are of, for each mapping; Requests the full batches that
	// they make at most. A target makes one request of a batch, and some several (a look-up, new
	// associations, removals).
	Records  int64 `json:"records"`
	Requests int64 `json:"requests"`
	// Newest of the records were last dealt with by a change of the range: they are mapped
	// again. Outside of it were Outside of them, Live are not dealt with yet.
	Newest  int64 `json:"newest"`
	Outside int64 `json:"outside"`
	Live    int64 `json:"live"`
}

// planPage is how many changes are looked up in the state at once.
const planPage = 500

// Plan says what a replay means. It reads all of the range.
func (r *Replays) Plan(ctx context.Context, q *ReplayRequest) (p *ReplayPlan, err error) {
	p = &ReplayPlan{}
	if p.Replay, err = r.spec(ctx, q); err != nil {
		return nil, err
	}
	epoch, _, err := r.log.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	p.FromLSN, p.ToLSN = redislog.SourceLSN(p.From.Next(), epoch.Base), redislog.SourceLSN(p.To, epoch.Base)
	if !p.From.IsZero() {
		if p.Gone, err = r.log.TrimmedAbove(ctx, p.From); err != nil {
			return nil, err
		}
	}
	tables, err := r.tables(&p.Replay)
	if err != nil {
		return nil, err
	}
	c, err := r.count(ctx, p, tables)
	p.Replay.Changes = c
	return p, err
}

// count reads the range and counts; it gives the number of changes.
func (r *Replays) count(ctx context.Context, p *ReplayPlan, tables map[cdc.Table][]string) (changes int64, err error) {
	store := state.New(state.Options{Client: r.log.Client(), Keys: r.log.Keys(), Target: p.Target, Partitions: r.log.Partitions()})
	defer func() { err = errors.Join(err, store.Close()) }()
	c := &replayCount{plan: p, view: store.View(), each: map[string]*distinct{}}
	err = r.log.Walk(ctx, redislog.Span{From: redislog.Bound{Position: p.From}, To: redislog.Bound{Position: p.To}}, func(m *cdc.Message) error {
		ch := &m.Change
		if !ch.Op.Keyed() || p.Key != "" && !cdc.SameKey(p.Key, ch.Key) {
			return nil
		}
		for _, name := range tables[ch.Table] {
			if !meantFor(ch.For, p.Target, name) {
				continue
			}
			c.places = append(c.places, state.Place{Key: state.Key{Mapping: name, Source: ch.Key}, Partition: m.Stream.Partition})
			c.at = append(c.at, ch.Position)
		}
		if len(c.places) < planPage {
			return nil
		}
		return c.page(ctx)
	})
	if err == nil {
		err = c.page(ctx)
	}
	if err != nil {
		return 0, err
	}
	batches, err := r.batches(p.Target)
	if err != nil {
		return 0, err
	}
	for name, d := range c.each {
		n, batch := d.count(), batches[name]
		p.Records += n
		p.Requests += (n + batch - 1) / batch
	}
	p.Outside, p.Live = c.outside.count(), c.live.count()
	return c.changes, nil
}

// batches are how many records a request to a target takes, by the names of its mappings.
func (r *Replays) batches(target string) (map[string]int64, error) {
	files, err := mapping.LoadGlob(r.cfg.Mappings, r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg, _ := r.cfg.Target(target) // who asks for the replay named one that is there
	client, err := vendors.Open(cfg, vendors.Stores{})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	out := map[string]int64{}
	for _, f := range files {
		if f.Target == target {
			out[f.Name] = int64(deliver.MostInBatch(f.Coalesce, client.Limits()))
		}
	}
	return out, nil
}

// replayCount counts the changes of a replay.
type replayCount struct {
	plan          *ReplayPlan
	changes       int64
	view          *state.View
	each          map[string]*distinct
	outside, live distinct

	places []state.Place
	at     []cdc.Position
}

// page counts what was read.
func (c *replayCount) page(ctx context.Context) error {
	known, err := c.view.Load(ctx, c.places)
	if err != nil {
		return err
	}
	for i, k := range known {
		of := c.places[i].Key
		c.changes++
		d := c.each[of.Mapping]
		if d == nil {
			d = &distinct{}
			c.each[of.Mapping] = d
		}
		d.add(of.Mapping, of.Source)
		switch at := c.at[i]; {
		case k.Seen == at:
			c.plan.Newest++
		case c.plan.To.Before(k.Seen):
			c.outside.add(of.Mapping, of.Source)
		case k.Seen.Before(at):
			c.live.add(of.Mapping, of.Source)
		}
	}
	c.places, c.at = c.places[:0], c.at[:0]
	return nil
}

// distinct counts how many different keys it was told of, in a bounded memory: exactly at
// first, then by one bit of a hash of each, with regard to how many fall together. A million
// are counted to within a few tenths of a per cent.
type distinct struct {
	few  map[uint64]struct{} // hashes
	bits []uint64
}

const (
	distinctFew = 100_000
	// distinctBits is how many bits there are: 2 MiB.
	distinctBits = 1 << 24
)

var distinctSeed = maphash.MakeSeed()

func (d *distinct) add(mapping, source string) {
	h := maphash.String(distinctSeed, mapping+"\x00"+source)
	if _, ok := d.few[h]; ok {
		return
	}
	switch {
	case d.bits != nil:
		d.set(h)
	case len(d.few) < distinctFew:
		if d.few == nil {
			d.few = map[uint64]struct{}{}
		}
		d.few[h] = struct{}{}
	default:
		d.bits = make([]uint64, distinctBits/64)
		for one := range d.few {
			d.set(one)
		}
		d.few = nil
		d.set(h)
	}
}

func (d *distinct) set(h uint64) {
	h %= distinctBits
	d.bits[h/64] |= 1 << (h % 64)
}

func (d *distinct) count() int64 {
	if d.bits == nil {
		return int64(len(d.few))
	}
	set := 0
	for _, w := range d.bits {
		set += bits.OnesCount64(w)
	}
	set = min(set, distinctBits-1)
	return int64(math.Round(-distinctBits * math.Log1p(-float64(set)/distinctBits)))
}

// Words says what a replay means, for people.
func (p *ReplayPlan) Words() []string {
	words := []string{
		fmt.Sprintf("from %s to %s", p.From.Next(), p.To),
		fmt.Sprintf("%d changes of %d records, in at most %d full batches", p.Changes, p.Records, p.Requests),
	}
	what := "sent if they come to something else than the target has"
	if p.Force {
		what = "sent whatever they come to"
	}
	words = append(words, fmt.Sprintf("%d records are as a change of this range left them: mapped again, and %s", p.Newest, what))
	if p.Outside > 0 {
		how := "read from the source as they are now, and " + what
		if p.Within {
			how = "left out"
		}
		words = append(words, fmt.Sprintf("%d records have changed since: %s", p.Outside, how))
	}
	if p.Live > 0 {
		words = append(words, fmt.Sprintf("%d records have changes that are not delivered yet: live delivery brings them", p.Live))
	}
	if p.Gone {
		words = append(words, "the log does not reach back to the beginning of this range any more")
	}
	return words
}
