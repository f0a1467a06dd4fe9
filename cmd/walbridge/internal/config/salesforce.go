package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// TypeSalesforce is the type of targets that are an org of Salesforce.
const TypeSalesforce = "salesforce"

// Salesforce are the settings of a target of TypeSalesforce.
type Salesforce struct {
	Login SalesforceLogin
	// Version is that of the API, such as v62.0.
	Version string
	// AllowDuplicates saves what a duplicate rule only warns of, AssignmentRules lets the
	// org's assignment rules give records another owner.
	AllowDuplicates, AssignmentRules bool
	// Bulk are the bounds of jobs of Bulk API 2.0.
	Bulk SalesforceBulk
}

// SalesforceLogin says who walbridge is to the org.
type SalesforceLogin struct {
	Grant                                  string // one of the Salesforce grants
	ClientID, Username, Audience           string
	ClientSecret, PrivateKey, RefreshToken Secret
}

// SalesforceBulk are the bounds of jobs; there are none with From zero.
type SalesforceBulk struct {
	From, Max int
	Timeout   time.Duration
}

// The ways in which a token of Salesforce is got.
const (
	SalesforceJWT               = "jwt"
	SalesforceClientCredentials = "client_credentials"
	SalesforceRefresh           = "refresh"
)

// maxSalesforceBatch is the most records that one Composite request takes.
const maxSalesforceBatch = 1000

var salesforceVersion = regexp.MustCompile(`^v(5[2-9]|[6-9][0-9])\.0$`)

var salesforceKind = kind{
	name: TypeSalesforce,
	keys: []string{"login", "version", "duplicates", "assignment", "bulk"},
	set: func(t *Target) {
		t.Timeout, t.MaxBatch, t.KeyCase = time.Minute, maxSalesforceBatch, KeyCaseInsensitive
		t.Salesforce = Salesforce{Version: "v62.0", Bulk: SalesforceBulk{From: 2000, Max: 100_000, Timeout: 30 * time.Minute}}
	},
	load: func(l *loader, s *yamldoc.Section, t *Target) {
		f := &t.Salesforce
		login := l.doc.Section(s.Node("login"), "grant", "client_id", "client_secret", "username", "private_key", "audience", "refresh_token")
		login.Text("grant", &f.Login.Grant)
		login.Text("client_id", &f.Login.ClientID)
		l.secret(login.Node("client_secret"), &f.Login.ClientSecret)
		login.Text("username", &f.Login.Username)
		l.secret(login.Node("private_key"), &f.Login.PrivateKey)
		login.Text("audience", &f.Login.Audience)
		l.secret(login.Node("refresh_token"), &f.Login.RefreshToken)
		s.Text("version", &f.Version)
		l.doc.Section(s.Node("duplicates"), "allow_save").Bool("allow_save", &f.AllowDuplicates)
		s.Bool("assignment", &f.AssignmentRules)
		bulk := l.doc.Section(s.Node("bulk"), "from", "max", "timeout")
		bulk.Int("from", &f.Bulk.From)
		bulk.Int("max", &f.Bulk.Max)
		bulk.Duration("timeout", &f.Bulk.Timeout)
	},
	validate: (*Target).validateSalesforce,
}

func (t *Target) validateSalesforce(v *validator, at string) {
	t.needURL(v, at, []string{"http", "https"}, "write the org's My Domain, such as https://acme.my.salesforce.com")
	f := &t.Salesforce
	f.Login.check(v, at+".login")
	if !salesforceVersion.MatchString(f.Version) {
		v.fail(at+".version", "not a version from v52.0 on", f.Version, "write one such as v62.0")
	}
	if t.MaxBatch > maxSalesforceBatch {
		v.fail(at+".max_batch", "more than Salesforce takes in a request", fmt.Sprint(t.MaxBatch), fmt.Sprintf("write a number from 1 to %d", maxSalesforceBatch))
	}
	v.number(at+".bulk.from", int64(f.Bulk.From), 0, 1_000_000)
	v.number(at+".bulk.max", int64(f.Bulk.Max), 1, 1_000_000)
	if f.Bulk.Max > 0 && f.Bulk.From > f.Bulk.Max {
		v.fail(at+".bulk.from", "more than max", fmt.Sprint(f.Bulk.From), "a job has at least from records, and at most max: set both")
	}
	v.span(at+".bulk.timeout", f.Bulk.Timeout, time.Minute, 24*time.Hour)
}

// check finds what a grant lacks, and what belongs to another one.
func (l *SalesforceLogin) check(v *validator, at string) {
	grants := []string{SalesforceJWT, SalesforceClientCredentials, SalesforceRefresh}
	v.choice(at+".grant", l.Grant, grants)
	if !slices.Contains(grants, l.Grant) {
		return
	}
	for _, part := range []struct {
		name, value string
		needed      []string
		may         []string
		hint        string
	}{
		{"client_id", l.ClientID, grants, nil, "write the consumer key of the app"},
		{"client_secret", l.ClientSecret.Reveal(), []string{SalesforceClientCredentials}, []string{SalesforceRefresh}, "write the consumer secret of the app, such as ${SALESFORCE_SECRET}"},
		{"username", l.Username, []string{SalesforceJWT}, nil, "write the name of the integration user, such as walbridge@acme.com"},
		{"private_key", l.PrivateKey.Reveal(), []string{SalesforceJWT}, nil, "write file:/run/secrets/salesforce.pem, the key of the app's certificate"},
		{"audience", l.Audience, nil, []string{SalesforceJWT}, ""},
		{"refresh_token", l.RefreshToken.Reveal(), []string{SalesforceRefresh}, nil, "write what Salesforce gave for the app, such as ${SALESFORCE_REFRESH}"},
	} {
		needs := slices.Contains(part.needed, l.Grant)
		switch {
		case part.value == "" && needs:
			v.fail(at+"."+part.name, "missing", "", part.hint)
		case part.value != "" && !needs && !slices.Contains(part.may, l.Grant):
			v.fail(at+"."+part.name, "not of the grant "+l.Grant, "", "leave it out, or choose the grant that it belongs to")
		case part.name != "private_key" && strings.ContainsAny(part.value, " \t\r\n\x00"):
			v.fail(at+"."+part.name, "the value has a space or a line break", "", "look at the variable or file it comes from")
		}
	}
}
