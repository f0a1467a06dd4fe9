package sales

import (
	"strings"
	"testing"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

func TestCreateMakesASalesDatabaseOnce(t *testing.T) {
	_, conn := newDatabase(t, 7)
	for table, least := range map[string]int{
		"reps": seedReps, "quotas": 4 * seedReps, "accounts": seedAccounts, "contacts": seedContacts,
		"leads": seedLeads, "opportunities": seedDeals, "opportunity_splits": seedDeals,
	} {
		if n := one[int](t, conn, "select count(*) from "+table); n != least {
			t.Errorf("%s has %d rows, want %d", table, n, least)
		}
	}
	// The notes must lie out of line, or no change would ever come without them.
	long := one[int](t, conn, "select count(*) from opportunities where octet_length(notes) > 2500")
	chunks := one[int](t, conn, `select reltuples_of from (select pg_relation_size(reltoastrelid)::int as reltuples_of
		from pg_class where oid = 'public.opportunities'::regclass) s`)
	if long < seedDeals/2 || chunks < long*2500 {
		t.Errorf("%d deals have long notes in %d bytes of TOAST, want them all out of line", long, chunks)
	}
	if n := one[int](t, conn, "select count(*) from opportunities where custom is not null and jsonb_typeof(custom) <> 'object'"); n != 0 {
		t.Errorf("%d deals have custom fields that are no object", n)
	}
	for _, nullable := range []string{"custom", "notes", "next_step"} {
		if one[int](t, conn, "select count(*) from opportunities where "+nullable+" is null") == 0 {
			t.Errorf("no deal has a null in %s", nullable)
		}
	}

	// Once more, with another seed: what is there stays.
	run(t, conn, "update reps set name = 'changed' where id = 1")
	before := one[string](t, conn, content)
	if err := Create(t.Context(), conn, 8); err != nil {
		t.Fatal(err)
	}
	if after := one[string](t, conn, content); after != before {
		t.Error("a second Create changed rows")
	}
}

func TestCreateLeavesForeignTablesAlone(t *testing.T) {
	conn := dial(t, servertest.SharedPostgres(t).URL)
	run(t, conn, "create table leads (id int); create table other (id int)")
	err := Create(t.Context(), conn, 1)
	if err == nil || !strings.Contains(err.Error(), "public.leads") || !strings.Contains(err.Error(), "empty database") {
		t.Fatalf("error %v, want one that names public.leads and says what to do", err)
	}
	if n := one[int](t, conn, "select count(*) from pg_tables where schemaname = 'public'"); n != 2 {
		t.Errorf("%d tables, want the 2 that were there", n)
	}
}
