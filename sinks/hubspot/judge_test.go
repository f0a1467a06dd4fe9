package hubspot

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

const upsertPath = "/crm/objects/2026-03/contacts/batch/upsert"

// Every status of HubSpot's table of errors, and what it comes to.
func TestStatuses(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	body := func(fields string) string { return `{"status":"error","message":"` + rowValue + `",` + fields + `}` }
	interval := []string{"X-HubSpot-RateLimit-Remaining", "0", "X-HubSpot-RateLimit-Max", "190", "X-HubSpot-RateLimit-Interval-Milliseconds", "10000"}
	for name, c := range map[string]struct {
		status int
		body   string
		header []string
		want   string
	}{
		"400":                     {400, body(`"category":"VALIDATION_ERROR"`), nil, "rejected VALIDATION_ERROR"},
		"400 without a body":      {400, "", nil, "rejected http_400"},
		"400 of HTML":             {400, "<html>" + rowValue, nil, "rejected http_400"},
		"400, sub-category":       {400, body(`"category":"VALIDATION_ERROR","subCategory":"crm.TOO_LONG"`), nil, "rejected crm.TOO_LONG"},
		"400, sub-category {}":    {400, body(`"category":"VALIDATION_ERROR","subCategory":{}`), nil, "rejected VALIDATION_ERROR"},
		"400, code":               {400, body(`"category":"VALIDATION_ERROR","errors":[{"message":"x","code":"INVALID_OPTION"}]`), nil, "rejected INVALID_OPTION"},
		"400, code in message":    {400, `{"category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"error\":\"INVALID_DATE\",\"message\":\"` + rowValue + `\"}] more"}`, nil, "rejected INVALID_DATE"},
		"400, code is a sentence": {400, body(`"category":"a b c ` + rowValue + `"`), nil, "rejected refused"},
		"400, duplicates":         {400, `{"category":"VALIDATION_ERROR","message":"Duplicate IDs found in batch input: [1]. IDs must be unique"}`, nil, "rejected VALIDATION_ERROR"},
		"400, property":           {400, `{"category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"error\":\"PROPERTY_DOESNT_EXIST\"}]"}`, nil, "misconfigured: make the property in HubSpot, or take it out of the mapping"},
		"400, read-only":          {400, body(`"category":"VALIDATION_ERROR","errors":[{"code":"INVALID_OPTION"},{"code":"READ_ONLY_VALUE"}]`), nil, "misconfigured: take the property out of the mapping: HubSpot sets it"},
		"400, not unique":         {400, `{"category":"VALIDATION_ERROR","message":"Unable to perform update/upsert by non-unique 0-1 property phone in portal ID 1"}`, nil, "misconfigured: use a property with unique values as key"},
		"400, object":             {400, `{"category":"VALIDATION_ERROR","message":"Unable to infer object type from: contct"}`, nil, "misconfigured: check the mapping's object"},
		"400, association type":   {400, `{"category":"VALIDATION_ERROR","message":"One or more association types are invalid"}`, nil, "misconfigured: check the target's associations"},
		"401":                     {401, body(`"category":"INVALID_AUTHENTICATION"`), nil, "unauthorized"},
		"401, expired":            {401, body(`"category":"EXPIRED_AUTHENTICATION"`), nil, "unauthorized"},
		"403":                     {403, "<html>", nil, "unauthorized"},
		"403, scopes": {403, body(`"category":"MISSING_SCOPES","errors":[{"message":"x","context":{"requiredGranularScopes":["crm.objects.contacts.write"]}}]`), nil,
			"misconfigured: give the app the scope crm.objects.contacts.write"},
		"403, scopes not named":   {403, body(`"category":"MISSING_SCOPES"`), nil, "misconfigured: give the app the scopes that the object needs, such as crm.objects.contacts.write"},
		"404":                     {404, body(`"category":"OBJECT_NOT_FOUND"`), nil, "misconfigured: check the target's url and version, and the mapping's object"},
		"404, a record":           {404, body(`"category":"OBJECT_NOT_FOUND","context":{"ids":["1"]}`), nil, "rejected OBJECT_NOT_FOUND"},
		"405":                     {405, "", nil, "misconfigured: check the target's url, and the names and ids in its path"},
		"408":                     {408, "", nil, "retry 0s unknown"},
		"409":                     {409, body(`"category":"CONFLICT"`), nil, "rejected CONFLICT"},
		"409 without a body":      {409, "", nil, "rejected http_409"},
		"413":                     {413, "", nil, "rejected http_413"},
		"414":                     {414, "", nil, "misconfigured: name fewer fields in the mapping"},
		"415":                     {415, "", nil, "rejected http_415"},
		"422":                     {422, body(`"category":"VALIDATION_ERROR"`), nil, "rejected VALIDATION_ERROR"},
		"423":                     {423, body(`"category":"LOCKED"`), nil, "retry 2s"},
		"423, sooner":             {423, "", []string{"Retry-After", "1"}, "retry 2s"},
		"423, later":              {423, "", []string{"Retry-After", "5"}, "retry 5s"},
		"429 without anything":    {429, body(`"errorType":"RATE_LIMIT"`), nil, "throttled 0s"},
		"429, Retry-After":        {429, "", []string{"Retry-After", "7"}, "throttled 7s"},
		"429, a date":             {429, "", []string{"Retry-After", now.Add(90 * time.Second).Format(http.TimeFormat)}, "throttled 1m30s"},
		"429, SECONDLY":           {429, body(`"policyName":"SECONDLY"`), nil, "throttled 1s"},
		"429, ten seconds":        {429, body(`"policyName":"TEN_SECONDLY_ROLLING"`), interval, "throttled 10s"},
		"429, without headers":    {429, body(`"policyName":"TEN_SECONDLY_ROLLING"`), nil, "throttled 0s"},
		"429, DAILY":              {429, body(`"policyName":"DAILY"`), interval, "paused 15m0s"},
		"429, DAILY, Retry-After": {429, body(`"policyName":"DAILY"`), []string{"Retry-After", "3600"}, "paused 1h0m0s"},
		"477":                     {477, "", []string{"Retry-After", "86400"}, "paused 24h0m0s"},
		"477 without Retry-After": {477, "", nil, "paused 1h0m0s"},
		"500":                     {500, body(`"category":"INTERNAL_ERROR"`), nil, "retry 0s unknown"},
		"502":                     {502, "<html>", nil, "retry 0s unknown"},
		"503":                     {503, "", []string{"Retry-After", "9"}, "retry 9s unknown"},
		"504":                     {504, "", nil, "retry 0s unknown"},
		"521":                     {521, "", nil, "retry 0s unknown"},
		"522":                     {522, "", nil, "retry 0s unknown"},
		"523":                     {523, "", nil, "retry 0s unknown"},
		"524":                     {524, "", nil, "retry 0s unknown"},
		"525":                     {525, "", nil, "retry 0s unknown"},
		"526":                     {526, "", nil, "retry 0s unknown"},
		"302":                     {302, "", []string{"Location", "http://127.0.0.1:1/"}, "misconfigured: set the target's url to where it redirects to; redirects are not followed"},
		"204":                     {204, "", nil, "retry 0s unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			client := scripted(t, Options{Now: func() time.Time { return now }}, step{path: upsertPath, status: c.status, answer: c.body, header: c.header})
			rs, err := deliver(t, client, upsert("a"), upsert("b"))
			if rs != nil || outcome(err) != c.want {
				t.Fatalf("got %v, %s (%v), want %s", rs, outcome(err), err, c.want)
			}
			for _, bad := range []string{secret, rowValue} {
				if strings.Contains(err.Error(), bad) {
					t.Errorf("%q is in %q", bad, err)
				}
			}
		})
	}
}

