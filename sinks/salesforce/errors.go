package salesforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// class is what a code of Salesforce means for a record.
type class uint8

const (
	reject   class = iota // the value is refused: also any code that is not listed
	retry                 // the same may be taken later
	smaller               // the same may be taken later, with fewer beside it
	throttle              // the target takes no more for moments
	closed                // the target takes no more for minutes
	spent                 // the requests of the day are used up
	parent                // what it refers to is not there
	config                // a person has to change a setting
	access                // a setting, or this one record: see classify
	gone                  // the record is not there: what a delete wants
)

// codes says what each code means (the list: ExceptionCode of the SOAP API guide, "Status Codes
// and Error Responses" of the REST API guide). All others are taken as a refusal of the record:
// a rule of the target's errors can say otherwise.
var codes = map[string]class{
	"UNABLE_TO_LOCK_ROW":                retry,
	"RECORD_IN_USE_BY_WORKFLOW":         retry,
	"ENTITY_IS_LOCKED":                  retry, // by an approval, or by the user: for long, perhaps
	"TERRITORY_REALIGN_IN_PROGRESS":     retry,
	"UNKNOWN_EXCEPTION":                 retry,
	"ENTITY_IS_DELETED":                 retry, // another one is made by the next try
	"ALL_OR_NONE_OPERATION_ROLLED_BACK": retry,
	"REQUEST_RUNNING_TOO_LONG":          smaller,
	"QUERY_TIMEOUT":                     smaller,

	"TOO_MANY_APEX_REQUESTS":  throttle,
	"IP_RANGE_LIMIT_EXCEEDED": throttle,
	"SERVER_UNAVAILABLE":      throttle,
	"REQUEST_LIMIT_EXCEEDED":  throttle, // or spent, as its text says

	"INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": closed,
	"API_CURRENTLY_DISABLED":                              closed,

	"INVALID_CROSS_REFERENCE_KEY":                   parent,
	"INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": parent,

	"INVALID_FIELD":                   config,
	"INVALID_FIELD_FOR_INSERT_UPDATE": config,
	"INVALID_TYPE":                    config,
	"INVALID_TYPE_FOR_OPERATION":      config,
	"NOT_FOUND":                       config,
	"API_DISABLED_FOR_ORG":            config,
	"STORAGE_LIMIT_EXCEEDED":          config,
	"LICENSE_LIMIT_EXCEEDED":          config,
	"INSUFFICIENT_ACCESS":             access,
	"INSUFFICIENT_ACCESS_OR_READONLY": access,
}

// hints are what to do about a code of class config or access.
var hints = map[string]string{
	"INVALID_FIELD":                   "check the names of the mapping's fields, and that the integration user may see them (field-level security)",
	"INVALID_FIELD_FOR_INSERT_UPDATE": "give the integration user edit access to the field (field-level security), or take it out of the mapping",
	"INVALID_TYPE":                    "check the name of the mapping's object, and that the integration user may see it",
	"INVALID_TYPE_FOR_OPERATION":      "the object cannot be written by the API; check the name of the mapping's object",
	"NOT_FOUND":                       "check the names of the mapping's object and of its key, which has to be an External ID field that the integration user may see",
	"API_DISABLED_FOR_ORG":            "give the integration user the permission API Enabled, in an edition of Salesforce that has the API",
	"STORAGE_LIMIT_EXCEEDED":          "the org's data storage is full: delete records or buy storage",
	"LICENSE_LIMIT_EXCEEDED":          "the org has no licence left for this record",
	"INSUFFICIENT_ACCESS":             accessHint,
	"INSUFFICIENT_ACCESS_OR_READONLY": accessHint,
}

const accessHint = "give the integration user access to the object and its records, in its permission set"

const (
	// concurrentWait and the others are how long to wait where Salesforce does not say, which it
	// never does: it has no Retry-After.
	concurrentWait = 5 * time.Second
	closedWait     = time.Minute
	spentWait      = 15 * time.Minute // the limit is of the last 24 hours: some are free again
)

// wrapped are codes of what runs after a write, such as a flow: the cause is in their text.
var wrapped = map[string]bool{
	"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": true,
	"CANNOT_EXECUTE_FLOW_TRIGGER":          true,
	"APEX_ERROR":                           true,
}

// codeQuota tells that the jobs of the last 24 hours are spent, in one case of letters or another.
const codeQuota = "ExceededQuota"

