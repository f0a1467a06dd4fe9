package deliver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/queue"
)

const (
	// completeTimeout bounds one read of the source, completeBudget those of a job:
	// its other records are not committed before.
	completeTimeout = 2 * time.Second
	completeBudget  = 3 * completeTimeout
	// sourceFresh is how long an answer of the source counts as proof that it is
	// there.
	sourceFresh = time.Minute
)

// complete reads the rows of items from the source and fills their absent columns.
// One key that the source cannot answer for holds up neither the others nor the
// target; what could not be completed goes back with a back-off of its own.
func (j *job) complete(ctx context.Context, items []*item) {
	if j.s.e.o.Completer == nil {
		for _, it := range items {
			j.parkUnresolved(it)
		}
		return
	}
	for _, it := range items {
		it.fate, it.after, it.why = again, backOff(recordWaits, max(2, it.entry.Attempts)), "its row could not be read from the source"
	}
	whole, cancel := context.WithTimeout(ctx, completeBudget)
	defer cancel()
	rand.Shuffle(len(items), func(a, b int) { items[a], items[b] = items[b], items[a] })
	var alone []*item
	j.readRows(whole, items, &alone)
	// Of a source that is away nobody is to blame.
	if ctx.Err() != nil || time.Now().UnixNano()-j.s.e.sourceAt.Load() > int64(sourceFresh) {
		return
	}
	for _, it := range alone {
		if it.entry.Attempts+1 >= j.s.e.o.MaxAttempts {
			j.parkUnresolved(it)
		} else {
			it.counted = true
		}
	}
}

// readRows completes items, and halves of them where the source does not answer
// for all. Those that it does not answer for one by one go to alone; two of them
// without any answer end the search.
func (j *job) readRows(ctx context.Context, items []*item, alone *[]*item) {
	if ctx.Err() != nil || len(*alone) > 1 && !j.completed {
		return
	}
	const what = "complete rows from the source"
	keys, xids := make([]string, len(items)), make([]uint64, len(items))
	for i, it := range items {
		keys[i], xids[i] = it.change.Key, it.change.XID
	}
	once, cancel := context.WithTimeout(ctx, completeTimeout)
	rows, err := j.s.e.o.Completer.Complete(once, j.mapper.Table(), keys, xids)
	cancel()
	if err == nil {
		j.completed = true
		j.s.e.sourceAt.Store(time.Now().UnixNano())
		j.s.e.log.works(what)
		for _, it := range items {
			it.fate = undecided
			j.completeOne(it, rows[it.change.Key])
		}
		return
	}
	if j.s.ctx.Err() == nil {
		j.s.e.log.fails(what, err)
	}
	if len(items) == 1 {
		*alone = append(*alone, items[0])
		return
	}
	half := len(items) / 2
	j.readRows(ctx, items[:half], alone)
	j.readRows(ctx, items[half:], alone)
}

// completeOne fills the absent columns of an item from its row, and maps it.
func (j *job) completeOne(it *item, row string) {
	if it.change.Op == cdc.OpSweep { // is it gone, or was it only not seen?
		if it.change.Op = cdc.OpUpdate; row == "" {
			it.change.Op, it.completed = cdc.OpDelete, true
			if !j.mapOne(it) {
				j.vanished(it)
			}
			return
		}
	}
	if row == "" {
		// The row is gone, its delete follows. Until then nothing absent may be
		// taken for known.
		if !it.known.Seen.Before(it.change.Position) {
			it.fate = stale
			return
		}
		it.filter()
		it.write.Lacking = true
		return
	}
	if it.change.After == "" {
		it.change.After = row
	} else {
		values := map[string]string{}
		err := cdc.EachColumn(row, func(name string, v cdc.Value) bool {
			values[name] = v.JSON()
			return true
		})
		if err != nil {
			j.parkUnmapped(it, err)
			return
		}
		// All that the newest change did not send is filled: what older ones gave
		// may have been overtaken. So are columns that the row did not have yet.
		newest := it.row.Newest()
		for _, name := range it.needed {
			if !slices.Contains(newest.Absent, name) {
				newest.Absent = append(slices.Clone(newest.Absent), name)
			}
		}
		it.change = queue.Fill(newest, values)
	}
	it.completed = true
	if !j.mapOne(it) {
		j.vanished(it)
	}
}

// vanished is what becomes of an item whose row at the source lacks a column that
// the mapping needs: it was dropped or renamed. No record of the mapping can be
// made until somebody mends it; nothing is parked, and nothing is lost.
func (j *job) vanished(it *item) {
	it.fate = again
	j.stop(haltOf(&sinks.Misconfigured{
		Err:  fmt.Errorf("table %s has no column %s any more", j.mapper.Table(), strings.Join(it.needed, ", ")),
		Hint: "correct the mapping file and start again; its changes wait in the log"}))
}

func (j *job) parkUnresolved(it *item) {
	columns := it.needed
	if len(columns) == 0 {
		columns = it.change.Absent
	}
	j.park(time.Now(), it, "unresolved", &sinks.Unresolved{Columns: columns})
}
