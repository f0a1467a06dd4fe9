package hubspot

import (
	"net/url"
	"strings"
)

// recordID is the property that holds HubSpot's own id of a record. It is no unique property
// to the API: records are updated by it, and never made.
const recordID = "hs_object_id"

// associationPrefix begins the name of a field that is an association.
const associationPrefix = "association."

// standard are the types of objects that every account may have, by the name that paths use
// (developers.hubspot.com, "Understanding the CRM": object type ids).
var standard = []struct{ name, singular, id string }{
	{"contacts", "contact", "0-1"},
	{"companies", "company", "0-2"},
	{"deals", "deal", "0-3"},
	{"tickets", "ticket", "0-5"},
	{"products", "product", "0-7"},
	{"line_items", "line_item", "0-8"},
	{"quotes", "quote", "0-14"},
	{"leads", "lead", "0-136"},
	{"orders", "order", "0-123"},
}

// canonical is the one name of a type of objects that may be called by several.
func canonical(object string) string {
	for _, s := range standard {
		if object == s.singular || object == s.id {
			return s.name
		}
	}
	return object
}

// paths are those of one version of the API.
type paths struct{ root, version string }

// objects is the path of calls about the records of a type.
func (p paths) objects(object, call string) string {
	if p.version == LegacyVersion {
		return p.root + "/crm/v3/objects/" + url.PathEscape(object) + "/" + call
	}
	return p.root + "/crm/objects/" + p.version + "/" + url.PathEscape(object) + "/" + call
}

// associations is that of calls about what two types have between them.
func (p paths) associations(from, to, call string) string {
	return p.root + "/crm/v4/associations/" + url.PathEscape(from) + "/" + url.PathEscape(to) + "/" + call
}

func (p paths) properties(object string) string {
	return p.root + "/crm/v3/properties/" + url.PathEscape(object)
}

// token is that of the OAuth API by date: v1 ends on 2027-02-16
// (developers.hubspot.com/changelog/v1-oauth-api-deprecation).
func (p paths) token() string { return p.root + "/oauth/2026-03/token" }

// associationOf gives the name of the association that a field is; ok is false where it is
// a property.
func associationOf(field string) (name string, ok bool) {
	return strings.CutPrefix(field, associationPrefix)
}

// association says what a field of the records of a type associates them with.
func (c *Client) association(object, name string) Association {
	for _, a := range c.associations {
		if canonical(a.From) == canonical(object) && a.name() == name {
			return a
		}
	}
	return Association{From: object, To: name}
}
