package config

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
)

func init() {
	maps.Copy(badFiles, map[string]string{
		"salesforce-no-login":     `6:5: targets.crm.login.grant: missing; write one of jwt, client_credentials, refresh`,
		"salesforce-grant":        `8:20: targets.crm.login.grant: unknown value "password"; write one of jwt, client_credentials, refresh`,
		"salesforce-login-key":    `8:89: targets.crm.login.user: unknown key "user"; known keys are grant, client_id, client_secret, username, private_key, audience, refresh_token`,
		"salesforce-login-needs":  `8:12: targets.crm.login.username: missing; write the name of the integration user, such as walbridge@acme.com`,
		"salesforce-login-other":  `8:117: targets.crm.login.client_secret: not of the grant jwt "${CRM_TOKEN}"; leave it out, or choose the grant that it belongs to`,
		"salesforce-login-break":  `8:73: targets.crm.login.client_secret: the value has a space or a line break "${BROKEN}"; look at the variable or file it comes from`,
		"salesforce-version":      `9:14: targets.crm.version: not a version from v52.0 on "v48.0"; write one such as v62.0`,
		"salesforce-batch":        `9:16: targets.crm.max_batch: more than Salesforce takes in a request "1001"; write a number from 1 to 1000`,
		"salesforce-duplicates":   `9:18: targets.crm.duplicates.save: unknown key "save"; known keys are allow_save`,
		"salesforce-assignment":   `9:17: targets.crm.assignment: want true or false, not a text "no"; write true or false, without quotes`,
		"salesforce-bulk-from":    `9:18: targets.crm.bulk.from: out of range "-1"; write a number from 0 to 1000000`,
		"salesforce-bulk-max":     `9:11: targets.crm.bulk.from: more than max "2000"; a job has at least from records, and at most max: set both`,
		"salesforce-bulk-timeout": `9:21: targets.crm.bulk.timeout: out of range "5s"; write a duration from 1m to 24h`,
		"salesforce-url":          `7:10: targets.crm.url: the address does not begin with http:// or https://; write the org's My Domain, such as https://acme.my.salesforce.com`,
	})
	beyondForm = append(beyondForm, "salesforce-login-needs", "salesforce-login-other", "salesforce-login-break", "salesforce-batch", "salesforce-bulk-max", "salesforce-bulk-timeout", "salesforce-url")
}

func TestSalesforceFile(t *testing.T) {
	c := load(t, "salesforce.good.yml")
	crm, sandbox, plain := DefaultTarget(TypeSalesforce), DefaultTarget(TypeSalesforce), DefaultTarget(TypeSalesforce)
	crm.Name, crm.URL = "crm", "https://acme.my.salesforce.com"
	crm.Salesforce.Login = SalesforceLogin{Grant: SalesforceJWT, ClientID: "app-1", Username: "walbridge@acme.com", PrivateKey: "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----"}
	sandbox.Name, sandbox.URL, sandbox.KeyCase = "sandbox", "https://acme--uat.sandbox.my.salesforce.com", KeyCaseExact
	sandbox.Salesforce = Salesforce{Version: "v65.0", AllowDuplicates: true, AssignmentRules: true, Bulk: SalesforceBulk{From: 0, Max: 500, Timeout: 2 * time.Hour},
		Login: SalesforceLogin{Grant: SalesforceRefresh, ClientID: "app-2", ClientSecret: "s3cret-token", RefreshToken: "s3cret-token-2"}}
	plain.Name, plain.URL = "plain", "https://acme.my.salesforce.com"
	plain.Salesforce.Login = SalesforceLogin{Grant: SalesforceClientCredentials, ClientID: "app-3", ClientSecret: "s3cret-token"}
	if want := []Target{crm, sandbox, plain}; !reflect.DeepEqual(c.Targets, want) {
		t.Errorf("got  %+v\nwant %+v", c.Targets, want)
	}
	if f := plain.Salesforce; plain.Timeout != time.Minute || plain.MaxBatch != 1000 || plain.KeyCase != KeyCaseInsensitive || f.Version != "v62.0" || f.Bulk != (SalesforceBulk{2000, 100_000, 30 * time.Minute}) {
		t.Errorf("defaults %+v", plain)
	}
	if got := c.Targets[0].Salesforce.Login.PrivateKey.Reveal(); got != crm.Salesforce.Login.PrivateKey.Reveal() || strings.Contains(fmt.Sprintf("%v %+v %#v", c, c, c), "s3cret") {
		t.Errorf("a secret is lost or shown: %.20q", got)
	}
}
