package sales

import (
	"context"
	_ "embed" // for schema.sql
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schemaSQL string

// Types lists the types that the schema makes.
func Types() []string {
	return []string{"public.lead_status", "public.deal_stage", "public.activity_kind"}
}

// marker is the comment on the table reps by which the demo knows its own
// database again.
const marker = "walbridge demo: sales database, version 1"

// Tables lists the tables of the demo, schema-qualified, sorted.
func Tables() []string {
	return []string{
		"public.accounts", "public.activities", "public.contacts", "public.leads", "public.opportunities",
		"public.opportunity_splits", "public.quotas", "public.reps",
	}
}

// How many rows a new database starts with.
const (
	seedReps     = 24
	seedAccounts = 200
	seedContacts = 500
	seedLeads    = 150
	seedDeals    = 500
)

// Create makes the tables in schema public and fills them with made-up rows,
// the same for the same seed, all in one transaction. It leaves a database that
// it made before as it is, and refuses one whose tables of these names are
// somebody else's.
func Create(ctx context.Context, conn *pgx.Conn, seed uint64) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin sales database: %w", err)
	}
	if err := create(ctx, tx, seed); err != nil {
		if rerr := tx.Rollback(ctx); rerr != nil && !conn.IsClosed() {
			return fmt.Errorf("create sales database: %w; roll back: %w", err, rerr)
		}
		return fmt.Errorf("create sales database: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit sales database: %w", err)
	}
	return nil
}

func create(ctx context.Context, tx pgx.Tx, seed uint64) error {
	// Two demos that start at once make it one after the other.
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('walbridge demo sales'))"); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	done, err := created(ctx, tx)
	if err != nil || done {
		return err
	}
	if err := makeTables(ctx, tx); err != nil {
		return err
	}
	return seedRows(ctx, &work{tx: tx}, newFiction(seed))
}

func makeTables(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "set local search_path = public;\n"+schemaSQL); err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	if _, err := tx.Exec(ctx, "comment on table public.reps is '"+marker+"'"); err != nil {
		return fmt.Errorf("mark database: %w", err)
	}
	return nil
}

// created tells whether the database is the demo's already; tables of the same
// names that are not are an error, for Life would change them.
func created(ctx context.Context, tx pgx.Tx) (bool, error) {
	var there []string
	var comment string
	err := tx.QueryRow(ctx, `select
		coalesce((select array_agg(t order by t) from unnest($1::text[]) t where to_regclass(t) is not null), '{}'),
		coalesce(obj_description(to_regclass('public.reps')), '')`, Tables()).Scan(&there, &comment)
	if err != nil {
		return false, fmt.Errorf("look for tables: %w", err)
	}
	switch {
	case len(there) == 0:
		return false, nil
	case comment == marker && len(there) == len(Tables()):
		return true, nil
	}
	return false, fmt.Errorf("%s: a table of this name is there and was not made by this demo; give it an empty database",
		strings.Join(there, ", "))
}

func seedRows(ctx context.Context, w *work, f fiction) error {
	reps, err := seedTeam(ctx, w, f)
	if err != nil {
		return err
	}
	accounts := make([]int64, seedAccounts)
	for i := range accounts {
		if accounts[i], err = f.insertAccount(ctx, w, f.company(), pick(f, reps)); err != nil {
			return err
		}
	}
	for range seedContacts {
		if _, err := f.insertContact(ctx, w, pick(f, accounts)); err != nil {
			return err
		}
	}
	for range seedLeads {
		owner := pick(f, reps)
		if _, err := f.insertLead(ctx, w, &owner); err != nil {
			return err
		}
	}
	stages := append([]string{"won", "lost"}, openStages...)
	for range seedDeals {
		if _, err := f.insertDeal(ctx, w, pick(f, accounts), pick(f, reps), pick(f, stages)); err != nil {
			return err
		}
	}
	return nil
}

// seedTeam makes the reps, three of them managers, and a quota for each quarter.
func seedTeam(ctx context.Context, w *work, f fiction) ([]int64, error) {
	reps := make([]int64, seedReps)
	for i := range reps {
		var manager *int64
		if i >= len(regions) {
			manager = &reps[i%len(regions)]
		}
		id, err := w.insert(ctx, `insert into reps (name, email, region, manager_id, hired_on)
			values ($1, $2, $3, $4, $5) returning id`,
			pick(f, firstNames)+" "+pick(f, lastNames), fmt.Sprintf("rep%02d@sales.example", i+1),
			regions[i%len(regions)], manager, f.date(300).AddDate(-3, 0, 0))
		if err != nil {
			return nil, fmt.Errorf("insert rep: %w", err)
		}
		reps[i] = id
		for q := range 4 {
			err := w.exec(ctx, `insert into quotas (rep_id, quarter, amount) values ($1, $2, $3)`,
				id, firstDay.AddDate(0, 3*q, 0), money(f.cents(100_000, 900_000)))
			if err != nil {
				return nil, fmt.Errorf("insert quota: %w", err)
			}
		}
	}
	return reps, nil
}
