package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// keys is how many keys a table has at the most: few, so that each has a history.
const keys = 150

// hand chooses what is written.
type hand struct {
	rng  *rand.Rand
	slow time.Duration // how long it rests between two steps, at the most
	quit <-chan struct{}
}

// pause has other transactions begin and commit meanwhile.
func (h *hand) pause() {
	t := time.NewTimer(time.Duration(h.rng.Int64N(int64(h.slow))))
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.quit:
	}
}

// step is one change, or a few under a savepoint that is released or rolled back.
func (h *hand) step(ctx context.Context, tx pgx.Tx, depth int) error {
	if depth > 3 || h.rng.IntN(8) > 0 {
		return h.change(ctx, tx)
	}
	point, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	for range 1 + h.rng.IntN(3) {
		if err := h.step(ctx, point, depth+1); err != nil {
			return err
		}
	}
	if h.rng.IntN(2) == 0 {
		return point.Rollback(ctx)
	}
	return point.Commit(ctx)
}

func (h *hand) id() int64      { return 1 + h.rng.Int64N(keys) }
func (h *hand) owner() int     { return 1 + h.rng.IntN(4) }
func (h *hand) amount() string { return fmt.Sprintf("%d.%02d", h.rng.IntN(1_000_000), h.rng.IntN(100)) }
func (h *hand) region() string { return fmt.Sprintf("région %c\"\\", 'a'+h.rng.IntN(12)) }
func (h *hand) tag() string    { return fmt.Sprintf("tag '%d' ünï\t", h.rng.IntN(keys)) }
func (h *hand) code() string   { return fmt.Sprintf("AC-%d", h.rng.IntN(keys)) }

func (h *hand) stage() any {
	return []any{"new", "talks", "won", "lost", "gone"}[h.rng.IntN(5)]
}

// uuid gives one of few.
func (h *hand) uuid() string {
	n := h.rng.IntN(keys)
	return fmt.Sprintf("%08x-c0de-4000-8000-%012x", uint32(n)*2654435761, n)
}

// note is short, or long enough to be stored apart, or null.
func (h *hand) note() any {
	switch h.rng.IntN(6) {
	case 0:
		return nil
	case 1:
		return fmt.Sprintf("short \"quoted\" \\ ünïcode %d\n\u2028\x01", h.rng.IntN(1000))
	}
	return strings.Repeat(fmt.Sprintf("long note %d; ", h.rng.IntN(1_000_000)), 160+h.rng.IntN(200))
}

// change changes one of the tables.
func (h *hand) change(ctx context.Context, tx pgx.Tx) error {
	list := []func(add func(string, ...any)){h.deal, h.deal, h.deal, h.forecast, h.tagChange, h.visit, h.quota, h.ledger, h.account, h.sale, h.sale, h.old, h.many}
	do := list[h.rng.IntN(len(list))]
	if h.rng.IntN(500) == 0 {
		do = func(add func(string, ...any)) { add("TRUNCATE " + truncates[h.rng.IntN(len(truncates))]) }
	}
	var err error
	do(func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	})
	return err
}

const insertDeal = `INSERT INTO deals VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp()) ON CONFLICT (id) DO NOTHING`

func (h *hand) deal(add func(string, ...any)) {
	id := h.id()
	switch h.rng.IntN(16) {
	case 0, 1, 2, 3:
		add(insertDeal, id, h.owner(), fmt.Sprint("deal ", id), h.stage(), h.amount(), h.note())
	case 4, 5, 6, 7: // the note is not touched
		add("UPDATE deals SET stage = $2, amount = $3, updated_at = clock_timestamp() WHERE id = $1", id, h.stage(), h.amount())
	case 8, 9:
		add("UPDATE deals SET note = $2 WHERE id = $1", id, h.note())
	case 10:
		add("UPDATE deals SET name = NULL, owner = NULL WHERE id = $1", id)
	case 11:
		add("DELETE FROM deals WHERE id = $1", id)
	case 12: // delete and make anew
		add("DELETE FROM deals WHERE id = $1", id)
		add(insertDeal, id, h.owner(), "again", h.stage(), h.amount(), h.note())
	case 13, 14: // another key, perhaps one that was there before
		add("UPDATE deals SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM deals WHERE id = $2)", id, h.id())
	case 15: // there and back, and the same row twice in a transaction
		add("UPDATE deals SET id = -id WHERE id = $1", id)
		add("UPDATE deals SET id = -id, owner = $2 WHERE id = -$1::bigint", id, h.owner())
	}
}

// old changes rows that were there before the capture.
func (h *hand) old(add func(string, ...any)) {
	id := 7 * (1 + h.rng.Int64N(archived))
	switch h.rng.IntN(6) {
	case 0:
		add("DELETE FROM archive WHERE id = $1", id)
	case 1: // another key, before the cursor of a backfill or behind it
		add("UPDATE archive SET id = $2 WHERE id = $1", id, 7*archived-id+1+h.rng.Int64N(5))
	case 2:
		add("UPDATE archive SET n = n + 1 WHERE id BETWEEN $1 AND $1 + 300", id)
	case 3:
		add("INSERT INTO archive VALUES ($1, -1, $2) ON CONFLICT DO NOTHING", id+3, h.note())
	default:
		add("UPDATE archive SET n = n + 1 WHERE id = $1", id)
	}
}

