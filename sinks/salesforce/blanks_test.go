package salesforce_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/walbridge/walbridge/sinks"
	sandbox "github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sinktest"
)

// Salesforce takes blanks off the ends of texts: keys that differ in them only are the same.
func TestKeysThatDifferInBlanks(t *testing.T) {
	c, s := simulated(t, nil)
	if a, b := c.FoldKey("Account", field("Account_Ext__c", `"a"`)), c.FoldKey("Account", field("Account_Ext__c", `" a\t"`)); a != b {
		t.Errorf("%q and %q are the same key to Salesforce", a, b)
	}
	rs, err := c.Deliver(t.Context(), batch(rec(`"a"`, field("Name", `"one"`)), rec(`"a "`, field("Name", `"two"`))))
	if err != nil || rs[0].Err != nil || rs[1].Err != nil || s.Count("Account") != 1 {
		t.Errorf("%+v, %v, %d records", rs, err, s.Count("Account"))
	}
	var rej *sinks.Rejected
	rs, err = c.Deliver(t.Context(), batch(rec(`" "`, field("Name", `"one"`))))
	if err != nil || !errors.As(rs[0].Err, &rej) || rej.Code != sinks.CodeNullKey {
		t.Errorf("a key of blanks: %+v, %v", rs, err)
	}
}

// A text of blanks is empty to Salesforce, so null, and not what an empty cell is: unchanged.
// Blanks around #N/A do not make it another text.
func TestBlanksInAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		org := sandbox.New(sandbox.Options{})
		var put string
		c := process(t, &pipe{org: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				b := new(strings.Builder)
				if err := r.Write(b); err != nil {
					t.Error(err)
				}
				_, put, _ = strings.Cut(b.String(), "\r\n\r\n")
			}
			org.ServeHTTP(w, r)
		}), notes: sinktest.NewNotes()}, nil)
		b := state(1, numbers(0, 8))
		for i := range b.Records {
			b.Records[i].Fields = append(b.Records[i].Fields, field("Phone", `"  "`))
		}
		b.Records[3].Fields[2] = field("Phone", `" #N/A "`)
		_, _ = c.Deliver(t.Context(), b)
		if n := strings.Count(put, "#N/A"); n != 7 || strings.Contains(put, "key-3,") {
			t.Errorf("%d nulls in\n%s", n, put)
		}
	})
}
