package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// TypeHubSpot is the type of targets that are an account of HubSpot.
const TypeHubSpot = "hubspot"

// HubSpot are the settings of a target of TypeHubSpot.
type HubSpot struct {
	// Token is that of a private app; Login is of a public one. There is one of the two.
	Token Secret
	Login HubSpotLogin
	// Version is that of the API: a date such as 2026-03, or v3.
	Version      string
	Associations []HubSpotAssociation
}

// HubSpotLogin is that of a public app, by OAuth.
type HubSpotLogin struct {
	ClientID                   string
	ClientSecret, RefreshToken Secret
}

// HubSpotAssociation is an association that is not HubSpot's default, or with an object that
// not every account has.
type HubSpotAssociation struct {
	From, To, Name, Category string
	Type                     int
}

// maxHubSpotBatch is the most records that HubSpot takes in a request.
const maxHubSpotBatch = 100

var (
	hubSpotVersion    = regexp.MustCompile(`^(v3|20[0-9]{2}-(0[1-9]|1[0-2])(-beta)?)$`)
	hubSpotObject     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
	hubSpotCategories = []string{"HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED"}
)

var hubSpotKind = kind{
	name: TypeHubSpot,
	keys: []string{"token", "login", "version", "associations"},
	set: func(t *Target) {
		t.URL, t.Timeout, t.MaxBatch = "https://api.hubapi.com", 30*time.Second, maxHubSpotBatch
		t.HubSpot.Version = "2026-03"
	},
	load: func(l *loader, s *yamldoc.Section, t *Target) {
		h := &t.HubSpot
		l.secret(s.Node("token"), &h.Token)
		login := l.doc.Section(s.Node("login"), "client_id", "client_secret", "refresh_token")
		login.Text("client_id", &h.Login.ClientID)
		l.secret(login.Node("client_secret"), &h.Login.ClientSecret)
		l.secret(login.Node("refresh_token"), &h.Login.RefreshToken)
		s.Text("version", &h.Version)
		l.associations(s.Node("associations"), h)
	},
	validate: (*Target).validateHubSpot,
}

func (l *loader) associations(n *yamldoc.Node, h *HubSpot) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.List {
		l.doc.Fail(n, "want a list of associations, not "+n.Kind.String(), n.Shown(), "write {from: deals, to: companies, name: partner, category: USER_DEFINED, type: 36} as one of a list")
		return
	}
	for _, v := range n.Values {
		s := l.doc.Section(v, "from", "to", "name", "category", "type")
		var a HubSpotAssociation
		s.Text("from", &a.From)
		s.Text("to", &a.To)
		s.Text("name", &a.Name)
		s.Text("category", &a.Category)
		s.Int("type", &a.Type)
		h.Associations = append(h.Associations, a)
	}
}

func (t *Target) validateHubSpot(v *validator, at string) {
	t.needURL(v, at, []string{"http", "https"}, "leave it out for https://api.hubapi.com")
	h := &t.HubSpot
	switch l := h.Login; {
	case h.Token == "" && l == (HubSpotLogin{}):
		v.fail(at+".token", "nothing to log in with", "", "write the token of a private app, such as ${HUBSPOT_TOKEN}, or the login of a public one")
	case h.Token != "" && l != (HubSpotLogin{}):
		v.fail(at+".login", "a token is given too", "", "keep the token of a private app or the login of a public one")
	case h.Token == "" && (l.ClientID == "" || l.ClientSecret == "" || l.RefreshToken == ""):
		v.fail(at+".login", "a part of it is missing", "", "write client_id, client_secret and refresh_token")
	}
	if strings.ContainsAny(h.Token.Reveal(), " \t\r\n\x00") {
		v.fail(at+".token", "the value has a space or a line break", "", "look at the variable or file it comes from")
	}
	if !hubSpotVersion.MatchString(h.Version) {
		v.fail(at+".version", "not a version", h.Version, "write a date such as 2026-03, or v3")
	}
	if t.MaxBatch > maxHubSpotBatch {
		v.fail(at+".max_batch", "more than HubSpot takes in a request", fmt.Sprint(t.MaxBatch), fmt.Sprintf("write a number from 1 to %d", maxHubSpotBatch))
	}
	h.validateAssociations(v, at+".associations")
}

func (h *HubSpot) validateAssociations(v *validator, at string) {
	seen := map[[2]string]bool{}
	for i, a := range h.Associations {
		at := fmt.Sprintf("%s[%d]", at, i)
		if a.From == "" || a.To == "" {
			v.fail(at, "two objects are wanted", "", "write from and to, such as deals and companies")
			continue
		}
		name := a.Name
		if name == "" {
			name = a.To
		}
		const form = "write letters, digits, _ and -, such as deals or 2-1234567"
		v.form(at+".from", a.From, hubSpotObject, form)
		v.form(at+".to", a.To, hubSpotObject, form)
		if a.Name != "" {
			v.form(at+".name", a.Name, hubSpotObject, form)
		}
		if seen[[2]string{a.From, name}] {
			v.fail(at, "repeated association", name, "give each association of "+a.From+" a name of its own")
		}
		seen[[2]string{a.From, name}] = true
		v.number(at+".type", int64(a.Type), 0, 1<<31-1)
		if a.Category != "" && !slices.Contains(hubSpotCategories, a.Category) {
			v.choice(at+".category", a.Category, hubSpotCategories)
		}
		if a.Category != "" && a.Type == 0 {
			v.fail(at+".category", "a category without a type", "", "add type: the id that HubSpot shows of the label")
		}
	}
}
