package salesforce

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// kindOf names what an error is.
func kindOf(err error) string {
	var (
		thr *sinks.Throttled
		pau *sinks.Paused
		rej *sinks.Rejected
		wai *sinks.WaitForParent
		mis *sinks.Misconfigured
		una *sinks.Unauthorized
		ret *sinks.Retryable
	)
	switch {
	case errors.As(err, &rej):
		return "rejected"
	case errors.As(err, &wai):
		return "parent"
	case errors.As(err, &thr):
		return "throttled"
	case errors.As(err, &pau):
		return "paused"
	case errors.As(err, &mis):
		return "misconfigured"
	case errors.As(err, &una):
		return "unauthorized"
	case errors.As(err, &ret) && sinks.Unknown(err):
		return "unknown"
	case errors.As(err, &ret):
		return "retryable"
	}
	return "none"
}

// saidOfRecords is what each code means when it is said of one record among others.
var saidOfRecords = []struct{ code, message, want string }{
	{"UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: 001xx", "retryable"},
	{"RECORD_IN_USE_BY_WORKFLOW", "", "retryable"},
	{"ENTITY_IS_LOCKED", "the entity is locked for editing", "retryable"},
	{"TERRITORY_REALIGN_IN_PROGRESS", "", "retryable"},
	{"CANNOT_EXECUTE_FLOW_TRIGGER", "We can't save this record because the \"X\" process failed. UNABLE_TO_LOCK_ROW: unable to obtain exclusive access", "retryable"},
	{"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: execution of AfterInsert caused by: System.DmlException: Update failed. First exception on row 0; first error: UNABLE_TO_LOCK_ROW", "retryable"},
	{"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: System.LimitException: Too many SOQL queries: 101", "retryable"},
	{"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: System.LimitException: Apex CPU time limit exceeded", "retryable"},
	{"CANNOT_EXECUTE_FLOW_TRIGGER", "Apex CPU time limit exceeded", "retryable"},
	{"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: System.NullPointerException", "rejected"},
	{"CANNOT_EXECUTE_FLOW_TRIGGER", "The flow failed to access the value for x", "rejected"},
	{"FIELD_CUSTOM_VALIDATION_EXCEPTION", "may hold UNABLE_TO_LOCK_ROW in its text", "rejected"},

	{"REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "paused"},
	{"REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", "throttled"},
	{"TOO_MANY_APEX_REQUESTS", "", "throttled"},
	{"IP_RANGE_LIMIT_EXCEEDED", "", "throttled"},

	{"UNKNOWN_EXCEPTION", "An unexpected error occurred. ErrorId: 1", "retryable"},
	{"SERVER_UNAVAILABLE", "", "throttled"},
	{"REQUEST_RUNNING_TOO_LONG", "", "retryable"},
	{"QUERY_TIMEOUT", "", "retryable"},
	{"INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "", "throttled"},
	{"API_CURRENTLY_DISABLED", "", "throttled"},
	{"ALL_OR_NONE_OPERATION_ROLLED_BACK", "", "retryable"},

	{"INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", "parent"},
	{"INVALID_FIELD", "Foreign key external ID: A-1 not found for field Account_Ext__c in entity Account", "parent"},
	{"INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "insufficient access rights on cross-reference id", "parent"},

	{"FIELD_CUSTOM_VALIDATION_EXCEPTION", "", "rejected"},
	{"REQUIRED_FIELD_MISSING", "", "rejected"},
	{"STRING_TOO_LONG", "", "rejected"},
	{"INVALID_EMAIL_ADDRESS", "", "rejected"},
	{"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "", "rejected"},
	{"NUMBER_OUTSIDE_VALID_RANGE", "", "rejected"},
	{"FIELD_INTEGRITY_EXCEPTION", "", "rejected"},
	{"DUPLICATE_VALUE", "", "rejected"},
	{"DUPLICATE_EXTERNAL_ID", "", "rejected"},
	{"CANNOT_UPDATE_CONVERTED_LEAD", "", "rejected"},
	{"INACTIVE_OWNER_OR_USER", "", "rejected"},
	{"MALFORMED_ID", "", "rejected"},
	{"JSON_PARSER_ERROR", "", "rejected"},
	{"A_CODE_OF_A_LATER_VERSION", "", "rejected"},

	{"DUPLICATES_DETECTED", "Use one of these records?", "rejected"},
	{"ENTITY_IS_DELETED", "entity is deleted", "retryable"},

	{"INVALID_FIELD", "No such column 'Nmae' on sobject of type Account", "misconfigured"},
	{"INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: Name", "misconfigured"},
	{"INVALID_TYPE", "sObject type 'Acount' is not supported.", "misconfigured"},
	{"NOT_FOUND", "Provided external ID field does not exist or is not accessible: X", "misconfigured"},
	{"API_DISABLED_FOR_ORG", "", "misconfigured"},
	{"STORAGE_LIMIT_EXCEEDED", "", "misconfigured"},
	{"LICENSE_LIMIT_EXCEEDED", "", "misconfigured"},
	{"INSUFFICIENT_ACCESS_OR_READONLY", "", "retryable"}, // of one record; of all, see below
}

func TestCodesOfRecords(t *testing.T) {
	for _, c := range saidOfRecords {
		err := verdict(0, transport.Saying{Code: c.code, Message: c.message}, true)
		if got := kindOf(err); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.code, c.message, got, c.want)
		}
		if sinks.Unknown(err) {
			t.Errorf("%s: a record that was refused has an unknown outcome", c.code)
		}
		if c.message != "" && strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: the error %q holds Salesforce's own text, which may quote the record (I14)", c.code, err)
		}
		var ans *sinks.Answer
		if !errors.As(err, &ans) || ans.Code != c.code || ans.Message != c.message {
			t.Errorf("%s: the answer %+v is not there for rules", c.code, ans)
		}
		var mis *sinks.Misconfigured
		if errors.As(err, &mis) && mis.Hint == "" {
			t.Errorf("%s: no hint what to do", c.code)
		}
	}
	if got := kindOf(verdict(0, transport.Saying{Code: "INSUFFICIENT_ACCESS_OR_READONLY"}, false)); got != "misconfigured" {
		t.Errorf("no access to any record: %s, want misconfigured", got)
	}
	var rej *sinks.Rejected
	if err := verdict(0, transport.Saying{Code: "Ada Lovelace <ada@example.com>"}, true); !errors.As(err, &rej) || strings.Contains(rej.Code+err.Error(), "Ada") {
		t.Errorf("what is no word became a code: %v", err)
	}
}

// What the answer to a request, or a sub-request, means as a whole.
func TestAnswersOfRequests(t *testing.T) {
	body := func(code, message string) string {
		b, err := json.Marshal([]map[string]string{{"errorCode": code, "message": message}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{401, body("INVALID_SESSION_ID", "Session expired or invalid"), "unauthorized"},
		{403, body("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), "paused"},
		{403, body("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), "throttled"},
		{403, body("API_DISABLED_FOR_ORG", ""), "misconfigured"},
		{403, body("INSUFFICIENT_ACCESS", ""), "misconfigured"},
		{403, "<html>a proxy</html>", "unauthorized"},
		{404, body("NOT_FOUND", "The requested resource does not exist"), "misconfigured"},
		{400, body("INVALID_FIELD", "No such column"), "misconfigured"},
		{400, body("JSON_PARSER_ERROR", "Cannot deserialize instance of date"), "rejected"},
		{400, body("REQUEST_RUNNING_TOO_LONG", ""), "retryable"},
		{300, `["/services/data/v62.0/sobjects/Account/001"]`, "rejected"},
		{429, "", "throttled"},
		{500, body("UNKNOWN_EXCEPTION", ""), "unknown"},
		{500, "", "unknown"},
		{502, "<html>", "unknown"},
		{503, body("SERVER_UNAVAILABLE", ""), "throttled"},
		{503, body("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", ""), "throttled"},
		{503, "", "unknown"},
		{302, "", "misconfigured"},
		{413, "", "rejected"},
	} {
		err := statusError(&transport.Answer{Host: "h", Status: c.status, Header: http.Header{}, Body: []byte(c.body)}, time.Time{})
		if got := kindOf(err); got != c.want {
			t.Errorf("%d %s: %s, want %s", c.status, c.body, got, c.want)
		}
	}
}

func TestWaits(t *testing.T) {
	var pau *sinks.Paused
	if err := verdict(403, transport.Saying{Code: "REQUEST_LIMIT_EXCEEDED", Message: "TotalRequests Limit exceeded."}, true); !errors.As(err, &pau) || pau.After != spentWait {
		t.Errorf("the requests of the day are used up: %v", err)
	}
	var thr *sinks.Throttled
	if err := verdict(403, transport.Saying{Code: "REQUEST_LIMIT_EXCEEDED", Message: "ConcurrentRequests Limit exceeded."}, true); !errors.As(err, &thr) || thr.After != concurrentWait {
		t.Errorf("too many at once: %v", err)
	}
}

// Of a job, the code stands before the text.
func TestJobSaying(t *testing.T) {
	for in, want := range map[string]transport.Saying{
		"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --": {Code: "REQUIRED_FIELD_MISSING", Message: "Required fields are missing: [Name]:Name --"},
		"INVALID_FIELD:Foreign key external ID: a:b not found:--":            {Code: "INVALID_FIELD", Message: "Foreign key external ID: a:b not found:--"},
		"strange": {Code: "strange"},
	} {
		if got := jobSaying(in); got != want {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

// The page of the target has every code that is treated in a way of its own, in the row of
// what it becomes.
func TestCodesOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/targets/salesforce.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[class]string{
		retry: "| the record is tried again", smaller: "| likewise, with fewer", throttle: "| the target rests for seconds", closed: "| the target rests for a minute",
		parent: "| the record waits for its parent", config: "| the mapping stops, with what", access: "| the mapping stops if all",
	}
	for code, c := range codes {
		for _, line := range strings.Split(string(page), "\n") {
			if strings.HasPrefix(line, rows[c]) && !strings.Contains(line, "`"+code+"`") {
				t.Errorf("the page does not have %s in its row %q", code, rows[c])
			}
		}
		if !strings.Contains(string(page), "\n"+rows[c]) {
			t.Errorf("the page has no row %q", rows[c])
		}
	}
}