// many rows: some of them beyond bulkAfter.
func (h *hand) many(add func(string, ...any)) {
	switch h.rng.IntN(8) {
	case 0:
		add("UPDATE deals SET amount = amount + 1 WHERE id <= $1", h.id())
	case 1:
		add(`INSERT INTO deals SELECT g, 9, 'many', 'new', g, $2, now() FROM generate_series($1::bigint, $1 + 60) g WHERE g <= 150
ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, note = excluded.note`, h.id(), h.note())
	case 2:
		add("DELETE FROM sales WHERE id BETWEEN $1 AND $1 + 20", h.id())
	case 3:
		add("UPDATE sales SET memo = $2 WHERE id > $1", h.id(), h.note())
	case 4: // over and over, for a large transaction
		for range 4 {
			add("UPDATE ledger SET account = account || '.' WHERE length(account) < 40")
		}
	case 5:
		add("UPDATE ledger SET account = left(account, 5), note = $1 WHERE id % 3 = 0", h.note())
	default:
		add("UPDATE deals SET owner = $2 WHERE owner = $1", h.owner(), h.owner())
	}
}

func (h *hand) forecast(add func(string, ...any)) {
	region, quarter := h.region(), 1+h.rng.IntN(12)
	switch h.rng.IntN(6) {
	case 0:
		add("DELETE FROM forecasts WHERE (region, quarter) = ($1, $2)", region, quarter)
	case 1:
		add(`UPDATE forecasts SET quarter = $3 WHERE (region, quarter) = ($1, $2)
AND NOT EXISTS (SELECT FROM forecasts WHERE (region, quarter) = ($1, $3))`, region, quarter, 1+h.rng.IntN(12))
	default:
		add(`INSERT INTO forecasts VALUES ($1, $2, $3, $4)
ON CONFLICT (region, quarter) DO UPDATE SET amount = excluded.amount, remark = excluded.remark`, region, quarter, h.amount(), h.note())
	}
}

func (h *hand) tagChange(add func(string, ...any)) {
	switch h.rng.IntN(6) {
	case 0:
		add("DELETE FROM tags WHERE name = $1", h.tag())
	case 1:
		add("UPDATE tags SET name = $2 WHERE name = $1 AND NOT EXISTS (SELECT FROM tags WHERE name = $2)", h.tag(), h.tag())
	case 2, 3: // the body is not touched
		add("UPDATE tags SET doc = jsonb_set(doc, '{n}', to_jsonb($2::int)) WHERE name = $1", h.tag(), h.rng.IntN(100))
	default:
		add(`INSERT INTO tags VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc, body = excluded.body`,
			h.tag(), fmt.Sprintf(`{"n": 1.50, "a": [null, true, "\u00e9"], "o": {"x": %d}}`, h.rng.IntN(1000)), h.note())
	}
}

func (h *hand) visit(add func(string, ...any)) {
	switch h.rng.IntN(5) {
	case 0:
		add("DELETE FROM visits WHERE id = $1::uuid", h.uuid())
	case 1:
		add("UPDATE visits SET id = $2::uuid WHERE id = $1::uuid AND NOT EXISTS (SELECT FROM visits WHERE id = $2::uuid)", h.uuid(), h.uuid())
	default:
		add(`INSERT INTO visits VALUES ($1::uuid, clock_timestamp(), $2, ARRAY[$3, NULL]::int[], decode('00ff', 'hex'))
ON CONFLICT (id) DO UPDATE SET at = excluded.at, score = excluded.score, marks = excluded.marks`, h.uuid(), h.rng.NormFloat64(), h.owner())
	}
}

func (h *hand) quota(add func(string, ...any)) {
	switch h.rng.IntN(5) {
	case 0:
		add("DELETE FROM quotas WHERE stage = $1", h.stage())
	case 1:
		add("UPDATE quotas SET stage = $2 WHERE stage = $1 AND NOT EXISTS (SELECT FROM quotas WHERE stage = $2)", h.stage(), h.stage())
	default:
		add("INSERT INTO quotas VALUES ($1, 1, $2) ON CONFLICT (stage) DO UPDATE SET n = quotas.n + 1", h.stage(), h.note())
	}
}

func (h *hand) ledger(add func(string, ...any)) {
	switch h.rng.IntN(6) {
	case 0:
		add("DELETE FROM ledger WHERE id = $1", h.id())
	case 1:
		add("UPDATE ledger SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM ledger WHERE id = $2)", h.id(), h.id())
	case 2, 3:
		add("UPDATE ledger SET account = $2 WHERE id = $1", h.id(), h.code())
	default:
		add("INSERT INTO ledger VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET note = excluded.note", h.id(), h.code(), h.note())
	}
}

// account changes what is known by its code, not by its primary key.
func (h *hand) account(add func(string, ...any)) {
	switch h.rng.IntN(7) {
	case 0:
		add("DELETE FROM accounts WHERE id = $1", h.id())
	case 1:
		add("UPDATE accounts SET code = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM accounts WHERE code = $2)", h.id(), h.code())
	case 2: // another primary key, the same identity
		add("UPDATE accounts SET id = $2 WHERE code = $1 AND NOT EXISTS (SELECT FROM accounts WHERE id = $2)", h.code(), h.id())
	case 3, 4:
		add("UPDATE accounts SET balance = $2 WHERE id = $1", h.id(), h.amount())
	default:
		add("INSERT INTO accounts VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", h.id(), h.code(), h.amount(), h.note())
	}
}

// sale changes the partitioned table; another key may be one of another partition.
func (h *hand) sale(add func(string, ...any)) {
	switch h.rng.IntN(7) {
	case 0:
		add("DELETE FROM sales WHERE id = $1", h.id())
	case 1, 2:
		add("UPDATE sales SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM sales WHERE id = $2)", h.id(), h.id())
	case 3, 4:
		add("UPDATE sales SET amount = $2 WHERE id = $1", h.id(), h.amount())
	default:
		add("INSERT INTO sales VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET memo = excluded.memo", h.id(), h.amount(), h.note())
	}
}
