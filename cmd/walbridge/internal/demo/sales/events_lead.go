package sales

import (
	"context"
	"errors"
	"fmt"
)

func (l *Life) leadArrives(ctx context.Context, w *work) error {
	var owner *int64
	if l.fiction.chance(0.6) {
		id, err := l.rep(ctx, w)
		if err != nil {
			return err
		}
		owner = &id
	}
	_, err := l.fiction.insertLead(ctx, w, owner)
	return err
}

// workLead moves a lead one step: contacted, qualified, converted, or lost.
func workLead(ctx context.Context, l *Life) (kind string, err error) {
	err = l.tx(ctx, func(ctx context.Context, w *work) error {
		id, err := l.find(ctx, w, "leads", openLead)
		if err != nil {
			return err
		}
		var status string
		var owner *int64
		if err := w.tx.QueryRow(ctx, "select status::text, owner_id from leads where id = $1", id).Scan(&status, &owner); err != nil {
			return fmt.Errorf("read lead: %w", err)
		}
		if owner == nil {
			rep, err := l.rep(ctx, w)
			if err != nil {
				return err
			}
			owner = &rep
		}
		if l.fiction.chance(0.2) {
			kind = LeadLost
			return w.exec(ctx, "update leads set status = 'lost', owner_id = $2, updated_at = now() where id = $1", id, *owner)
		}
		kind = LeadWorked
		switch status {
		case "new":
			return w.exec(ctx, `update leads set status = 'contacted', owner_id = $2, first_touch_at = now(), updated_at = now() where id = $1`, id, *owner)
		case "contacted":
			return w.exec(ctx, `update leads set status = 'qualified', score = greatest(score, $2), updated_at = now() where id = $1`, id, 40+l.fiction.IntN(61))
		}
		kind = LeadConverted
		return l.convertLead(ctx, w, id, *owner)
	})
	if err != nil && !errors.Is(err, errNothing) {
		return "", fmt.Errorf("%s: %w", LeadWorked, err)
	}
	return kind, err
}

// convertLead makes an account, a contact and a deal of a lead.
func (l *Life) convertLead(ctx context.Context, w *work, lead, owner int64) error {
	var company string
	if err := w.tx.QueryRow(ctx, "select trim(company) from leads where id = $1", lead).Scan(&company); err != nil {
		return fmt.Errorf("read lead: %w", err)
	}
	account, err := l.fiction.insertAccount(ctx, w, company, owner)
	if err != nil {
		return err
	}
	contact, err := l.fiction.insertContact(ctx, w, account)
	if err != nil {
		return err
	}
	if _, err := l.fiction.insertDeal(ctx, w, account, owner, "prospecting"); err != nil {
		return err
	}
	return w.exec(ctx, `update leads set status = 'converted', converted_account_id = $2, converted_contact_id = $3, updated_at = now()
		where id = $1`, lead, account, contact)
}
