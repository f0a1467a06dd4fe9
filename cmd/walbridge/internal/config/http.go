package config

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// TypeHTTP is the type of targets that take JSON over HTTP.
const TypeHTTP = "http"

// HTTP are the settings of a target of TypeHTTP.
type HTTP struct {
	// Describe is where the schema of an object is asked for, with ObjectMark in place
	// of its name; "" if the target does not tell it.
	Describe Secret
	// Headers are sent with every request, in the order of the file.
	Headers []Header
	// Preset names the form of a known API; "" if it is that of APIs made for walbridge, or
	// Form or FormFile says it.
	Preset string
	// FormFile is the path of a file with a form, and Form the section that says it, or what is
	// different from the preset. What they hold is read where targets are opened.
	FormFile string
	Form     Section
	// Auth are the secrets that prove who we are, and the section that they are in.
	Auth Auth
	// Objects are what {object} stands for in a form, by the names that mappings use.
	Objects map[string]string
}

// Section is a part of a configuration file.
type Section struct {
	Doc  *yamldoc.Doc
	Node *yamldoc.Node // nil if it is not there
}

// Auth are secrets of a target of TypeHTTP.
type Auth struct {
	Section
	Token        Secret
	User         string
	Password     Secret
	ClientID     string
	ClientSecret Secret
	Keys         []Secret
}

// AuthSecrets are the keys of the section auth that Auth has; AuthKeys are its others, which
// belong to the form.
var (
	AuthSecrets = []string{"token", "user", "password", "client_id", "client_secret", "keys"}
	AuthKeys    = []string{"type", "header", "prefix", "name", "token_url", "scope", "algorithm", "signs", "signature", "separator", "key_encoding", "headers"}
)

// ObjectMark stands for the name of an object in HTTP.Describe.
const ObjectMark = "{object}"

// Header is one header of a target's requests.
type Header struct {
	Name  string
	Value Secret
}

var httpKind = kind{
	name: TypeHTTP,
	keys: []string{"describe", "headers", "preset", "form", "auth", "objects"},
	// How many records a request takes is said by the form.
	set: func(t *Target) { t.MaxBatch = 0 },
	load: func(l *loader, s *yamldoc.Section, t *Target) {
		l.secret(s.Node("describe"), &t.HTTP.Describe)
		l.headers(s.Node("headers"), t)
		s.Text("preset", &t.HTTP.Preset)
		l.form(s.Node("form"), &t.HTTP)
		l.auth(s.Node("auth"), &t.HTTP.Auth)
		l.objects(s.Node("objects"), &t.HTTP)
	},
	validate: (*Target).validateHTTP,
}

func (l *loader) headers(n *yamldoc.Node, t *Target) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.Map {
		l.doc.Fail(n, "want headers with their values, not "+n.Kind.String(), "", `write {Authorization: "Bearer ${CRM_TOKEN}"}`)
		return
	}
	for i, k := range n.Keys {
		h := Header{Name: k.Text}
		l.secret(n.Values[i], &h.Value)
		t.HTTP.Headers = append(t.HTTP.Headers, h)
	}
}

// form reads the path of a file, or keeps a section to be read later.
func (l *loader) form(n *yamldoc.Node, h *HTTP) {
	switch {
	case n == nil:
	case n.Kind == yamldoc.String:
		if h.FormFile = n.Text; !filepath.IsAbs(h.FormFile) {
			h.FormFile = filepath.Join(l.dir, h.FormFile)
		}
	case n.Kind == yamldoc.Map:
		h.Form = Section{l.doc.Fresh(), n}
	default:
		l.doc.Fail(n, "want a section of keys or the path of a file, not "+n.Kind.String(), n.Shown(), "write form: my-api.yaml")
	}
}

func (l *loader) auth(n *yamldoc.Node, a *Auth) {
	if n == nil {
		return
	}
	s := l.doc.Section(n, slices.Concat(AuthKeys, AuthSecrets)...)
	a.Section = Section{l.doc.Fresh(), n}
	l.secret(s.Node("token"), &a.Token)
	s.Text("user", &a.User)
	l.secret(s.Node("password"), &a.Password)
	s.Text("client_id", &a.ClientID)
	l.secret(s.Node("client_secret"), &a.ClientSecret)
	keys := s.Node("keys")
	if keys == nil {
		return
	}
	all := []*yamldoc.Node{keys}
	if keys.Kind == yamldoc.List {
		all = keys.Values
	}
	for _, k := range all {
		var key Secret
		l.secret(k, &key)
		a.Keys = append(a.Keys, key)
	}
}

func (l *loader) objects(n *yamldoc.Node, h *HTTP) {
	if n == nil {
		return
	}
	if n.Kind != yamldoc.Map {
		l.doc.Fail(n, "want names with what stands for them, not "+n.Kind.String(), n.Shown(), "write {Deals: 0a5de148-4864-41f3-bd59-03ee50435e14}")
		return
	}
	h.Objects = map[string]string{}
	for i, k := range n.Keys {
		var to string
		l.doc.Text(n.Values[i], &to)
		h.Objects[k.Text] = to
	}
}

func (t *Target) validateHTTP(v *validator, at string) {
	if h := &t.HTTP; t.URL != "" || h.Preset == "" && h.FormFile == "" && h.Form.Node == nil {
		t.needURL(v, at, []string{"http", "https"}, "write an address such as https://crm.example.com/batch")
	}
	t.validateDescribe(v, at+".describe")
	for _, h := range t.HTTP.Headers {
		v.form(at+".headers."+h.Name, h.Name, headerForm, "write a header's name, such as Authorization")
		if strings.ContainsAny(h.Value.Reveal(), "\r\n\x00") {
			v.fail(at+".headers."+h.Name, "the value has a line break", "", "a header is one line: look at the variable or file it comes from")
		}
	}
}

// validateDescribe looks for the object's name in what is sent: neither a host nor what
// follows # could have it.
func (t *Target) validateDescribe(v *validator, at string) {
	d := t.HTTP.Describe
	if d == "" {
		return
	}
	const example = "write an address such as https://crm.example.com/describe/" + ObjectMark
	before := len(v.errs)
	v.address(at, d, []string{"http", "https"}, example)
	sent, _, _ := strings.Cut(d.Reveal(), "#")
	if len(v.errs) == before && !strings.Contains(sent, ObjectMark) {
		v.fail(at, "the address has no "+ObjectMark, "", example)
	}
}
