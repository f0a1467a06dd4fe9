package salesforce

import (
	"encoding/json"

	"github.com/walbridge/walbridge/sinks"
)

// seeded are the records of an org when it is new. The first user is the one that clients
// act for, the third has left; the queue gets leads from the assignment rule.
var seeded = map[string][]map[string]json.RawMessage{"User": seededUsers, "Group": {
	{"Name": quote("Lead Queue"), "DeveloperName": quote("Lead_Queue"), "Type": quote("Queue")},
}}

var seededUsers = []map[string]json.RawMessage{
	{"Username": quote("integration@example.com"), "Email": quote("integration@example.com"), "Name": quote("Integration User"), "Employee_No__c": quote("0"), "IsActive": flag(true)},
	{"Username": quote("cleo@example.com"), "Email": quote("cleo@example.com"), "Name": quote("Cleo Manager"), "Employee_No__c": quote("1"), "IsActive": flag(true)},
	{"Username": quote("left@example.com"), "Email": quote("left@example.com"), "Name": quote("Someone Who Left"), "Employee_No__c": quote("2"), "IsActive": flag(false)},
	{"Username": quote("ada@example.com"), "Email": quote("ada@example.com"), "Name": quote("Ada Seller"), "Employee_No__c": quote("7"), "IsActive": flag(true)},
	{"Username": quote("ben@example.com"), "Email": quote("ben@example.com"), "Name": quote("Ben Seller"), "Employee_No__c": quote("8"), "IsActive": flag(true)},
}

const (
	userPrefix  = "005"
	groupPrefix = "00G"
)

// text, number and so on are the parts of fields that they have in common.
func text(name string, length int) Field {
	return Field{SchemaField: sinks.SchemaField{Name: name, Type: sinks.FieldText, Length: length}}
}

func number(name string, precision, scale int) Field {
	return Field{SchemaField: sinks.SchemaField{Name: name, Type: sinks.FieldNumber, Precision: precision, Scale: scale}}
}

func typed(name string, t sinks.FieldType) Field {
	return Field{SchemaField: sinks.SchemaField{Name: name, Type: t}}
}

func reference(name, relationship string, to ...string) Field {
	return Field{SchemaField: sinks.SchemaField{Name: name, Type: sinks.FieldRef}, Relationship: relationship, ReferenceTo: to}
}

func picklist(name string, values ...string) Field {
	f := text(name, 255)
	f.Values = values
	return f
}

func checkbox(name string) Field {
	f := typed(name, sinks.FieldBoolean)
	f.Default, f.NotNull = "false", true
	return f
}

func (f Field) required() Field { f.Required, f.NotNull = true, true; return f }
func (f Field) readOnly() Field { f.ReadOnly = true; return f }
func (f Field) open() Field     { f.Open = true; return f }

func (f Field) as(kind, label string) Field { f.Kind, f.Label = kind, label; return f }

// external makes a field an external id of which no two records have the same value.
func (f Field) external() Field { f.ExternalID, f.Unique, f.Key = true, true, true; return f }

// owner is the field that tells whose a record is.
func owner() Field {
	f := reference(ownerField, "Owner", "User").as("", "Owner ID")
	f.Default = string(quote(makeID(userPrefix, 1)))
	return f
}

// eitherOwner is that of objects that queues can own, whose kind must be told with an
// external id.
func eitherOwner() Field {
	f := owner()
	f.ReferenceTo = []string{"Group", "User"}
	return f
}

// fromDatabase are the fields that tie a record to where it comes from.
func fromDatabase(key Field, own string) []Field {
	return []Field{
		key.external(),
		text(own, 80).external(),
		{SchemaField: sinks.SchemaField{Name: "Legacy_Id__c", Type: sinks.FieldText, Length: 40}, ExternalID: true},
		text("Origin__c", 40),
		picklist("Region__c", "emea", "amer", "apac"),
	}
}

// DefaultObjects are those of an org of a sales team, with external ids for a bridge to
// write by: External_Id__c, one named for each object, such as Account_Ext__c, and
// Legacy_Id__c, which is not unique.
func DefaultObjects() []Object {
	return []Object{user(), group(), account(), contact(), lead(), opportunity(), split(), quota()}
}

func user() Object {
	return Object{Name: "User", Label: "User", Prefix: userPrefix, Fields: []Field{
		text("Username", 80).required().external(),
		text("Name", 121).required(),
		text("Email", 128).required().as("email", "Email"),
		text("Employee_No__c", 20).external(),
		checkbox("IsActive"),
	}}
}

// group is of queues, which can own leads as users can.
func group() Object {
	return Object{Name: "Group", Label: "Group", Prefix: groupPrefix, Fields: []Field{
		text("Name", 40).required(),
		text("DeveloperName", 80).external(),
		picklist("Type", "Queue", "Regular"),
	}}
}

