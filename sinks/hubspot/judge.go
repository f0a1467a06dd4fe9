package hubspot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Statuses of HubSpot's own (developers.hubspot.com, "Error handling").
const (
	statusLocked    = http.StatusLocked // for two seconds, after many writes
	statusMigration = 477               // the account is moved; Retry-After may be 24 hours
)

// Waits where the answer names none.
const (
	lockedWait    = 2 * time.Second
	migrationWait = time.Hour
	// dailyWait is how often it is looked whether a spent daily limit is there again: it
	// comes back at midnight of the account's time zone, which is not known here.
	dailyWait = 15 * time.Minute
)

// Categories of errors.
const (
	validation   = "VALIDATION_ERROR"
	conflict     = "CONFLICT"
	notFound     = "OBJECT_NOT_FOUND"
	rateLimits   = "RATE_LIMITS"
	noScopes     = "MISSING_SCOPES"
	lockedObject = "LOCKED"
)

// statusError says what an answer with a status outside of 2xx means.
//
//	401                        Unauthorized
//	403                        Misconfigured, with the scope that is missing, or Unauthorized
//	423                        Retryable after 2 s or more: nothing was carried out
//	429                        Paused for the daily limit, else Throttled
//	477                        Paused
//	400, 404, 409, 422         by refused
//	414, 3xx, 405              Misconfigured
//	408, 5xx                   Retryable with an unknown outcome
func statusError(a *transport.Answer, now time.Time) error {
	var r refusal
	if a.Err != nil || json.Unmarshal(a.Body, &r) != nil {
		r = refusal{Message: string(a.Body)}
	}
	general := transport.StatusError(a, transport.Saying{Code: r.code(), Message: r.Message}, now)
	var said *sinks.Answer
	if !errors.As(general, &said) {
		return general
	}
	after := transport.RetryAfter(a.Header, now)
	switch a.Status {
	case http.StatusForbidden:
		if r.Category == noScopes {
			return missingScopes(&r, said)
		}
	case statusLocked:
		return &sinks.Retryable{Err: said, After: max(after, lockedWait)}
	case http.StatusTooManyRequests:
		return r.tooMany(said, a.Header, after)
	case statusMigration:
		if after == 0 {
			after = migrationWait
		}
		return &sinks.Paused{Err: said, After: after}
	case http.StatusRequestURITooLong:
		return &sinks.Misconfigured{Err: said, Hint: "name fewer fields in the mapping"}
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		if r.Category != "" || len(r.Errors) > 0 || r.Message != "" {
			return r.refused(said)
		}
	case http.StatusNotFound:
		// Of an address that there is not HubSpot says the same, but names no record.
		if r.Category == notFound && len(r.Context) > 0 {
			return r.refused(said)
		}
		return &sinks.Misconfigured{Err: said, Hint: "check the target's url and version, and the mapping's object"}
	}
	return general
}

// tooMany says which limit is reached. Of searches the answer does not tell, nor do its
// headers.
func (r *refusal) tooMany(said *sinks.Answer, h http.Header, after time.Duration) error {
	switch {
	case r.Policy == "DAILY":
		if after == 0 {
			after = dailyWait
		}
		return &sinks.Paused{Err: said, After: after}
	case after > 0:
	case r.Policy == "SECONDLY":
		after = time.Second
	case r.Policy != "":
		after = transport.QuotaOf(h, time.Time{}).Window.Reset
	}
	return &sinks.Throttled{Err: said, After: after}
}

// ofSettings are codes that are never the fault of one record: the mapping names something
// that the account does not have.
var ofSettings = map[string]string{
	"PROPERTY_DOESNT_EXIST":   "make the property in HubSpot, or take it out of the mapping",
	"READ_ONLY_VALUE":         "take the property out of the mapping: HubSpot sets it",
	"INVALID_OBJECT_TYPE":     "check the mapping's object",
	"INVALID_ASSOCIATION":     "check the target's associations",
	"INVALID_ASSOCIATION_IDS": "check the target's associations",
}

