package hubspot

import (
	"net/http"
)

// The pipeline of deals that every account has.
const defaultPipeline = "default"

var stages = []struct{ id, label string }{
	{"appointmentscheduled", "Appointment Scheduled"},
	{"qualifiedtobuy", "Qualified To Buy"},
	{"presentationscheduled", "Presentation Scheduled"},
	{"decisionmakerboughtin", "Decision Maker Bought-In"},
	{"contractsent", "Contract Sent"},
	{"closedwon", "Closed Won"},
	{"closedlost", "Closed Lost"},
}

func stageIDs() (ids []string) {
	for _, s := range stages {
		ids = append(ids, s.id)
	}
	return ids
}

// wireProperty is a property as GET properties gives it.
type wireProperty struct {
	Name           string       `json:"name"`
	Label          string       `json:"label"`
	Description    string       `json:"description"`
	GroupName      string       `json:"groupName"`
	Type           string       `json:"type"`
	FieldType      string       `json:"fieldType"`
	Options        []wireOption `json:"options"`
	HasUniqueValue bool         `json:"hasUniqueValue"`
	Calculated     bool         `json:"calculated"`
	HubspotDefined bool         `json:"hubspotDefined"`
	Hidden         bool         `json:"hidden"`
	FormField      bool         `json:"formField"`
	DisplayOrder   int          `json:"displayOrder"`
	Archived       bool         `json:"archived"`
	Modification   struct {
		Archivable         bool `json:"archivable"`
		ReadOnlyDefinition bool `json:"readOnlyDefinition"`
		ReadOnlyValue      bool `json:"readOnlyValue"`
	} `json:"modificationMetadata"`
}

type wireOption struct {
	Label        string `json:"label"`
	Value        string `json:"value"`
	DisplayOrder int    `json:"displayOrder"`
	Hidden       bool   `json:"hidden"`
}

func (p *Property) wire(t *table) wireProperty {
	w := wireProperty{Name: p.Name, Label: p.Label, GroupName: t.Singular + "information", Type: p.Type, FieldType: p.FieldType,
		Options: []wireOption{}, HasUniqueValue: p.Unique, Calculated: p.Calculated, HubspotDefined: !p.Custom, FormField: !p.ReadOnly, DisplayOrder: -1}
	if w.Label == "" {
		w.Label = p.Name
	}
	options := p.Options
	if p.Type == TypeBool {
		options = []string{"true", "false"}
	}
	for i, o := range options {
		w.Options = append(w.Options, wireOption{Label: o, Value: o, DisplayOrder: i})
	}
	w.Modification.ReadOnlyValue = p.ReadOnly || p.Calculated
	w.Modification.ReadOnlyDefinition = !p.Custom
	w.Modification.Archivable = p.Custom
	return w
}

// listProperties answers GET properties/{type}.
func listProperties(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	results := []wireProperty{}
	for i := range t.Properties {
		results = append(results, t.Properties[i].wire(t))
	}
	return reply{http.StatusOK, map[string]any{"results": results}}, nil
}

// readProperty answers GET properties/{type}/{name}.
func readProperty(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	p := t.byName[c.PathValue("name")]
	if p == nil {
		return reply{}, &fault{status: http.StatusNotFound, category: objectNotFound, message: unknownProperty(c.PathValue("name")).message,
			context: map[string][]string{"propertyName": {c.PathValue("name")}}}
	}
	return reply{http.StatusOK, p.wire(t)}, nil
}

type wireOwner struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Type      string `json:"type"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
	Archived  bool   `json:"archived"`
}

// listOwners answers GET owners, of one address where that is asked for.
func listOwners(s *Server, c *call) (reply, *fault) {
	email := c.URL.Query().Get("email")
	results := []wireOwner{}
	for _, o := range s.options.Owners {
		if email == "" || email == o.Email {
			results = append(results, wireOwner{ID: o.ID, Email: o.Email, FirstName: o.FirstName, LastName: o.LastName, Type: "PERSON",
				CreatedAt: stamp(c.now), UpdatedAt: stamp(c.now)})
		}
	}
	return reply{http.StatusOK, map[string]any{"results": results}}, nil
}

type wirePipeline struct {
	ID           string      `json:"id"`
	Label        string      `json:"label"`
	DisplayOrder int         `json:"displayOrder"`
	Archived     bool        `json:"archived"`
	CreatedAt    string      `json:"createdAt"`
	UpdatedAt    string      `json:"updatedAt"`
	Stages       []wireStage `json:"stages"`
}

type wireStage struct {
	ID           string            `json:"id"`
	Label        string            `json:"label"`
	DisplayOrder int               `json:"displayOrder"`
	Archived     bool              `json:"archived"`
	CreatedAt    string            `json:"createdAt"`
	UpdatedAt    string            `json:"updatedAt"`
	Metadata     map[string]string `json:"metadata"`
}

// listPipelines answers GET pipelines/{type}: deals have one.
func listPipelines(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	results := []wirePipeline{}
	if t.Name == "deals" {
		p := wirePipeline{ID: defaultPipeline, Label: "Sales Pipeline", CreatedAt: stamp(c.now), UpdatedAt: stamp(c.now)}
		for i, st := range stages {
			p.Stages = append(p.Stages, wireStage{ID: st.id, Label: st.label, DisplayOrder: i, CreatedAt: stamp(c.now), UpdatedAt: stamp(c.now), Metadata: map[string]string{}})
		}
		results = append(results, p)
	}
	return reply{http.StatusOK, map[string]any{"results": results}}, nil
}
