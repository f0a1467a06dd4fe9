package sales

import (
	"context"
	"fmt"
)

func (l *Life) dealOpens(ctx context.Context, w *work) error {
	account, err := l.find(ctx, w, "accounts", "")
	if err != nil {
		return err
	}
	owner, err := l.rep(ctx, w)
	if err != nil {
		return err
	}
	_, err = l.fiction.insertDeal(ctx, w, account, owner, openStages[l.fiction.IntN(2)])
	return err
}

// dealMoves puts a deal at another open stage, mostly the next one.
func (l *Life) dealMoves(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "opportunities", openDeal)
	if err != nil {
		return err
	}
	var stage string
	if err := w.tx.QueryRow(ctx, "select stage::text from opportunities where id = $1", id).Scan(&stage); err != nil {
		return fmt.Errorf("read deal: %w", err)
	}
	at := 0
	for i, s := range openStages {
		if s == stage {
			at = i
		}
	}
	if at == 0 || at < len(openStages)-1 && l.fiction.chance(0.75) {
		at++
	} else {
		at--
	}
	stage = openStages[at]
	return w.exec(ctx, `update opportunities set stage = $2, probability = $3, amount = least(9999999.99, round(amount * $4::numeric, 2)), updated_at = now()
		where id = $1`, id, stage, probabilities[stage], fmt.Sprintf("%d.%02d", l.fiction.IntN(2), 50+l.fiction.IntN(50)))
}

func (l *Life) dealIsEdited(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "opportunities", openDeal)
	if err != nil {
		return err
	}
	return l.edit(ctx, w, id)
}

// edit changes one thing of a deal, and never the notes.
func (l *Life) edit(ctx context.Context, w *work, id int64) error {
	f := l.fiction
	switch f.IntN(5) {
	case 0:
		return w.exec(ctx, "update opportunities set next_step = $2, updated_at = now() where id = $1", id, pick(f, nextSteps))
	case 1:
		return w.exec(ctx, "update opportunities set close_date = $2, next_step = null, updated_at = now() where id = $1", id, f.date(365))
	case 2:
		custom, err := f.custom()
		if err != nil {
			return err
		}
		return w.exec(ctx, "update opportunities set custom = $2, updated_at = now() where id = $1", id, custom)
	case 3:
		return w.exec(ctx, "update opportunities set probability = $2, updated_at = now() where id = $1", id, 5*f.IntN(20))
	}
	return w.exec(ctx, "update opportunities set amount = $2, updated_at = now() where id = $1", id, money(f.cents(1_000, 250_000)))
}

// burst is somebody who saves a form again and again: several transactions on
// one deal, without a pause.
func burst(ctx context.Context, l *Life) (string, error) {
	var id int64
	for i := range 4 + l.fiction.IntN(7) {
		err := l.tx(ctx, func(ctx context.Context, w *work) error {
			if i == 0 {
				found, err := l.find(ctx, w, "opportunities", openDeal)
				if err != nil {
					return err
				}
				id = found
			}
			return l.edit(ctx, w, id)
		})
		if err != nil {
			return "", err
		}
	}
	return DealBurst, nil
}

func (l *Life) dealIsNoted(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "opportunities", openDeal)
	if err != nil {
		return err
	}
	return w.exec(ctx, "update opportunities set notes = $2, updated_at = now() where id = $1", id, l.fiction.notes())
}

// closes ends a deal as won or lost.
func closes(stage string) func(*Life, context.Context, *work) error {
	return func(l *Life, ctx context.Context, w *work) error {
		id, err := l.find(ctx, w, "opportunities", openDeal)
		if err != nil {
			return err
		}
		return w.exec(ctx, `update opportunities set stage = $2, probability = $3, closed_at = now(), next_step = null, updated_at = now()
			where id = $1`, id, stage, probabilities[stage])
	}
}

func (l *Life) dealReopens(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "opportunities", "stage in ('won', 'lost')")
	if err != nil {
		return err
	}
	return w.exec(ctx, `update opportunities set stage = 'negotiation', probability = 75, closed_at = null, updated_at = now()
		where id = $1`, id)
}

func (l *Life) dealIsDeleted(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "opportunities", "")
	if err != nil {
		return err
	}
	return w.exec(ctx, "delete from opportunities where id = $1", id)
}

// activityIsLogged also touches the deal, as triggers of CRM packages do.
func (l *Life) activityIsLogged(ctx context.Context, w *work) error {
	f := l.fiction
	id, err := l.find(ctx, w, "opportunities", openDeal)
	if err != nil {
		return err
	}
	err = w.exec(ctx, `insert into activities (opportunity_id, rep_id, kind, subject, minutes, done)
		select id, owner_id, $2::activity_kind, $3, $4, $5 from opportunities where id = $1`,
		id, pick(f, []string{"call", "email", "meeting", "task"}), pick(f, subjects), f.IntN(90), f.chance(0.8))
	if err != nil {
		return fmt.Errorf("insert activity: %w", err)
	}
	return w.exec(ctx, "update opportunities set last_activity_at = now(), updated_at = now() where id = $1", id)
}

// splitIsEdited shares a deal with one rep more, or changes the shares.
func (l *Life) splitIsEdited(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "opportunities", openDeal)
	if err != nil {
		return err
	}
	rep, err := l.rep(ctx, w)
	if err != nil {
		return err
	}
	share := money(l.fiction.cents(5, 50))
	err = w.exec(ctx, `insert into opportunity_splits (opportunity_id, rep_id, percent) values ($1, $2, $3)
		on conflict (opportunity_id, rep_id) do update set percent = excluded.percent, updated_at = now()`, id, rep, share)
	if err != nil {
		return fmt.Errorf("write split: %w", err)
	}
	if l.fiction.chance(0.3) {
		return w.exec(ctx, "delete from opportunity_splits where opportunity_id = $1 and rep_id <> $2", id, rep)
	}
	return w.exec(ctx, `update opportunity_splits set percent = greatest(1, round(percent * 0.9, 2)), updated_at = now()
		where opportunity_id = $1 and rep_id <> $2`, id, rep)
}
