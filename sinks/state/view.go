package state

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// View reads the state of a target beside its owners, and writes nothing. What it reads of
// several keys is not of one moment.
type View struct{ c *Claim }

// View gives one. It does not connect.
func (s *Store) View() *View { return &View{s.NewClaim()} }

// Load reads what is known of keys, in the order of the places.
func (v *View) Load(ctx context.Context, places []Place) ([]Loaded, error) {
	return v.c.Load(ctx, places)
}

// Scan gives some of the keys of a partition of which something is known, about count, and
// the cursor of the next, as Claim.Scan does.
func (v *View) Scan(ctx context.Context, partition int, cursor uint64, count int64) ([]Found, uint64, error) {
	if err := v.look(ctx, partition); err != nil {
		return nil, 0, err
	}
	found, next, err := v.c.Scan(ctx, partition, cursor, count)
	if err != nil { // its owner may have given a number since
		if err := v.look(ctx, partition); err != nil {
			return nil, 0, err
		}
		found, next, err = v.c.Scan(ctx, partition, cursor, count)
	}
	return found, next, err
}

// Deferred reads what waits aside of keys, in the order of the places; what does not wait has
// no Entry.
func (v *View) Deferred(ctx context.Context, places []Place) ([]Deferred, error) {
	out := make([]Deferred, 0, len(places))
	for _, p := range places {
		list, err := v.c.LoadDeferred(ctx, p.Partition, []Key{p.Key})
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// Columns are the columns of the source keys of a mapping, as a partition knows them; none
// where nothing of it is known there.
func (v *View) Columns(ctx context.Context, partition int, mapping string) ([]string, error) {
	if err := v.look(ctx, partition); err != nil {
		return nil, err
	}
	n := v.c.namesOf(partition)
	for i := n.count(); i > 0; i-- { // the last given is of the table as it is
		name, _ := n.at(i)
		of, parts, ok := strings.Cut(name, "\x00")
		if !ok || of != kindMapping+mapping || parts == "" {
			continue
		}
		var columns []string
		for part := range strings.SplitSeq(parts, "\x00") {
			var column string
			if err := json.Unmarshal([]byte(strings.Trim(part, "{,:")), &column); err != nil {
				return nil, fmt.Errorf("read the names of partition %d: %w", partition, err)
			}
			columns = append(columns, column)
		}
		return columns, nil
	}
	return nil, nil
}

// look reads the names of a partition: its owner gives new ones all the time.
func (v *View) look(ctx context.Context, partition int) error {
	o := v.c.s.o
	marks, err := v.c.s.rdb.HGetAll(ctx, o.Keys.State(o.Target, partition)).Result()
	if err != nil {
		return fmt.Errorf("look at the state of partition %d: %w", partition, err)
	}
	n, _ := v.c.known(partition)
	_, err = v.c.look(partition, n, marks)
	return err
}

// Mappings are those of which a partition knows keys, or knew some, in order.
func (v *View) Mappings(ctx context.Context, partition int) (out []string, err error) {
	if err := v.look(ctx, partition); err != nil {
		return nil, err
	}
	n := v.c.namesOf(partition)
	for i := 1; i <= n.count(); i++ {
		name, _ := n.at(i)
		of, _, ok := strings.Cut(name, "\x00")
		if mapping, is := strings.CutPrefix(of, kindMapping); ok && is && !slices.Contains(out, mapping) {
			out = append(out, mapping)
		}
	}
	slices.Sort(out)
	return out, nil
}
