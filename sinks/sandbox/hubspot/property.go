package hubspot

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types of properties, as HubSpot names them.
const (
	TypeString   = "string"
	TypeNumber   = "number"
	TypeDate     = "date"
	TypeDateTime = "datetime"
	TypeEnum     = "enumeration"
	TypeBool     = "bool"
)

// Property is a property of an object type.
type Property struct {
	Name, Label string
	Type        string // one of the types above
	FieldType   string // how people enter it, such as text or checkbox; checkbox takes several options
	Options     []string
	// Unique tells that no two records can have the same value, so that a record can be
	// named by it (idProperty).
	Unique bool
	// ReadOnly tells that HubSpot sets it and nobody else; Calculated that it does so by a
	// formula, which is read-only too.
	ReadOnly, Calculated bool
	// Required tells that a record cannot be made without it.
	Required bool
	// Custom tells that the account made it, not HubSpot.
	Custom bool

	email bool
}

// longest is the most characters of a text.
const longest = 65536

var (
	number  = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$`)
	integer = regexp.MustCompile(`^-?\d{1,18}$`)
	address = regexp.MustCompile(`^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$`)
)

// invalid is what is wrong with a value.
type invalid struct{ code, message string }

// normalize gives a value as HubSpot keeps it, or says why it is none of the property. The
// empty text, which clears it, is a value of each.
func (p *Property) normalize(value string) (string, *invalid) {
	switch {
	case p.ReadOnly || p.Calculated:
		return "", &invalid{"READ_ONLY_VALUE", fmt.Sprintf("%q is a read only property; its value cannot be set", p.Name)}
	case value == "":
		return "", nil
	case p.email:
		if !address.MatchString(value) {
			return "", &invalid{"INVALID_EMAIL", fmt.Sprintf("Email address %s is invalid", value)}
		}
		return strings.ToLower(value), nil
	}
	switch p.Type {
	case TypeNumber:
		if !number.MatchString(value) {
			return "", &invalid{"INVALID_NUMBER", value + " was not a valid number."}
		}
	case TypeDate, TypeDateTime:
		return p.normalizeTime(value)
	case TypeEnum:
		chosen := []string{value}
		if p.FieldType == "checkbox" {
			chosen = strings.Split(value, ";")
		}
		for _, v := range chosen {
			if !slices.Contains(p.Options, v) {
				return "", notAnOption(v, p.Options)
			}
		}
	case TypeBool:
		if value != "true" && value != "false" {
			return "", notAnOption(value, []string{"true", "false"})
		}
	default:
		if len([]rune(value)) > longest {
			return "", &invalid{"INVALID_LENGTH", fmt.Sprintf("Property value has more than %d characters", longest)}
		}
	}
	return value, nil
}

func notAnOption(value string, options []string) *invalid {
	return &invalid{"INVALID_OPTION", fmt.Sprintf("%s was not one of the allowed options: [%s]", value, strings.Join(options, ", "))}
}

// normalizeTime reads milliseconds since 1970 or ISO 8601. A date is a midnight of UTC.
func (p *Property) normalizeTime(value string) (string, *invalid) {
	notTime := &invalid{"INVALID_LONG", value + " was not a valid long."}
	var at time.Time
	switch {
	case integer.MatchString(value):
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return "", notTime
		}
		at = time.UnixMilli(ms).UTC()
	default:
		var err error
		if at, err = time.Parse(time.DateOnly, value); err != nil {
			if at, err = time.Parse(time.RFC3339Nano, value); err != nil {
				return "", notTime
			}
			at = at.UTC()
		}
	}
	if p.Type == TypeDateTime {
		return stamp(at), nil
	}
	if !at.Equal(at.Truncate(24 * time.Hour)) {
		return "", &invalid{"INVALID_DATE", fmt.Sprintf("%s is at %d:%d:%d.%d UTC, not midnight!",
			value, at.Hour(), at.Minute(), at.Second(), at.Nanosecond()/1e6)}
	}
	return at.Format(time.DateOnly), nil
}

// stamp writes a time as HubSpot does, to the millisecond.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// ObjectType is a kind of record and its properties.
type ObjectType struct {
	// Name is the plural that paths use, such as deals; Singular another that they may
	// use, and ID the third, such as 0-3.
	Name, Singular, ID string
	Properties         []Property
	// modified is the property with the time of the last change.
	modified string
}

// DefaultTypes are contacts, companies, deals and goal targets (quotas) with some of HubSpot's own properties and,
// each, wb_key: a unique text of the account's own, for another system's key.
func DefaultTypes() []ObjectType {
	key := Property{Name: "wb_key", Label: "walbridge key", Type: TypeString, FieldType: "text", Unique: true, Custom: true}
	text := func(names ...string) (out []Property) {
		for _, name := range names {
			out = append(out, Property{Name: name, Type: TypeString, FieldType: "text"})
		}
		return out
	}
	owner := Property{Name: "hubspot_owner_id", Label: "Owner", Type: TypeString, FieldType: "text"}
	return []ObjectType{
		{Name: "contacts", Singular: "contact", ID: "0-1", modified: "lastmodifieddate",
			Properties: append(text("firstname", "lastname", "phone", "company", "jobtitle"), key, owner,
				Property{Name: "email", Type: TypeString, FieldType: "text", Unique: true, email: true},
				Property{Name: "date_of_birth", Type: TypeDate, FieldType: "date"},
				Property{Name: "lifecyclestage", Type: TypeEnum, FieldType: "radio", Options: []string{"subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist", "other"}},
				Property{Name: "hs_lead_status", Type: TypeEnum, FieldType: "radio", Options: []string{"NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED", "BAD_TIMING"}},
				Property{Name: "wb_score", Type: TypeNumber, FieldType: "number", Custom: true},
				Property{Name: "wb_vip", Type: TypeBool, FieldType: "booleancheckbox", Custom: true},
				Property{Name: "wb_regions", Type: TypeEnum, FieldType: "checkbox", Options: []string{"emea", "amer", "apac"}, Custom: true})},
		{Name: "companies", Singular: "company", ID: "0-2", modified: "hs_lastmodifieddate",
			Properties: append(text("name", "domain", "phone", "city", "country", "description"), key, owner,
				Property{Name: "numberofemployees", Type: TypeNumber, FieldType: "number"},
				Property{Name: "annualrevenue", Type: TypeNumber, FieldType: "number"})},
		{Name: "deals", Singular: "deal", ID: "0-3", modified: "hs_lastmodifieddate",
			Properties: append(text("description"), key, owner,
				Property{Name: "dealname", Type: TypeString, FieldType: "text", Required: true},
				Property{Name: "amount", Type: TypeNumber, FieldType: "number"},
				Property{Name: "closedate", Type: TypeDateTime, FieldType: "date"},
				Property{Name: "pipeline", Type: TypeEnum, FieldType: "select", Options: []string{defaultPipeline}},
				Property{Name: "dealstage", Type: TypeEnum, FieldType: "radio", Options: stageIDs()},
				Property{Name: "dealtype", Type: TypeEnum, FieldType: "radio", Options: []string{"newbusiness", "existingbusiness"}},
				Property{Name: "hs_manual_forecast_category", Type: TypeEnum, FieldType: "select", Options: []string{"OMIT", "PIPELINE", "BEST_CASE", "COMMIT", "CLOSED"}},
				Property{Name: "hs_forecast_amount", Type: TypeNumber, FieldType: "number"},
				Property{Name: "hs_projected_amount", Type: TypeNumber, FieldType: "calculation_equation", Calculated: true},
				Property{Name: "wb_renewal", Type: TypeDate, FieldType: "date", Custom: true})},
		{Name: "goal_targets", Singular: "goal_target", ID: "0-74", modified: "hs_lastmodifieddate",
			Properties: append(text("hs_goal_name", "hs_created_by_user_id"), key, owner,
				Property{Name: "hs_target_amount", Type: TypeNumber, FieldType: "number"},
				Property{Name: "hs_start_datetime", Type: TypeDateTime, FieldType: "date"},
				Property{Name: "hs_end_datetime", Type: TypeDateTime, FieldType: "date"})},
	}
}

// system are the properties that each type has and that HubSpot sets.
func (t *ObjectType) system() []Property {
	return []Property{
		{Name: "hs_object_id", Label: "Record ID", Type: TypeNumber, FieldType: "number", ReadOnly: true},
		{Name: "createdate", Label: "Create date", Type: TypeDateTime, FieldType: "date", ReadOnly: true},
		{Name: t.modified, Label: "Last modified date", Type: TypeDateTime, FieldType: "date", ReadOnly: true},
	}
}
