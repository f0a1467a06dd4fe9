package pgsource

import (
	"context"
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
		case m.Now:
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
	for _, t := range slices.SortedFunc(maps.Keys(loads), cdc.Table.Compare) {
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
		list = append(list, b)
	}
	return log.StartMappings(ctx, begun, list)
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
