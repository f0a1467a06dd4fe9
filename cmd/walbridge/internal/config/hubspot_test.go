package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func init() {
	maps.Copy(badFiles, map[string]string{
		"hubspot-association-category": `8:68: targets.crm.associations[0].category: unknown value "MINE"; write one of HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED`,
		"hubspot-association-ends":     `8:20: targets.crm.associations[0]: two objects are wanted; write from and to, such as deals and companies`,
		"hubspot-association-id":       `8:55: targets.crm.associations[0].type: out of range "-1"; write a number from 0 to 2147483647`,
		"hubspot-association-key":      `8:49: targets.crm.associations[0].label: unknown key "label"; known keys are from, to, name, category, type`,
		"hubspot-association-name":     `8:38: targets.crm.associations[0].to: not a valid name "a b"; write letters, digits, _ and -, such as deals or 2-1234567`,
		"hubspot-association-no-type":  `8:59: targets.crm.associations[0].category: a category without a type; add type: the id that HubSpot shows of the label`,
		"hubspot-association-twice":    `8:50: targets.crm.associations[1]: repeated association "companies"; give each association of deals a name of its own`,
		"hubspot-associations-type":    `8:19: targets.crm.associations: want a list of associations, not a section of keys; write {from: deals, to: companies, name: partner, category: USER_DEFINED, type: 36} as one of a list`,
		"hubspot-batch":                `8:16: targets.crm.max_batch: more than HubSpot takes in a request "101"; write a number from 1 to 100`,
		"hubspot-login-key":            `7:13: targets.crm.login.client: unknown key "client"; did you mean client_id?`,
		"hubspot-login":                `7:12: targets.crm.login: a part of it is missing; write client_id, client_secret and refresh_token`,
		"hubspot-no-login":             `6:5: targets.crm.token: nothing to log in with; write the token of a private app, such as ${HUBSPOT_TOKEN}, or the login of a public one`,
		"hubspot-token-break":          `7:12: targets.crm.token: the value has a space or a line break "${BROKEN}"; look at the variable or file it comes from`,
		"hubspot-two-logins":           `8:12: targets.crm.login: a token is given too; keep the token of a private app or the login of a public one`,
		"hubspot-url":                  `8:10: targets.crm.url: the address does not begin with http:// or https://; leave it out for https://api.hubapi.com`,
		"hubspot-version":              `8:14: targets.crm.version: not a version "v4"; write a date such as 2026-03, or v3`,
	})
	beyondForm = append(beyondForm, "hubspot-no-login", "hubspot-association-twice", "hubspot-batch", "hubspot-login", "hubspot-token-break", "hubspot-two-logins", "hubspot-url")
}

func TestHubSpotFile(t *testing.T) {
	c := load(t, "hubspot.good.yml")
	crm, eu := DefaultTarget(TypeHubSpot), DefaultTarget(TypeHubSpot)
	crm.Name, crm.HubSpot.Token = "crm", "s3cret-token"
	eu.Name, eu.URL, eu.MaxBatch = "eu", "http://127.0.0.1:8080", 50
	eu.HubSpot = HubSpot{Version: "v3", Login: HubSpotLogin{"app-1", "s3cret-token", "s3cret-token-2"}, Associations: []HubSpotAssociation{
		{From: "deals", To: "companies", Name: "partner", Category: "USER_DEFINED", Type: 36}, {From: "deals", To: "2-1234567"}}}
	if want := []Target{crm, eu}; !reflect.DeepEqual(c.Targets, want) {
		t.Errorf("got  %+v\nwant %+v", c.Targets, want)
	}
	if crm.URL != "https://api.hubapi.com" || crm.Timeout != 30*time.Second || crm.MaxBatch != 100 || crm.HubSpot.Version != "2026-03" {
		t.Errorf("defaults %+v", crm)
	}
	if c.Targets[1].HubSpot.Login.RefreshToken.Reveal() != "s3cret-token-2" || strings.Contains(fmt.Sprintf("%v %+v %#v", c, c, c), "s3cret") {
		t.Error("a secret is lost or shown")
	}
}

// The configurations that the page shows are right.
func TestHubSpotPage(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/targets/hubspot.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```yaml\ntargets:\n(.*?)```").FindAllSubmatch(page, -1)
	for i, m := range shown {
		text := "postgres: {url: '${DATABASE_URL}'}\nredis: {url: 'redis://redis'}\nmappings: [m.yaml]\ntargets:\n" + string(m[1])
		_, err := parse("page.yml", []byte(text), func(name string) (string, bool) {
			if strings.HasPrefix(name, "HUBSPOT_") {
				return "s3cret", true
			}
			return testEnv(name)
		})
		if err != nil {
			t.Errorf("configuration %d of the page: %v", i+1, err)
		}
	}
	if len(shown) < 2 {
		t.Errorf("the page shows %d configurations", len(shown))
	}
	for _, key := range append([]string{"url", "timeout", "max_batch", "key_case"}, hubSpotKind.keys...) {
		if !strings.Contains(string(page), "\n| `"+key+"` |") {
			t.Errorf("the page does not tell of %s", key)
		}
	}
}
