package sales

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/apd/v3"
	"github.com/jackc/pgx/v5"
)

// check says in SQL what one kind of target object should hold: a key as text
// and an object of fields for each row.
type check struct {
	name, app, object string
	sql               string
}

// The object that the sums of won deals are taken from.
const (
	wonApp    = "commission"
	wonObject = "Deal"
)

// checks mirror the mapping files, on purpose in another language.
func checks() []check {
	return []check{
		{"leads-to-crm", "crm", "Lead", `select id::text, jsonb_build_object(
			'FirstName', first_name, 'LastName', last_name, 'Company', trim(company), 'Email', lower(email),
			'LeadSource', source, 'Status', status, 'Score__c', score,
			'Rating', case when score >= 80 then 'Hot' when score >= 50 then 'Warm' else 'Cold' end,
			'Rep__c', owner_id, 'Tags__c', nullif(array_to_string(tags, ';'), ''),
			'First_Touch__c', (first_touch_at at time zone 'UTC')::date, 'Created__c', (created_at at time zone 'UTC')::date) from leads`},
		{"accounts-to-crm", "crm", "Account", `select id::text, jsonb_build_object(
			'Uid__c', uid, 'Name', name, 'Industry', industry, 'NumberOfEmployees', employees, 'AnnualRevenue', annual_revenue,
			'Website', website, 'Rep__c', owner_id, 'Tags__c', nullif(array_to_string(tags, ';'), ''),
			'Seats__c', custom->'seats', 'Discount__c', custom->'discount', 'Competitor__c', custom->'competitor',
			'Active__c', active) from accounts`},
		{"contacts-to-crm", "crm", "Contact", `select id::text, jsonb_build_object(
			'AccountId', account_id, 'FirstName', first_name, 'LastName', last_name, 'Email', lower(email),
			'Phone', phone, 'Title', coalesce(title, 'unknown'), 'Reachable__c', not opted_out) from contacts`},
		{"opportunities-to-crm", "crm", "Opportunity", `select id::text, jsonb_build_object(
			'Name', name, 'AccountId', account_id, 'Rep__c', owner_id, 'StageName', stage, 'Amount', amount,
			'Probability', probability, 'CloseDate', close_date, 'NextStep', next_step, 'Seats__c', custom->'seats',
			'Products__c', (select string_agg(p, ';') from jsonb_array_elements_text(custom->'products') p),
			'Signed__c', coalesce((custom->'legal'->>'signed')::boolean, false), 'Description', btrim(notes, E' \t\r\n'),
			'Last_Activity__c', (last_activity_at at time zone 'UTC')::date, 'Closed__c', (closed_at at time zone 'UTC')::date)
			from opportunities where stage <> 'prospecting'`},
		{"opportunities-to-forecast", "forecast", "Forecast", `select id::text, jsonb_build_object(
			'Owner', owner_id, 'Stage', stage, 'Amount', amount, 'Weighted', round(amount * probability / 100, 2),
			'CloseDate', close_date, 'Commit', probability >= 75)
			from opportunities where stage not in ('won', 'lost')`},
		{"splits-to-commission", "commission", "Split", `select id::text, jsonb_build_object(
			'Deal', opportunity_id::text, 'Rep', rep_id, 'Percent', percent, 'Share', round(percent / 100, 4))
			from opportunity_splits`},
		{"deals-to-commission", wonApp, wonObject, `select id::text, jsonb_build_object(
			'Title', name, 'Owner', owner_id, 'Amount', amount, 'Commission', round(amount * 0.08, 2), 'Closed', (closed_at at time zone 'UTC')::date)
			from opportunities where stage = 'won'`},
	}
}

// Objects gives what an app holds of one kind of object, the fields of each by
// its key as text; archived ones are not among them.
type Objects func(app, object string) map[string]map[string]json.RawMessage

// Reconcile compares what the targets hold with what the source says they
// should, field by field as JSON values, numbers by their value. It reads the
// source in one snapshot; nothing may be under way to the targets meanwhile.
// Differences are in the Report, not in the error.
func Reconcile(ctx context.Context, conn *pgx.Conn, objects Objects) (Report, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return Report{}, fmt.Errorf("begin reconciliation: %w", err)
	}
	report, err := reconcile(ctx, tx, objects)
	if rerr := tx.Rollback(ctx); rerr != nil && err == nil {
		err = fmt.Errorf("end reconciliation: %w", rerr)
	}
	return report, err
}

