package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks/deliver"
)

// repair has what was found be read and delivered again, waits for that, and looks at it
// once more.
func (v *verifier) repair(ctx context.Context) error {
	var ids []string
	for _, t := range v.tables {
		for _, m := range t.mappings {
			for keys := range slices.Chunk(v.mappings[m].report.wrong, keysMost) {
				spec, err := v.backfills.Add(ctx, Request{Table: t.table.String(), Keys: keys, For: []string{m.Target() + "/" + m.Name()}, Reason: cdc.ReasonVerify})
				if err != nil {
					return fmt.Errorf("repair mapping %s: %w", m.Name(), err)
				}
				ids = append(ids, spec.ID)
			}
		}
	}
	if err := v.ended(ctx, ids); err != nil {
		return err
	}
	for _, t := range v.tables {
		for _, m := range t.mappings {
			r := &v.mappings[m].report
			for _, key := range r.wrong {
				v.settling.doubt(m, key, doubted[suspicion]{opinion: suspicion{standing: deliver.Stale}})
			}
			r.repairing()
		}
	}
	return v.settling.all(ctx)
}

// ended waits until backfills have ended, as the capture works on them.
func (v *verifier) ended(ctx context.Context, ids []string) error {
	for {
		list, err := v.backfills.List(ctx)
		if err != nil {
			return err
		}
		open, failed := 0, []string{}
		for i := range list {
			if !slices.Contains(ids, list[i].ID) {
				continue
			}
			switch s := list[i].Progress.State; {
			case s == cdc.BackfillFailed:
				failed = append(failed, list[i].ID+": "+list[i].Progress.Note)
			case !s.Final():
				open++
			}
		}
		switch {
		case len(failed) > 0:
			return errors.New("the repair could not be read: backfill " + strings.Join(failed, "; backfill "))
		case open == 0:
			return nil
		}
		if err := cdc.Sleep(ctx, settleEvery); err != nil {
			return fmt.Errorf("wait for the repair: %w; it goes on, and walbridge backfill list shows it", err)
		}
	}
}
