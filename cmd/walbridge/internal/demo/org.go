package demo

import (
	"encoding/json"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/sandbox/captivateiq"
	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// The apps of the demo's mappings that are simulations: crm is a Salesforce org, commission
// an organization of CaptivateIQ.
const (
	crm        = "crm"
	commission = "commission"
)

// keyField is the external id of the org's objects, the key of the row.
const keyField = "External_Id__c"

// org is what the demo's org has of objects: standard fields, and fields that an admin made
// for the bridge.
func org() []salesforce.Object {
	text := func(name string, length int) salesforce.Field {
		return salesforce.Field{SchemaField: sinks.SchemaField{Name: name, Type: sinks.FieldText, Length: length}}
	}
	number := func(name string, precision, scale int) salesforce.Field {
		return salesforce.Field{SchemaField: sinks.SchemaField{Name: name, Type: sinks.FieldNumber, Precision: precision, Scale: scale}}
	}
	typed := func(name string, of sinks.FieldType) salesforce.Field {
		return salesforce.Field{SchemaField: sinks.SchemaField{Name: name, Type: of}}
	}
	needed := func(f salesforce.Field) salesforce.Field {
		f.Required, f.NotNull = true, true
		return f
	}
	key := number(keyField, 18, 0)
	key.ExternalID, key.Unique, key.Key = true, true, true
	account := typed("AccountId", sinks.FieldRef)
	account.ReferenceTo, account.Relationship = []string{"Account"}, "Account"
	return []salesforce.Object{
		{Name: "Account", Label: "Account", Prefix: "001", Fields: []salesforce.Field{key, text("Uid__c", 36), needed(text("Name", 255)), text("Industry", 255),
			number("NumberOfEmployees", 8, 0), number("AnnualRevenue", 18, 2), text("Website", 255), number("Rep__c", 18, 0), text("Tags__c", 255),
			number("Seats__c", 18, 0), number("Discount__c", 5, 2), text("Competitor__c", 255), typed("Active__c", sinks.FieldBoolean)}},
		{Name: "Contact", Label: "Contact", Prefix: "003", Fields: []salesforce.Field{key, account, text("FirstName", 40), needed(text("LastName", 80)),
			text("Email", 80), text("Phone", 40), text("Title", 128), typed("Reachable__c", sinks.FieldBoolean)}},
		{Name: "Lead", Label: "Lead", Prefix: "00Q", Fields: []salesforce.Field{key, text("FirstName", 40), needed(text("LastName", 80)), needed(text("Company", 255)),
			text("Email", 80), text("LeadSource", 255), text("Status", 255), number("Score__c", 3, 0), text("Rating", 255), number("Rep__c", 18, 0), text("Tags__c", 255),
			typed("First_Touch__c", sinks.FieldDate), typed("Created__c", sinks.FieldDate)}},
		{Name: "Opportunity", Label: "Opportunity", Prefix: "006", Fields: []salesforce.Field{key, account, needed(text("Name", 120)), number("Rep__c", 18, 0),
			needed(text("StageName", 255)), number("Amount", 18, 2), number("Probability", 3, 0), needed(typed("CloseDate", sinks.FieldDate)), text("NextStep", 255),
			number("Seats__c", 18, 0), text("Products__c", 255), typed("Signed__c", sinks.FieldBoolean), text("Description", 32000),
			typed("Last_Activity__c", sinks.FieldDate), typed("Closed__c", sinks.FieldDate)}},
	}
}

// fields gives what a target holds of one kind of object, by key as text. Where the org
// refers to a record by its own id, it gives the key of the row that this one was made of.
func (s *stage) fields(app, object string) map[string]map[string]json.RawMessage {
	switch app {
	case crm:
		return s.orgFields(object)
	case commission:
		return s.worksheetFields(object)
	}
	return s.sandbox.Fields(app, object)
}

// orgFields is what the Salesforce org holds.
func (s *stage) orgFields(object string) map[string]map[string]json.RawMessage {
	keys := map[string]json.RawMessage{}
	for _, row := range s.org.Records("Account", 0) {
		keys[row.ID] = row.Fields[keyField]
	}
	out := map[string]map[string]json.RawMessage{}
	for _, o := range org() {
		if o.Name != object {
			continue
		}
		for _, row := range s.org.Records(object, 0) {
			out[string(row.Fields[keyField])] = asWritten(o, row, keys)
		}
	}
	return out
}

// asWritten gives the fields of a record as they were written.
func asWritten(o salesforce.Object, row sim.Row, keys map[string]json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, f := range o.Fields {
		v, ok := row.Fields[f.Name]
		switch {
		case f.Name == keyField:
			continue
		case !ok:
			v = json.RawMessage("null")
		case f.Relationship != "":
			var id string
			if json.Unmarshal(v, &id) == nil && keys[id] != nil {
				v = keys[id]
			}
		}
		out[f.Name] = v
	}
	return out
}

// The columns that tell the records of a worksheet apart.
const (
	dealColumn  = "Deal"
	splitColumn = "Split"
)

// worksheets are the tables of the demo's commission plan, by their UUIDs.
func worksheets() []captivateiq.Worksheet {
	text, number := captivateiq.TypeText, captivateiq.TypeNumber
	return []captivateiq.Worksheet{
		{ID: "7f0c1f5e-3b0a-4f57-9d0e-5a1d7c3e0001", Name: "Deal", Workbook: "Commission", UniqueID: dealColumn, Columns: []captivateiq.Column{
			{Name: dealColumn, Type: text}, {Name: "Title", Type: text}, {Name: "Owner", Type: number}, {Name: "Amount", Type: number},
			{Name: "Commission", Type: number}, {Name: "Closed", Type: captivateiq.TypeDate}}},
		{ID: "7f0c1f5e-3b0a-4f57-9d0e-5a1d7c3e0002", Name: "Split", Workbook: "Commission", UniqueID: splitColumn, Columns: []captivateiq.Column{
			{Name: splitColumn, Type: text}, {Name: dealColumn, Type: text}, {Name: "Rep", Type: number}, {Name: "Percent", Type: number}, {Name: "Share", Type: number}}},
	}
}

// worksheetFields is what CaptivateIQ holds.
func (s *stage) worksheetFields(object string) map[string]map[string]json.RawMessage {
	out := map[string]map[string]json.RawMessage{}
	for _, w := range worksheets() {
		if w.Name != object {
			continue
		}
		for _, row := range s.plan.Records(object, 0) {
			fields := map[string]json.RawMessage{}
			for name, v := range row.Fields {
				if name != w.UniqueID {
					fields[name] = v
				}
			}
			out[row.ID] = fields
		}
	}
	return out
}
