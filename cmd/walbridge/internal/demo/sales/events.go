package sales

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The kinds of event that Totals counts.
const (
	LeadArrived    = "leads arrived"
	LeadWorked     = "leads worked"
	LeadConverted  = "leads converted"
	LeadLost       = "leads lost"
	DealOpened     = "deals opened"
	DealMoved      = "deals moved"
	DealEdited     = "deals edited"
	DealBurst      = "edit bursts"
	DealNoted      = "notes written"
	DealWon        = "deals won"
	DealLost       = "deals lost"
	DealReopened   = "deals reopened"
	DealDeleted    = "deals deleted"
	ActivityLogged = "activities"
	SplitEdited    = "splits edited"
	BookReassigned = "books reassigned"
	QuotaChanged   = "quotas changed"
	AccountRenamed = "accounts renamed"
	ContactEdited  = "contacts edited"
	ContactLeft    = "contacts left"
)

// event is something that happens now and then; do says which kind it became.
type event struct {
	weight int
	do     func(ctx context.Context, l *Life) (kind string, err error)
}

// events lists all that can happen; weights are parts of their sum.
func events() []event {
	return []event{
		{140, always(LeadArrived, (*Life).leadArrives)},
		{160, workLead},
		{40, always(DealOpened, (*Life).dealOpens)},
		{180, always(DealMoved, (*Life).dealMoves)},
		{110, always(DealEdited, (*Life).dealIsEdited)},
		{90, burst},
		{30, always(DealNoted, (*Life).dealIsNoted)},
		{30, always(DealWon, closes("won"))},
		{30, always(DealLost, closes("lost"))},
		{4, always(DealReopened, (*Life).dealReopens)},
		{10, always(DealDeleted, (*Life).dealIsDeleted)},
		{160, always(ActivityLogged, (*Life).activityIsLogged)},
		{40, always(SplitEdited, (*Life).splitIsEdited)},
		{4, always(BookReassigned, (*Life).bookIsReassigned)},
		{8, always(QuotaChanged, (*Life).quotaChanges)},
		{12, always(AccountRenamed, (*Life).accountIsRenamed)},
		{24, always(ContactEdited, (*Life).contactIsEdited)},
		{6, always(ContactLeft, (*Life).contactLeaves)},
	}
}

func kinds() []string {
	return []string{
		LeadArrived, LeadWorked, LeadConverted, LeadLost, DealOpened, DealMoved, DealEdited, DealBurst, DealNoted,
		DealWon, DealLost, DealReopened, DealDeleted, ActivityLogged, SplitEdited, BookReassigned, QuotaChanged,
		AccountRenamed, ContactEdited, ContactLeft,
	}
}

// draw picks an event by weight.
func (l *Life) draw() event {
	all := events()
	sum := 0
	for _, e := range all {
		sum += e.weight
	}
	at := l.fiction.IntN(sum)
	for _, e := range all {
		if at -= e.weight; at < 0 {
			return e
		}
	}
	return all[0]
}

// always makes an event of one transaction that has one outcome.
func always(kind string, f func(l *Life, ctx context.Context, w *work) error) func(context.Context, *Life) (string, error) {
	return func(ctx context.Context, l *Life) (string, error) {
		err := l.tx(ctx, func(ctx context.Context, w *work) error { return f(l, ctx, w) })
		if err != nil && !errors.Is(err, errNothing) {
			return "", fmt.Errorf("%s: %w", kind, err)
		}
		return kind, err
	}
}

// find gives the id of a row of a table that a condition holds for: the first
// one at or after a random id, else the first of all, which an index finds
// without counting the rows.
func (l *Life) find(ctx context.Context, w *work, table, condition string) (int64, error) {
	if condition == "" {
		condition = "true"
	}
	var last int64
	if err := w.tx.QueryRow(ctx, "select coalesce(max(id), 0) from "+table).Scan(&last); err != nil {
		return 0, fmt.Errorf("find in %s: %w", table, err)
	}
	from := 1 + l.fiction.Int64N(last+1)
	for _, start := range []int64{from, 0} {
		var id int64
		err := w.tx.QueryRow(ctx, "select id from "+table+" where id >= $1 and ("+condition+") order by id limit 1", start).Scan(&id)
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return 0, fmt.Errorf("find in %s: %w", table, err)
		}
	}
	return 0, errNothing
}

const (
	openLead = "status in ('new', 'contacted', 'qualified')"
	openDeal = "stage not in ('won', 'lost')"
)

func (l *Life) rep(ctx context.Context, w *work) (int64, error) {
	return l.find(ctx, w, "reps", "active")
}