// Every category of an error within a batch, and what it comes to for its record.
func TestCategories(t *testing.T) {
	for entry, want := range map[string]string{
		`"category":"VALIDATION_ERROR"`:      "rejected VALIDATION_ERROR",
		`"category":"CONFLICT"`:              "rejected CONFLICT",
		`"category":"OBJECT_NOT_FOUND"`:      "rejected OBJECT_NOT_FOUND",
		`"category":"OBJECT_ALREADY_EXISTS"`: "rejected OBJECT_ALREADY_EXISTS",
		`"category":"RATE_LIMITS"`:           "throttled 0s",
		`"category":"LOCKED"`:                "retry 2s",
		`"category":"MISSING_SCOPES"`:        "misconfigured: give the app the scopes that the object needs, such as crm.objects.contacts.write",
		`"category":"INTERNAL_ERROR"`:        "retry 0s unknown",
		`"message":"?"`:                      "retry 0s unknown",
		`"category":"VALIDATION_ERROR","errors":[{"code":"CONFLICTING_UNIQUE_VALUE"}]`: "rejected CONFLICTING_UNIQUE_VALUE",
		`"category":"VALIDATION_ERROR","errors":[{"code":"PROPERTY_DOESNT_EXIST"}]`:    "misconfigured: make the property in HubSpot, or take it out of the mapping",
	} {
		client := scripted(t, Options{}, step{path: upsertPath, status: 207, answer: `{"results":[{"id":"2","objectWriteTraceId":"1"}],"errors":[{` + entry + `,"context":{"objectWriteTraceId":["0"]}}]}`})
		if got := outcomes(deliver(t, client, upsert("a"), upsert("b"))); got != want+", 2" {
			t.Errorf("%s: got %s, want %s", entry, got, want)
		}
	}
}