// ofSettingsTexts are what such a refusal without a code of its own begins with.
var ofSettingsTexts = []struct{ text, hint string }{
	{"Unable to infer object type", "check the mapping's object"},
	{"Unable to perform update/upsert by non-unique", "use a property with unique values as key"},
	{"One or more association types are invalid", "check the target's associations"},
}

// final are categories of refusals that the same record meets again.
var final = []string{validation, conflict, notFound, "OBJECT_ALREADY_EXISTS", "DUPLICATE_VALUE", "INVALID_INPUT"}

// refused says what it means that HubSpot does not take a record, or a batch for one of
// its records.
func (r *refusal) refused(said *sinks.Answer) error {
	for _, c := range r.codes() {
		if hint := ofSettings[c]; hint != "" {
			return &sinks.Misconfigured{Err: said, Hint: hint}
		}
	}
	for _, t := range ofSettingsTexts {
		if strings.HasPrefix(r.Message, t.text) {
			return &sinks.Misconfigured{Err: said, Hint: t.hint}
		}
	}
	switch {
	case r.Category == noScopes:
		return missingScopes(r, said)
	case r.Category == rateLimits:
		return &sinks.Throttled{Err: said}
	case r.Category == lockedObject:
		return &sinks.Retryable{Err: said, After: lockedWait}
	case said.Status == 0 && !slices.Contains(final, r.Category):
		// One of a batch that HubSpot did not get done.
		return &sinks.Retryable{Err: said, Unknown: true}
	}
	code := transport.Word(r.code())
	if r.code() == "" {
		code = fmt.Sprintf("http_%d", said.Status)
	}
	return &sinks.Rejected{Err: said, Code: code}
}

// one says what it means that HubSpot refuses one record of a batch.
func (r *refusal) one() error {
	return r.refused(&sinks.Answer{Code: r.code(), Message: transport.Shorten(r.Message),
		Err: errors.New("HubSpot refused the record: " + transport.Word(r.code()))})
}

func missingScopes(r *refusal, said *sinks.Answer) error {
	hint := "give the app the scopes that the object needs, such as crm.objects.contacts.write"
	if s := r.scopes(); len(s) > 0 && !slices.ContainsFunc(s, func(w string) bool { return transport.Word(w) != w }) {
		hint = "give the app the scope " + strings.Join(s, ", ")
	}
	return &sinks.Misconfigured{Err: said, Hint: hint}
}

// partly is an error of a request that comes after another one, which was carried out: of no
// record is it known that nothing was.
func partly(err error) error {
	if err == nil || sinks.Unknown(err) {
		return err
	}
	of := &sinks.Answer{Unknown: true, Err: err}
	var said *sinks.Answer
	if errors.As(err, &said) {
		of.Status, of.Code, of.Message = said.Status, said.Code, said.Message
	}
	var (
		ret *sinks.Retryable
		thr *sinks.Throttled
		rej *sinks.Rejected
		mis *sinks.Misconfigured
		una *sinks.Unauthorized
		wai *sinks.WaitForParent
		pau *sinks.Paused
	)
	switch {
	case errors.As(err, &ret):
		return &sinks.Retryable{Err: of, After: ret.After, Unknown: true}
	case errors.As(err, &thr):
		return &sinks.Throttled{Err: of, After: thr.After}
	case errors.As(err, &pau):
		return &sinks.Paused{Err: of, After: pau.After}
	case errors.As(err, &rej):
		return &sinks.Rejected{Err: of, Code: rej.Code}
	case errors.As(err, &mis):
		of.Err = mis.Err
		return &sinks.Misconfigured{Err: of, Hint: mis.Hint}
	case errors.As(err, &una):
		return &sinks.Unauthorized{Err: of, Forbidden: una.Forbidden}
	case errors.As(err, &wai):
		return &sinks.WaitForParent{Err: of, Code: wai.Code, After: wai.After}
	}
	return &sinks.Retryable{Err: of, Unknown: true}
}
