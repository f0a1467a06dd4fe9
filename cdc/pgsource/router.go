package pgsource

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgoutput"
)

// router finds the stream of each row, by the routing of the row's own Position.
// Positions rise within a session, so it only ever moves on.
type router struct {
	log  cdc.Log
	list []cdc.Routing // in the order of Above
	// resent is the highest Position of the log when the session began: what is not
	// above it may be there already.
	resent cdc.Position
	// now are the captured tables by their names at the source, as the configuration
	// has them.
	now map[uint32]cdc.Table
	// members are their memberships in the publication.
	members map[uint32]uint32
	// publication is the OID of that.
	publication uint32
	// fresh are the tables that were not in the publication when the session before
	// ended, by the names that the log has.
	fresh map[cdc.Table]bool

	rules map[string]laneRule // of list, by their texts

	at   int          // the routing that holds, an index of list
	next cdc.Position // where the one after it begins; the end of all if there is none

	lastRel *pgoutput.Relation
	last    *route // of lastRel; nil if it is not captured
}

// route is where the rows of a table go.
type route struct {
	table     cdc.RoutedTable
	name      string // of the table, as entries have it
	bulkAfter uint64
	rule      laneRule // nil where the table has none
}

var endOfAll = cdc.Position{LSN: 1<<64 - 1, Ordinal: 1<<64 - 1}

// newRouter makes the routing that is wanted the one that holds above all that the
// log has, and forgets those that nothing will be sent again by: nothing at or
// below confirmed, a log LSN, is. Where rules of the others cannot be compiled, the log
// stays as it is.
func newRouter(ctx context.Context, l cdc.Log, want cdc.Routing, confirmed cdc.LSN, compile CompileRules) (*router, error) {
	list, err := l.Routings(ctx)
	if err != nil {
		return nil, err
	}
	tail, err := l.Tail(ctx)
	if err != nil {
		return nil, err
	}
	now, members := map[uint32]cdc.Table{}, map[uint32]uint32{}
	for _, t := range want.Tables {
		now[t.OID], members[t.OID] = t.Name, t.Member
	}
	// By those that begin at the tail or above it nothing in the log was routed.
	n := len(list)
	for n > 0 && !list[n-1].Above.Before(tail) {
		n--
	}
	if err := keepKnown(list, n, &want); err != nil {
		return nil, err
	}
	kept := slices.Clone(list[:n])
	if n > 0 && list[n-1].Same(&want) { // but for what decides nothing
		want.Above = list[n-1].Above
		kept[n-1] = want
	} else {
		if len(list) > 0 {
			want.Above = tail
		}
		kept = append(kept, want)
	}
	for len(kept) > 1 && kept[1].Above.LSN < confirmed {
		kept = kept[1:]
	}
	rules, err := compileRules(kept, compile)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(kept, list) {
		if err := l.SetRoutings(ctx, kept); err != nil {
			return nil, err
		}
	}
	r := &router{log: l, list: kept, resent: tail, now: now, members: members, publication: want.Publication, fresh: freshIn(list, &want), rules: rules}
	r.place()
	return r, nil
}

// freshIn tells which tables of a routing were not captured before, or were taken out of
// the publication since. Before the first routing nobody knows: a start that was ended
// early may have made the slot.
func freshIn(list []cdc.Routing, want *cdc.Routing) map[cdc.Table]bool {
	out := map[cdc.Table]bool{}
	var last cdc.Routing
	if len(list) > 0 {
		last = list[len(list)-1]
	}
	for i := range want.Tables {
		t := &want.Tables[i]
		if old := last.Table(t.OID); old == nil || old.Member != 0 && old.Member != t.Member {
			out[t.Name] = true
		}
	}
	return out
}

// keepKnown gives tables that were captured before the names that the log knows them
// by: the partition of a key depends on it. And it gives them the keys that the stream
// does not tell as they were last routed by, which is not what the catalog says by now:
// rows from before the key was changed may be still to come. Of the routings rows were
// routed by the first n.
func keepKnown(list []cdc.Routing, n int, want *cdc.Routing) error {
	taken := map[cdc.Table]cdc.Table{}
	for i := range want.Tables {
		t := &want.Tables[i]
		now := t.Name
		for j := len(list) - 1; j >= 0; j-- {
			if old := list[j].Table(t.OID); old != nil {
				t.Name = old.Name
				if now != old.Name {
					t.Source = now
				}
				break
			}
		}
		if key := keyBefore(list, n, t.OID); key != nil {
			t.Key = key
		}
		if other, ok := taken[t.Name]; ok {
			return &cdc.SetupError{What: fmt.Sprintf("tables %s and %s are both %s to the log: one was renamed, the other took its name", other, now, t.Name),
				Hint: "map one of them only, or give the bridge a new name in the configuration, which starts a new log"}
		}
		taken[t.Name] = now
	}
	return nil
}