func account() Object {
	return Object{Name: "Account", Label: "Account", Prefix: "001", Fields: append(
		fromDatabase(typedInteger("External_Id__c"), "Account_Ext__c"),
		text("Name", 255).required().as("", "Account Name"),
		text("AccountNumber", 40),
		picklist("Type", "Prospect", "Customer - Direct", "Customer - Channel", "Channel Partner / Reseller", "Other").open(),
		picklist("Industry", "Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction",
			"Consulting", "Education", "Electronics", "Energy", "Engineering", "Entertainment", "Environmental", "Finance",
			"Food & Beverage", "Government", "Healthcare", "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media",
			"Not For Profit", "Recreation", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation", "Utilities", "Other"),
		number("AnnualRevenue", 18, 2).as("currency", "Annual Revenue"),
		Field{SchemaField: sinks.SchemaField{Name: "NumberOfEmployees", Type: sinks.FieldInteger, Precision: 8}, Label: "Employees"},
		text("Website", 255).as("url", "Website"),
		text("Domain__c", 255),
		text("Phone", 40).as("phone", "Phone"),
		text("BillingCity", 40), text("BillingCountry", 80), text("BillingCountryCode", 10),
		text("Description", 32000),
		text("Segments__c", 4099), text("Tier__c", 255), text("City__c", 255),
		reference("ParentId", "Parent", "Account"),
		owner(),
	)}
}

func typedInteger(name string) Field {
	return Field{SchemaField: sinks.SchemaField{Name: name, Type: sinks.FieldInteger, Precision: 18}}
}

func contact() Object {
	return Object{Name: "Contact", Label: "Contact", Prefix: "003",
		Duplicates: &DuplicateRule{Name: "Standard_Contact_Duplicate_Rule", Fields: []string{"Email", "LastName"}},
		Fields: append(
			fromDatabase(typedInteger("External_Id__c"), "Contact_Ext__c"),
			text("FirstName", 40), text("LastName", 80).required().as("", "Last Name"),
			text("Name", 121).readOnly(),
			Field{SchemaField: sinks.SchemaField{Name: "Email", Type: sinks.FieldText, Length: 80}, Kind: "email", IDLookup: true},
			text("Email_Hash__c", 64),
			text("Phone", 40).as("phone", "Business Phone"), text("Title", 128), text("MailingCountry", 80),
			typed("Birthdate", sinks.FieldDate),
			Field{SchemaField: sinks.SchemaField{Name: "Interests__c", Type: sinks.FieldList, Length: 4099, Values: []string{"Cloud", "Hardware", "Services"}}},
			checkbox("HasOptedOutOfEmail"),
			reference("AccountId", "Account", "Account").as("", "Account ID"),
			owner(),
		)}
}

func lead() Object {
	return Object{Name: "Lead", Label: "Lead", Prefix: "00Q", AssignTo: makeID(groupPrefix, 1),
		Duplicates: &DuplicateRule{Name: "Standard_Lead_Duplicate_Rule", Fields: []string{"Email", "LastName"}},
		Fields: append(
			fromDatabase(text("External_Id__c", 36), "Lead_Ext__c"),
			text("FirstName", 40), text("LastName", 80).required().as("", "Last Name"),
			text("Name", 121).readOnly(),
			text("Company", 255).required(),
			text("Email", 80).as("email", "Email"), text("Phone", 40).as("phone", "Phone"),
			text("LeadSource", 255),
			picklist("Status", "Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted").required(),
			picklist("Rating", "Hot", "Warm", "Cold"),
			text("Description", 32000),
			checkbox("IsConverted").readOnly(),
			eitherOwner(),
		)}
}

func opportunity() Object {
	return Object{Name: "Opportunity", Label: "Opportunity", Prefix: "006", Fields: append(
		fromDatabase(typedInteger("External_Id__c"), "Opportunity_Ext__c"),
		text("Name", 120).required(),
		picklist("StageName", "Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers",
			"Perception Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost").required().as("", "Stage"),
		number("Amount", 18, 2).as("currency", "Amount"),
		text("CurrencyIsoCode", 3),
		number("Probability", 3, 0).as("percent", "Probability (%)"),
		number("Weighted__c", 18, 2),
		typed("CloseDate", sinks.FieldDate).required().as("", "Close Date"),
		picklist("ForecastCategoryName", "Omitted", "Pipeline", "Best Case", "Commit", "Closed").as("", "Forecast Category"),
		text("FiscalQuarter__c", 10), text("Owner_Email__c", 80), text("NextStep", 255), text("Description", 32000),
		typed("Synced_At__c", sinks.FieldDateTime),
		checkbox("Removed__c"),
		checkbox("IsClosed").readOnly(), checkbox("IsWon").readOnly(),
		reference("AccountId", "Account", "Account").as("", "Account ID"),
		owner(),
	)}
}

func split() Object {
	deal := reference("OpportunityId", "Opportunity", "Opportunity").required()
	deal.CreateOnly, deal.Cascade = true, true
	return Object{Name: "OpportunitySplit", Label: "Opportunity Split", Prefix: "0Sv",
		Unique: [][]string{{"OpportunityId", "SplitOwnerId"}},
		Fields: []Field{
			text("OpportunitySplit_Ext__c", 80).external(),
			deal,
			reference("SplitOwnerId", "SplitOwner", "User").required(),
			number("SplitPercentage", 5, 2).required().as("percent", "Percent"),
			number("SplitAmount", 18, 2).readOnly().as("currency", "Amount"),
			text("SplitNote", 255),
		}}
}

// quota has no external id: a client looks it up by what it is for.
func quota() Object {
	return Object{Name: "ForecastingQuota", Label: "Quota", Prefix: "0J9",
		Unique: [][]string{{"QuotaOwnerId", "StartDate", "ForecastingTypeId", "ProductFamily"}},
		Fields: []Field{
			reference("QuotaOwnerId", "QuotaOwner", "User").required(),
			typed("StartDate", sinks.FieldDate).required(),
			reference("ForecastingTypeId", ""),
			text("ProductFamily", 255),
			number("QuotaAmount", 18, 2).as("currency", "Quota Amount"),
			number("QuotaQuantity", 18, 2),
			text("CurrencyIsoCode", 3),
			reference("PeriodId", "").readOnly(),
		}}
}