// classOf says what a code with a text means.
func classOf(s transport.Saying) class {
	has := func(part string) bool { return strings.Contains(strings.ToLower(s.Message), part) }
	switch {
	case wrapped[s.Code] && (has("unable_to_lock_row") || has("unable to obtain exclusive access")):
		return retry
	case wrapped[s.Code] && (has("too many soql queries") || has("cpu time limit") || has("too many dml")):
		return smaller
	case s.Code == "INVALID_FIELD" && has("foreign key external id"):
		return parent
	case s.Code == "REQUEST_LIMIT_EXCEEDED" && !has("concurrent"):
		return spent
	case strings.EqualFold(s.Code, codeQuota):
		return spent
	}
	if c, ok := codes[s.Code]; ok {
		return c
	}
	if strings.HasPrefix(s.Code, "INSUFFICIENT_ACCESS") {
		return access
	}
	return reject
}

// verdict is an error for what Salesforce said of a record, or of a whole sub-request. alone
// tells that it was said of a record while others beside it are fine, or that there are none.
func verdict(status int, s transport.Saying, alone bool) error {
	word := transport.Word(s.Code)
	err := &sinks.Answer{Status: status, Code: s.Code, Message: transport.Shorten(s.Message), Err: fmt.Errorf("salesforce refused it: %s", word)}
	switch c := classOf(s); c {
	case retry, smaller:
		return &sinks.Retryable{Err: err}
	case throttle:
		return &sinks.Throttled{Err: err, After: concurrentWait}
	case closed:
		return &sinks.Throttled{Err: err, After: closedWait}
	case spent:
		return &sinks.Paused{Err: err, After: spentWait}
	case parent:
		return &sinks.WaitForParent{Err: err, Code: word}
	case access:
		if alone { // sharing, or a record that is locked: after some tries it is parked
			return &sinks.Retryable{Err: err}
		}
		return &sinks.Misconfigured{Err: err, Hint: accessHint}
	case config:
		return &sinks.Misconfigured{Err: err, Hint: hints[s.Code]}
	}
	return &sinks.Rejected{Err: err, Code: word}
}

// codeMany is of a key that several records have: the status 300, and a query with two answers.
const codeMany = "DUPLICATE_EXTERNAL_ID"

// statusError says what an answer with a status outside of 2xx means, of a request or of a
// sub-request: by its code, or else by its status.
func statusError(a *transport.Answer, now time.Time) error {
	s := sayingOf(a.Body)
	if a.Status == http.StatusMultipleChoices {
		return verdict(a.Status, transport.Saying{Code: codeMany, Message: s.Message}, true)
	}
	if s.Code == "" || a.Status == http.StatusUnauthorized || a.Status >= 500 && !untouched(s) {
		return transport.StatusError(a, s, now)
	}
	return verdict(a.Status, s, false)
}

// untouched tells whether a code says that nothing was carried out, whatever the status.
func untouched(s transport.Saying) bool {
	c := classOf(s)
	return c == throttle || c == closed || c == spent
}

// failure is how Salesforce says what went wrong: errorCode in most answers, statusCode of a
// record of a collection.
type failure struct {
	StatusCode string `json:"statusCode"`
	ErrorCode  string `json:"errorCode"`
	Message    string `json:"message"`
}

func (f *failure) saying() transport.Saying {
	if f.StatusCode != "" {
		return transport.Saying{Code: f.StatusCode, Message: f.Message}
	}
	return transport.Saying{Code: f.ErrorCode, Message: f.Message}
}

// sayingOf reads the first error of a body, or that of OAuth.
func sayingOf(body []byte) transport.Saying {
	var fs []failure
	if json.Unmarshal(body, &fs) == nil && len(fs) > 0 {
		return fs[0].saying()
	}
	var one struct {
		failure
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &one) == nil {
		if s := one.saying(); s.Code != "" {
			return s
		}
		if one.Error != "" {
			return transport.Saying{Code: one.Error, Message: one.Description}
		}
	}
	return transport.Saying{Message: transport.Shorten(string(body))}
}

// unsent is an error of a request for another one that then was not sent: what it would have
// brought is not there for certain. What stops the whole target keeps its kind.
func unsent(err error) error {
	var (
		thr *sinks.Throttled
		pau *sinks.Paused
		mis *sinks.Misconfigured
		una *sinks.Unauthorized
	)
	if errors.As(err, &thr) || errors.As(err, &pau) || errors.As(err, &mis) || errors.As(err, &una) {
		return err
	}
	var ret *sinks.Retryable
	after := time.Duration(0)
	if errors.As(err, &ret) {
		after = ret.After
	}
	// Not with an Answer in it: that one may say that its outcome is not known.
	return &sinks.Retryable{Err: fmt.Errorf("not sent, since a request before it failed: %s", err.Error()), After: after}
}