// keyBefore gives the last key of a table that the first n routings have, else the
// first that the others have.
func keyBefore(list []cdc.Routing, n int, oid uint32) (key []string) {
	for i := range list {
		if t := list[i].Table(oid); t != nil && len(t.Key) > 0 && (i < n || key == nil) {
			key = t.Key
		}
	}
	return key
}

// tables gives the OIDs of the captured tables by the names that the log has for them.
func (r *router) tables() map[cdc.Table]uint32 {
	out := map[cdc.Table]uint32{}
	for _, t := range r.list[len(r.list)-1].Tables {
		out[t.Name] = t.OID
	}
	return out
}

// place sets where the routing after the present one begins.
func (r *router) place() {
	r.next, r.lastRel = endOfAll, nil
	if r.at+1 < len(r.list) {
		r.next = r.list[r.at+1].Above
	}
}

// byOID gives the route of a table; nil if it is not captured.
func (r *router) byOID(oid uint32, pos cdc.Position) *route {
	r.moveTo(pos)
	t := r.list[r.at].Table(oid)
	if t == nil {
		return nil
	}
	return &route{table: *t, name: t.Name.String(), bulkAfter: r.list[r.at].BulkAfter, rule: r.rules[t.Rules]}
}

func (r *router) moveTo(pos cdc.Position) {
	for r.next.Before(pos) {
		r.at++
		r.place()
	}
}

// find gives the route of a row; nil if its table is not captured.
func (r *router) find(rel *pgoutput.Relation, pos cdc.Position) *route {
	r.moveTo(pos)
	if rel != r.lastRel {
		r.lastRel, r.last = rel, r.byOID(rel.OID, pos)
	}
	return r.last
}

// key gives the columns of a key that the stream does not tell, of a table with
// REPLICA IDENTITY FULL, for rows from a Position on, and above which Position that is
// to be asked again, whatever the stream says. The catalog tells what holds now, which
// may be later than the rows: what it says counts only above all that may be in the log
// already, and only where the rows have these columns. Otherwise the key is the one
// noted last that the rows have. None is empty. What is found is noted in the log
// before the first row is routed by it.
func (r *router) key(ctx context.Context, rel *pgoutput.Relation, from cdc.Position, ask func() ([]string, error)) ([]string, cdc.Position, error) {
	holds := cdc.RoutingAt(r.list, from)
	if holds == nil || holds.Table(rel.OID) == nil {
		return nil, r.border(from), nil // it is not captured
	}
	found := r.known(rel, from)
	if !r.resent.Before(from) {
		return found, r.border(from), nil
	}
	names, err := ask()
	if err != nil {
		return nil, endOfAll, err
	}
	if rel.Has(names) {
		found = names
	}
	if len(found) > 0 && !slices.Equal(holds.Table(rel.OID).Key, found) {
		err = r.note(ctx, rel.OID, from, found)
	}
	return found, r.border(from), err
}

// known gives the key noted last, of those that hold at a Position or below it, that a
// relation has.
func (r *router) known(rel *pgoutput.Relation, at cdc.Position) []string {
	for i := len(r.list) - 1; i >= 0; i-- {
		if t := r.list[i].Table(rel.OID); t != nil && r.list[i].Above.Before(at) && rel.Has(t.Key) {
			return t.Key
		}
	}
	return nil
}

// border gives the Position above which another routing than at this one holds.
func (r *router) border(at cdc.Position) cdc.Position {
	for i := range r.list {
		if !r.list[i].Above.Before(at) {
			return r.list[i].Above
		}
	}
	return endOfAll
}

// note makes a key part of the routing from a Position on, which is above all that was
// routed yet.
func (r *router) note(ctx context.Context, oid uint32, from cdc.Position, key []string) error {
	holds := cdc.RoutingAt(r.list, from)
	changed := cdc.Routing{Above: from.Prev(), BulkAfter: holds.BulkAfter, Publication: holds.Publication, Tables: slices.Clone(holds.Tables)}
	changed.Table(oid).Key = key
	list := append(slices.Clone(r.list), changed)
	if err := r.log.SetRoutings(ctx, list); err != nil {
		return err
	}
	r.list = list
	r.place()
	return nil
}
