package salesforce

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// The grants by which a token is got.
const (
	GrantJWT               = "jwt"
	GrantClientCredentials = "client_credentials"
	GrantRefresh           = "refresh"
)

// Grants lists them.
func Grants() []string { return []string{GrantJWT, GrantClientCredentials, GrantRefresh} }

// Login says who walbridge is to Salesforce.
type Login struct {
	// Grant is one of Grants.
	Grant string
	// ClientID is the consumer key of the app, ClientSecret its secret (client_credentials,
	// and refresh where the app asks for it).
	ClientID     string
	ClientSecret transport.Secret
	// Username and PrivateKey (PEM) are for jwt.
	Username   string
	PrivateKey transport.Secret
	// Audience is whom the assertion of jwt is for; https://login.salesforce.com or
	// https://test.salesforce.com, as the url says, if empty.
	Audience string
	// RefreshToken is for refresh.
	RefreshToken transport.Secret
}

// Bulk are the bounds of jobs of Bulk API 2.0. There are no jobs if From is zero.
type Bulk struct {
	// From is the least number of records that make a job, Max the greatest.
	From, Max int
	// Timeout bounds a job, from its making to its results; 30 min if zero.
	Timeout time.Duration
	// MaxBytes bounds what is uploaded to one job: a greater batch becomes several, one after
	// the other. 100 MB if zero: Salesforce takes 150 MB after it has encoded it (Bulk API 2.0
	// limits).
	MaxBytes int
}

// Options say where and how to send.
type Options struct {
	// URL is the login host or, better, the org's My Domain: https://MYDOMAIN.my.salesforce.com.
	URL   string
	Login Login
	// Vault keeps what comes in place of the login's refresh token, for all processes; if nil
	// it is known to this client alone.
	Vault transport.Vault
	// Version is that of the API, such as v62.0, which it is if empty.
	Version string
	// AllowDuplicates saves records that a duplicate rule only warns of (the header
	// Sforce-Duplicate-Rule-Header, allowSave).
	AllowDuplicates bool
	// AssignmentRules lets the org's active assignment rules give accounts, cases and leads
	// other owners (the header Sforce-Auto-Assign). Salesforce does so by default; we do not.
	AssignmentRules bool
	// ExactKeys tells that the external id fields are case-sensitive. Salesforce's are not by
	// default: ABC and abc are one record.
	ExactKeys bool
	// Timeout bounds one Deliver, but for a job; 60 s if zero.
	Timeout time.Duration
	// MaxBatch is the greatest number of records of a Deliver; 1,000 if zero, which is what one
	// Composite request takes.
	MaxBatch int
	// MaxInFlight is the greatest number of requests at once; 4 if zero.
	MaxInFlight int
	Bulk        Bulk
	// Addresses are which addresses may be connected to; all if empty.
	Addresses sinks.Addresses
	// Transport makes the round trips; one that keeps to Addresses if nil.
	Transport http.RoundTripper
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

const (
	// DefaultVersion is one that every org has had since the autumn of 2024, and that
	// Salesforce keeps for at least three years.
	DefaultVersion = "v62.0"

	defaultTimeout     = 60 * time.Second
	defaultMaxInFlight = 4
	defaultBulkMax     = 100_000
	defaultBulkTimeout = 30 * time.Minute
	defaultBulkBytes   = 100 << 20

	// maxRows is what one sub-request of sObject Collections takes, and maxCollections how many
	// of those (and queries) one Composite request does (REST API guide, composite).
	maxRows        = 200
	maxCollections = 5
	maxSubs        = 25
	maxBatch       = maxRows * maxCollections
)

func (o *Options) defaults() {
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = maxBatch
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultMaxInFlight
	}
	if o.Bulk.Max <= 0 {
		o.Bulk.Max = defaultBulkMax
	}
	if o.Bulk.Timeout <= 0 {
		o.Bulk.Timeout = defaultBulkTimeout
	}
	if o.Bulk.MaxBytes <= 0 {
		o.Bulk.MaxBytes = defaultBulkBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// versionForm is what a version looks like. The header of duplicate rules is there since v52.0.
var versionForm = regexp.MustCompile(`^v(5[2-9]|[6-9][0-9])\.0$`)

func (o *Options) check() error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return errors.New("url: want https://MYDOMAIN.my.salesforce.com or https://login.salesforce.com")
	}
	if !versionForm.MatchString(o.Version) {
		return fmt.Errorf("version: %q is no version of the API from v52.0 on, such as %s", o.Version, DefaultVersion)
	}
	if o.MaxBatch > maxBatch {
		return fmt.Errorf("max_batch: %d is more than the %d records that one call takes", o.MaxBatch, maxBatch)
	}
	if o.Bulk.From > o.Bulk.Max {
		return fmt.Errorf("bulk.from: %d is more than bulk.max, %d", o.Bulk.From, o.Bulk.Max)
	}
	if err := o.Addresses.Validate(); err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	return nil
}

// grant makes the way to a token. The errors name the setting, and quote nothing secret.
func (o *Options) grant() (transport.Grant, error) {
	l, g := &o.Login, transport.Grant{URL: strings.TrimSuffix(o.URL, "/") + "/services/oauth2/token"}
	if l.ClientID == "" {
		return g, errors.New("login.client_id: it is missing; it is the consumer key of the app")
	}
	switch l.Grant {
	case GrantJWT:
		if l.Username == "" {
			return g, errors.New("login.username: it is missing; jwt needs the user to act for")
		}
		key, err := transport.ParseKey(l.PrivateKey)
		if err != nil {
			return g, fmt.Errorf("login.private_key: %w", err)
		}
		g.Form = transport.JWTBearer(transport.Assertion{Issuer: l.ClientID, Subject: l.Username, Audience: l.audience(o.URL), Key: key})
	case GrantClientCredentials:
		if l.ClientSecret == "" {
			return g, errors.New("login.client_secret: it is missing; client_credentials needs it")
		}
		g.Form = transport.ClientCredentials(l.ClientID, l.ClientSecret, "")
	case GrantRefresh:
		if l.RefreshToken == "" {
			return g, errors.New("login.refresh_token: it is missing; refresh needs it")
		}
		g.Form, g.Vault = transport.RefreshToken(l.ClientID, l.ClientSecret, l.RefreshToken), o.Vault
	default:
		return g, fmt.Errorf("login.grant: %q is none of %s", l.Grant, strings.Join(Grants(), ", "))
	}
	return g, nil
}

// audience is whom an assertion is for: one of two hosts, whatever the org's own is
// (help.salesforce.com, remoteaccess_oauth_jwt_flow).
func (l *Login) audience(address string) string {
	u, err := url.Parse(address)
	switch {
	case l.Audience != "":
		return l.Audience
	case err != nil || !strings.HasSuffix(u.Hostname(), ".salesforce.com"):
		return strings.TrimSuffix(address, "/")
	case u.Hostname() == "test.salesforce.com" || strings.Contains(u.Hostname(), ".sandbox."):
		return "https://test.salesforce.com"
	}
	return "https://login.salesforce.com"
}

func (o *Options) limits() sinks.Limits {
	l := sinks.Limits{MaxBatch: o.MaxBatch, MaxInFlight: o.MaxInFlight, Timeout: o.Timeout}
	if o.Bulk.From > 0 {
		l.Bulk = sinks.Bulk{From: o.Bulk.From, MaxBatch: o.Bulk.Max, Timeout: o.Bulk.Timeout}
	}
	return l
}