func reconcile(ctx context.Context, tx pgx.Tx, objects Objects) (Report, error) {
	var report Report
	if _, err := tx.Exec(ctx, "set local search_path = public; set local timezone = 'UTC'"); err != nil {
		return Report{}, fmt.Errorf("prepare reconciliation: %w", err)
	}
	for _, c := range checks() {
		got := objects(c.app, c.object)
		m, err := c.compare(ctx, tx, got)
		if err != nil {
			return Report{}, fmt.Errorf("reconcile %s: %w", c.name, err)
		}
		report.Mappings = append(report.Mappings, m)
	}
	won, err := compareWon(ctx, tx, objects(wonApp, wonObject))
	if err != nil {
		return Report{}, fmt.Errorf("sum won deals: %w", err)
	}
	report.Won = won
	return report, nil
}

// compare reads the expected objects one by one; only the target's are held.
func (c check) compare(ctx context.Context, tx pgx.Tx, got map[string]map[string]json.RawMessage) (MappingReport, error) {
	m := MappingReport{Name: c.name, App: c.app, Object: c.object, Found: len(got)}
	rows, err := tx.Query(ctx, c.sql+" order by id")
	if err != nil {
		return m, fmt.Errorf("read source: %w", err)
	}
	defer rows.Close()
	known := make(map[string]bool, len(got))
	for rows.Next() {
		var key string
		var want map[string]json.RawMessage
		if err := rows.Scan(&key, &want); err != nil {
			return m, fmt.Errorf("read source: %w", err)
		}
		m.Expected++
		known[key] = true
		fields, ok := got[key]
		if !ok {
			m.Missing++
			m.note(Difference{Key: key, What: "missing"})
			continue
		}
		if err := m.compareFields(key, want, fields); err != nil {
			return m, err
		}
	}
	if err := rows.Err(); err != nil {
		return m, fmt.Errorf("read source: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if !known[key] {
			m.Extra++
			m.note(Difference{Key: key, What: "extra"})
		}
	}
	return m, nil
}

// compareFields counts an object once, however many of its fields differ.
func (m *MappingReport) compareFields(key string, want, got map[string]json.RawMessage) error {
	differs := false
	note := func(field, what string) {
		differs = true
		m.note(Difference{Key: key, Field: field, What: what})
	}
	for _, field := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[field]
		if !ok {
			note(field, "field missing")
			continue
		}
		same, err := sameJSON(want[field], g)
		if err != nil {
			return fmt.Errorf("compare field %s of key %s: %w", field, key, err)
		}
		if !same {
			note(field, "different")
		}
	}
	for _, field := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[field]; !ok {
			note(field, "field extra")
		}
	}
	if differs {
		m.Different++
	}
	return nil
}

// compareWon sums the amounts of won deals by owner on both sides.
func compareWon(ctx context.Context, tx pgx.Tx, got map[string]map[string]json.RawMessage) ([]OwnerSum, error) {
	target, err := sumByOwner(got)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `select owner_id::text, count(*), sum(amount)::text from opportunities where stage = 'won' group by 1`)
	if err != nil {
		return nil, fmt.Errorf("read source: %w", err)
	}
	defer rows.Close()
	sums := make(map[string]OwnerSum)
	for rows.Next() {
		var s OwnerSum
		var amount string
		if err := rows.Scan(&s.Owner, &s.Deals, &amount); err != nil {
			return nil, fmt.Errorf("read source: %w", err)
		}
		if _, _, err := s.Source.SetString(amount); err != nil {
			return nil, fmt.Errorf("read sum: %w", err)
		}
		sums[s.Owner] = s
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read source: %w", err)
	}
	for owner, t := range target {
		s := sums[owner]
		s.Owner, s.Target = owner, *t
		sums[owner] = s
	}
	out := make([]OwnerSum, 0, len(sums))
	for _, owner := range slices.SortedFunc(maps.Keys(sums), byNumber) {
		out = append(out, sums[owner])
	}
	return out, nil
}

func sumByOwner(got map[string]map[string]json.RawMessage) (map[string]*apd.Decimal, error) {
	sums := make(map[string]*apd.Decimal)
	for key, fields := range got {
		var amount apd.Decimal
		if _, _, err := amount.SetString(string(fields["Amount"])); err != nil {
			// Not a number, so not equal to anything: the field comparison names it.
			continue
		}
		owner := string(fields["Owner"])
		if sums[owner] == nil {
			sums[owner] = new(apd.Decimal)
		}
		if _, err := exact.Add(sums[owner], sums[owner], &amount); err != nil {
			return nil, fmt.Errorf("add the amount of key %s: %w", key, err)
		}
	}
	return sums, nil
}
