package sales

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// open stages in their order; a deal moves among them until it is won or lost.
var openStages = []string{"prospecting", "qualification", "proposal", "negotiation"}

var probabilities = map[string]int{
	"prospecting": 10, "qualification": 25, "proposal": 50, "negotiation": 75, "won": 100, "lost": 0,
}

// work is a transaction that counts the rows it changes.
type work struct {
	tx   pgx.Tx
	rows int64
}

// exec runs a statement that changes rows.
func (w *work) exec(ctx context.Context, sql string, args ...any) error {
	tag, err := w.tx.Exec(ctx, sql, args...)
	if err != nil {
		return err
	}
	w.rows += tag.RowsAffected()
	return nil
}

// insert runs an INSERT that returns an id.
func (w *work) insert(ctx context.Context, sql string, args ...any) (int64, error) {
	var id int64
	if err := w.tx.QueryRow(ctx, sql, args...).Scan(&id); err != nil {
		return 0, err
	}
	w.rows++
	return id, nil
}

func (f fiction) insertAccount(ctx context.Context, w *work, name string, owner int64) (int64, error) {
	custom, err := f.custom()
	if err != nil {
		return 0, err
	}
	var employees *int
	if f.chance(0.8) {
		n := 5 + f.IntN(20_000)
		employees = &n
	}
	var revenue, website *string
	if f.chance(0.7) {
		s := money(f.cents(100_000, 2_000_000_000))
		revenue = &s
	}
	if f.chance(0.8) {
		s := fmt.Sprintf("https://firm%05d.example/?a=1&b=<2>", f.IntN(100_000))
		website = &s
	}
	id, err := w.insert(ctx, `insert into accounts
		(uid, name, industry, employees, annual_revenue, website, owner_id, tags, custom, active)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning id`,
		f.uuid(), name, pick(f, industries), employees, revenue, website, owner, f.tags(), custom, f.chance(0.9))
	if err != nil {
		return 0, fmt.Errorf("insert account: %w", err)
	}
	return id, nil
}

func (f fiction) insertContact(ctx context.Context, w *work, account int64) (int64, error) {
	var title *string
	if f.chance(0.8) {
		s := pick(f, titles)
		title = &s
	}
	id, err := w.insert(ctx, `insert into contacts (account_id, first_name, last_name, email, phone, title, opted_out)
		values ($1, $2, $3, $4, $5, $6, $7) returning id`,
		account, pick(f, firstNames), pick(f, lastNames), f.email("firm"), f.phone(), title, f.chance(0.1))
	if err != nil {
		return 0, fmt.Errorf("insert contact: %w", err)
	}
	return id, nil
}

func (f fiction) insertLead(ctx context.Context, w *work, owner *int64) (int64, error) {
	company := f.company()
	if f.chance(0.2) {
		company = "  " + company + " "
	}
	id, err := w.insert(ctx, `insert into leads (first_name, last_name, company, email, source, score, owner_id, tags)
		values ($1, $2, $3, $4, $5, $6, $7, $8) returning id`,
		pick(f, firstNames), pick(f, lastNames), company, f.email("mail"), pick(f, sources), f.IntN(101), owner, f.tags())
	if err != nil {
		return 0, fmt.Errorf("insert lead: %w", err)
	}
	return id, nil
}

// insertDeal makes an opportunity at a stage, with the owner's split.
func (f fiction) insertDeal(ctx context.Context, w *work, account, owner int64, stage string) (int64, error) {
	custom, err := f.custom()
	if err != nil {
		return 0, err
	}
	name := fmt.Sprintf("%s for %d seats", pick(f, products), 1+f.IntN(500))
	id, err := w.insert(ctx, `insert into opportunities
		(account_id, owner_id, name, stage, amount, probability, close_date, custom, notes, closed_at)
		values ($1, $2, $3, $4::deal_stage, $5, $6, $7, $8, $9, case when $4::deal_stage in ('won', 'lost') then now() end) returning id`,
		account, owner, name, stage, money(f.cents(1_000, 250_000)), probabilities[stage], f.date(365), custom, f.notes())
	if err != nil {
		return 0, fmt.Errorf("insert opportunity: %w", err)
	}
	if err := w.exec(ctx, `insert into opportunity_splits (opportunity_id, rep_id, percent) values ($1, $2, 100)`, id, owner); err != nil {
		return 0, fmt.Errorf("insert split: %w", err)
	}
	return id, nil
}
