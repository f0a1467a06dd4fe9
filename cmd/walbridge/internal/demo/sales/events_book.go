package sales

import (
	"context"
	"fmt"
)

// bookIsReassigned gives all open deals of a rep to another in one statement,
// and the accounts in a second one of the same transaction.
func (l *Life) bookIsReassigned(ctx context.Context, w *work) error {
	from, err := l.rep(ctx, w)
	if err != nil {
		return err
	}
	to, err := l.rep(ctx, w)
	if err != nil {
		return err
	}
	if from == to {
		return errNothing
	}
	err = w.exec(ctx, "update opportunities set owner_id = $2, updated_at = now() where owner_id = $1 and "+openDeal, from, to)
	if err != nil {
		return fmt.Errorf("reassign deals: %w", err)
	}
	return w.exec(ctx, "update accounts set owner_id = $2, updated_at = now() where owner_id = $1", from, to)
}

func (l *Life) quotaChanges(ctx context.Context, w *work) error {
	rep, err := l.rep(ctx, w)
	if err != nil {
		return err
	}
	quarter := firstDay.AddDate(0, 3*l.fiction.IntN(4), 0)
	return w.exec(ctx, "update quotas set amount = $3, updated_at = now() where rep_id = $1 and quarter = $2",
		rep, quarter, money(l.fiction.cents(100_000, 900_000)))
}

func (l *Life) accountIsRenamed(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "accounts", "")
	if err != nil {
		return err
	}
	return w.exec(ctx, "update accounts set name = $2, tags = $3, updated_at = now() where id = $1",
		id, l.fiction.company(), l.fiction.tags())
}

func (l *Life) contactIsEdited(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "contacts", "")
	if err != nil {
		return err
	}
	return w.exec(ctx, "update contacts set phone = $2, opted_out = $3, title = $4, updated_at = now() where id = $1",
		id, l.fiction.phone(), l.fiction.chance(0.2), pick(l.fiction, titles))
}

func (l *Life) contactLeaves(ctx context.Context, w *work) error {
	id, err := l.find(ctx, w, "contacts", "")
	if err != nil {
		return err
	}
	return w.exec(ctx, "delete from contacts where id = $1", id)
}
