package pgsource

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walbridge/walbridge/cdc"
)

// starter asks for the backfills that mappings start with.
type starter struct {
	capture *Capture
	names   map[cdc.Table]cdc.Table // the log's names of the captured tables
	fresh   map[cdc.Table]bool      // not captured before, by those
	// waiting are the mappings that the delivery to their target does not know yet.
	waiting []string
}

func newStarter(c *Capture, r *router) *starter {
	s := &starter{capture: c, names: map[cdc.Table]cdc.Table{}, fresh: r.fresh}
	for _, t := range r.list[len(r.list)-1].Tables {
		s.names[r.now[t.OID]] = t.Name
	}
	return s
}

// start asks for the backfills of the mappings that the log does not know as started,
// and forgets those that are not configured any more: what changes without them has to
// be made up for when they come back. That is why it is always a generation: of rows
// that were deleted meanwhile there is no change, either.
//
// A mapping that the delivery does not know, as its process still has the files of
// before, waits: its rows would pass it by.
func (s *starter) start(ctx context.Context, conn *pgx.Conn) error {
	log := s.capture.log
	started, err := log.Started(ctx)
	if err != nil {
		return err
	}
	readers, err := log.Readers(ctx)
	if err != nil {
		return err
	}
	rowless, err := log.WithoutRows(ctx)
	if err != nil {
		return err
	}
	left := maps.Clone(started)
	captured, shared := map[cdc.Table]bool{}, map[cdc.Table]bool{}
	var begun, waiting []string
	loads := map[cdc.Table][]string{}
	for _, m := range s.capture.source.options.Mappings {
		delete(left, m.Name)
		target, mapping, _ := strings.Cut(m.Name, "/")
		switch known, reads := readers[target]; {
		case started[m.Name]:
			captured[m.Table], shared[m.Table] = true, true
		case reads && !slices.Contains(known, mapping):
			waiting = append(waiting, m.Name)
			shared[m.Table] = true
		case m.Now, rowless[m.Name]:
			begun = append(begun, m.Name)
			shared[m.Table] = true
		default:
			begun = append(begun, m.Name)
			loads[m.Table] = append(loads[m.Table], m.Name)
		}
	}
	if len(left) > 0 {
		if err := log.ForgetStarted(ctx, slices.Sorted(maps.Keys(left))); err != nil {
			return err
		}
	}
	s.tellWaiting(waiting)
	if len(begun) == 0 {
		return nil
	}
	after, err := nextXID(ctx, conn)
	if err != nil {
		return err
	}
	var list []cdc.Backfill
	ids := map[cdc.Table]string{}
	for t, parents := range parentsFirst(loads, s.capture.source.options.Mappings) {
		b := cdc.Backfill{ID: cdc.NewBackfillID(), Table: t, Generation: true, Reason: cdc.ReasonStart, Created: time.Now().UTC()}
		if name, ok := s.names[t]; ok {
			b.Table = name
		}
		// What transactions of now write to a table that has just come into the publication
		// is in neither chunk nor stream (design, section 4; tried).
		if s.fresh[b.Table] || !captured[t] {
			b.After = after
		}
		if shared[t] {
			b.For = loads[t]
		}
		for _, parent := range parents {
			b.Behind = append(b.Behind, ids[parent])
		}
		ids[t] = b.ID
		list = append(list, b)
	}
	return log.StartMappings(ctx, begun, list)
}

// parentsFirst gives the tables that are loaded, those that others refer to first, each
// with those that it has to wait for. Where tables refer to each other in a circle, one
// of them is first.
func parentsFirst(loads map[cdc.Table][]string, mappings []Start) iter.Seq2[cdc.Table, []cdc.Table] {
	tables := map[string]cdc.Table{}
	for _, m := range mappings {
		tables[m.Name] = m.Table
	}
	refers := map[cdc.Table][]cdc.Table{}
	for _, m := range mappings {
		for _, p := range m.Parents {
			if t, ok := tables[p]; ok && t != m.Table && loads[t] != nil && !slices.Contains(refers[m.Table], t) {
				refers[m.Table] = append(refers[m.Table], t)
			}
		}
	}
	return func(yield func(cdc.Table, []cdc.Table) bool) {
		seen, given := map[cdc.Table]bool{}, map[cdc.Table]bool{}
		var visit func(cdc.Table) bool
		visit = func(t cdc.Table) bool {
			if seen[t] {
				return true
			}
			seen[t] = true
			for _, p := range refers[t] {
				if !visit(p) {
					return false
				}
			}
			given[t] = true
			return yield(t, slices.DeleteFunc(slices.Clone(refers[t]), func(p cdc.Table) bool { return !given[p] }))
		}
		for _, t := range slices.SortedFunc(maps.Keys(loads), cdc.Table.Compare) {
			if !visit(t) {
				return
			}
		}
	}
}

// tellWaiting says once which mappings wait for the delivery.
func (s *starter) tellWaiting(waiting []string) {
	for _, m := range waiting {
		if !slices.Contains(s.waiting, m) {
			target, _, _ := strings.Cut(m, "/")
			s.capture.source.logger.Warn("the delivery does not know the mapping yet, so its table is not read yet",
				"mapping", m, "hint", "start the delivery to target "+target+" again, with the same mapping files")
		}
	}
	s.waiting = waiting
}
