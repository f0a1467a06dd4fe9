package config

import (
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
}

// ObjectMark stands for the name of an object in HTTP.Describe.
const ObjectMark = "{object}"

// Header is one header of a target's requests.
type Header struct {
	Name  string
	Value Secret
}

var httpKind = kind{
	name: TypeHTTP,
	keys: []string{"describe", "headers"},
	load: func(l *loader, s *yamldoc.Section, t *Target) {
		l.secret(s.Node("describe"), &t.HTTP.Describe)
		l.headers(s.Node("headers"), t)
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

func (t *Target) validateHTTP(v *validator, at string) {
	t.needURL(v, at, []string{"http", "https"}, "write an address such as https://crm.example.com/batch")
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