// What fails after something was carried out leaves all of it in doubt, and keeps its kind.
func TestPartly(t *testing.T) {
	said := &sinks.Answer{Status: 429, Code: "X", Message: "m", Err: errors.New("answered 429")}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&sinks.Retryable{Err: said, After: time.Second}, "retry 1s unknown"},
		{&sinks.Throttled{Err: said, After: time.Second}, "throttled 1s unknown"},
		{&sinks.Paused{Err: said, After: time.Second}, "paused 1s unknown"},
		{&sinks.Rejected{Err: said, Code: "X"}, "rejected X unknown"},
		{&sinks.Misconfigured{Err: said, Hint: "h"}, "misconfigured: h unknown"},
		{&sinks.Unauthorized{Err: said}, "unauthorized unknown"},
		{&sinks.WaitForParent{Err: said}, "waiting_for_parent unknown"},
		{errors.New("of no kind"), "retry 0s unknown"},
		{nil, "ok"},
	} {
		got := partly(c.err)
		if strings.TrimPrefix(outcome(got), "unknown_outcome") != c.want && fmt.Sprint(c.err) != "of no kind" {
			t.Errorf("%T: %s, want %s", c.err, outcome(got), c.want)
		}
		var a *sinks.Answer
		if errors.As(c.err, &a) && (!errors.As(got, &a) || a.Status != 429 || a.Code != "X" || a.Message != "m" || !errors.Is(got, said)) {
			t.Errorf("%T: it has lost what was said: %+v", c.err, a)
		}
	}
}

// The page of the target tells of every word that is judged by.
func TestPageTellsOfAllCodes(t *testing.T) {
	page, err := os.ReadFile("../../docs/targets/hubspot.md")
	if err != nil {
		t.Fatal(err)
	}
	words := append(slices.Collect(maps.Keys(ofSettings)), validation, conflict, notFound, rateLimits, noScopes, "DAILY", "BAD_HUB", "OBJECT_ALREADY_EXISTS")
	for _, w := range words {
		if !strings.Contains(string(page), "`"+w+"`") {
			t.Errorf("the page does not tell of %s", w)
		}
	}
}
