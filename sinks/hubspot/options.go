package hubspot

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

// Secret is a text that is shown nowhere.
type Secret = transport.Secret

// Defaults of Options. HubSpot bounds a batch to 100 inputs, and takes 190 requests in ten
// seconds of a private app (developers.hubspot.com, usage guidelines), which four at once do
// not reach by far.
const (
	DefaultURL         = "https://api.hubapi.com"
	DefaultVersion     = "2026-03"
	DefaultTimeout     = 30 * time.Second
	DefaultMaxInFlight = 4
	MaxBatch           = 100
)

// LegacyVersion is the API without a date in its paths.
const LegacyVersion = "v3"

// versionForm is what a version looks like that is not LegacyVersion.
var versionForm = regexp.MustCompile(`^20[0-9]{2}-(0[1-9]|1[0-2])(-beta)?$`)

// Login is that of a public app, by OAuth.
type Login struct {
	ClientID     string
	ClientSecret Secret
	// RefreshToken is what HubSpot gave when the account installed the app.
	RefreshToken Secret
}

// Association is how records are associated, where that is not by HubSpot's default between
// their types.
type Association struct {
	// From and To are types of objects, as in the paths of the API: deals, 2-1234567.
	From, To string
	// Name is that of the field, after "association."; To if empty.
	Name string
	// Category is HUBSPOT_DEFINED, USER_DEFINED or INTEGRATOR_DEFINED; the first if empty.
	Category string
	// Type is the id of the association's type in that category; zero is the default.
	Type int
}

// Options say where and how to send.
type Options struct {
	// URL is DefaultURL if empty.
	URL string
	// Token is that of a private app; Login is of a public one. One of them is wanted.
	Token Secret
	Login Login
	// Vault keeps what comes in place of the login's refresh token, for all processes; if nil
	// it is known to this client alone.
	Vault transport.Vault
	// Version is a date such as 2026-03, or LegacyVersion; DefaultVersion if empty.
	Version string
	// Timeout bounds one Deliver, which may be a few requests; DefaultTimeout if zero.
	Timeout time.Duration
	// MaxBatch is the greatest number of records of a request, at most MaxBatch, which it is
	// if zero.
	MaxBatch int
	// MaxInFlight is the greatest number of batches at once; DefaultMaxInFlight if zero.
	MaxInFlight int
	// Associations are those that are not HubSpot's default, and those with objects of the
	// account's own.
	Associations []Association
	// IgnoreKeyCase tells that unique properties take values for the same that differ in case
	// only. The email of a contact always does.
	IgnoreKeyCase bool
	// Addresses are which addresses may be connected to; all if empty.
	Addresses sinks.Addresses
	// Transport makes the round trips; one that keeps to Addresses if nil.
	Transport http.RoundTripper
	// Now gives the time; time.Now if nil.
	Now func() time.Time
}

func (o *Options) defaults() {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = MaxBatch
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = DefaultMaxInFlight
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
}

// check says what is wrong, by the name of the setting.
func (o *Options) check() error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("url: want https://host, without a query")
	}
	switch l := o.Login; {
	case o.Token == "" && l == (Login{}):
		return errors.New("token: want that of a private app, or a login")
	case o.Token != "" && l != (Login{}):
		return errors.New("login: there is a token too; want one of the two")
	case o.Token == "" && (l.ClientID == "" || l.ClientSecret == "" || l.RefreshToken == ""):
		return errors.New("login: want client_id, client_secret and refresh_token")
	case strings.ContainsAny(o.Token.Reveal(), " \r\n\t\x00"):
		return errors.New("token: it has a space or a line break; check the file or variable it comes from")
	}
	if o.Version != LegacyVersion && !versionForm.MatchString(o.Version) {
		return fmt.Errorf("version: want a date such as %s, or %s", DefaultVersion, LegacyVersion)
	}
	if o.MaxBatch > MaxBatch {
		return fmt.Errorf("max_batch: HubSpot takes at most %d", MaxBatch)
	}
	if err := o.Addresses.Validate(); err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	return o.checkAssociations()
}

func (o *Options) checkAssociations() error {
	seen := make(map[[2]string]bool, len(o.Associations))
	for i, a := range o.Associations {
		at := [2]string{canonical(a.From), a.name()}
		switch {
		case a.From == "" || a.To == "":
			return fmt.Errorf("associations[%d]: want from and to", i)
		case strings.ContainsAny(a.name(), "=;"):
			return fmt.Errorf("associations[%d].name: want letters, digits, _ and -", i)
		case seen[at]:
			return fmt.Errorf("associations[%d]: %s has an association %s already; give it a name of its own", i, a.From, a.name())
		case a.Type < 0:
			return fmt.Errorf("associations[%d].type: want the id of an association type", i)
		case a.Type == 0 && a.Category != "":
			return fmt.Errorf("associations[%d].category: a category is of a type; give the type too", i)
		}
		switch a.Category {
		case "", hubspotDefined, "USER_DEFINED", "INTEGRATOR_DEFINED":
		default:
			return fmt.Errorf("associations[%d].category: want HUBSPOT_DEFINED, USER_DEFINED or INTEGRATOR_DEFINED", i)
		}
		seen[at] = true
	}
	return nil
}

const hubspotDefined = "HUBSPOT_DEFINED"

func (a *Association) name() string {
	if a.Name == "" {
		return a.To
	}
	return a.Name
}
