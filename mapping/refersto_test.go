package mapping

import (
	"testing"

	"github.com/walbridge/walbridge/cdc"
)

func TestRefersTo(t *testing.T) {
	cat := testCatalog()
	cat.TableColumns[cdc.Table{Schema: "public", Name: "accounts"}] = []Column{{Name: "id", Type: "bigint", Key: true, NotNull: true}, {Name: "name", Type: "text"}}
	cat.TableColumns[cdc.Table{Schema: "public", Name: "lines"}] = []Column{{Name: "b", Type: "text", Key: true}, {Name: "a", Type: "integer", Key: true}}
	files := parseAll(t, Loader{}, map[string]string{
		"deals":    "from: opportunities\nto: crm/Opportunity\nkey: {K: id}\nfields: {Account: \"ref('accounts', account_id)\", N: name, L: \"ref('lines', stage, quantity)\", Other: \"ref('accounts', quantity)\", Self: \"ref('deals', account_id + 1)\"}\n",
		"accounts": "from: accounts\nto: crm/Account\nkey: {Ext__c: \"'A-' + string(id)\"}\nfields: {N: name}\n",
		"lines":    "from: lines\nto: crm/Line\nkey: {LK: b + '/' + string(a)}\nfields: {A: a}\n",
	})
	all, err := CompileAll(files, cat)
	if err != nil {
		t.Fatal(err)
	}
	m := all[1]
	for _, c := range []struct {
		parent  string
		sources []string
		where   string
		ok      bool
	}{
		{"accounts", []string{`{"id":5}`, `{"id":6}`}, `("account_id" = '5') OR ("account_id" = '6') OR ("quantity" = '5') OR ("quantity" = '6')`, true},
		{"lines", []string{`{"b":"it's","a":2}`}, `("stage" = 'it''s' AND "quantity" = '2')`, true},
		{"lines", []string{`{"b":"a\\' OR true --","a":2}`}, `("stage" = E'a\\'' OR true --' AND "quantity" = '2')`, true},
		{"none", []string{`{"id":5}`}, "", true},
		{"deals", []string{`{"id":5}`}, "", false}, // by an expression
		{"accounts", []string{`{"id":null}`}, "", false},
		{"accounts", []string{`{"other":5}`}, "", false},
		{"accounts", []string{`{"id":[5]}`}, "", false},
		{"lines", []string{`{"b":"\u0000","a":2}`}, "", false},
		{"accounts", []string{`no object`}, "", false},
	} {
		if where, ok := m.RefersTo(c.parent, c.sources); where != c.where || ok != c.ok {
			t.Errorf("%s %s:\n got %s, %v\nwant %s, %v", c.parent, c.sources, where, ok, c.where, c.ok)
		}
	}
}
