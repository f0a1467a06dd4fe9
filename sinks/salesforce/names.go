package salesforce

import (
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// relation says that a field refers to a record by that one's external id. A mapping says so
// in two ways:
//
//	AccountId: ref('accounts', account_id)      the parent is a record of ours, with its own key
//	Owner.Employee_No__c: owner_no              any record, by a field of it that is an external id
//
// The relationship of AccountId is Account, that of Region__c is Region__r. Where it may lead
// to several kinds of objects, which one stands before the name: Account:WhatId, User:Owner.
type relation struct {
	kind string // Account of Account:What.Ext__c; empty if there is only one
	name string // What
	by   string // Ext__c
	id   string // the field that holds the id, WhatId
}

// relationOf tells how a field refers to another record, if it does.
func relationOf(r *sinks.Record, name string) (relation, bool) {
	var rel relation
	rest := name
	if kind, after, ok := strings.Cut(name, ":"); ok {
		rel.kind, rest = kind, after
	}
	base, by, dotted := strings.Cut(rest, ".")
	if dotted {
		rel.name, rel.by, rel.id = relationName(base), by, idName(base)
		return rel, true
	}
	for i := range r.Parents {
		if p := &r.Parents[i]; p.Field == name {
			rel.name, rel.by, rel.id = relationName(base), p.Key.Name, idName(base)
			return rel, true
		}
	}
	rel.id = base
	return rel, rel.kind != ""
}

// relationName is that of the field that holds the id (or itself).
func relationName(field string) string {
	if s, ok := strings.CutSuffix(field, "__c"); ok {
		return s + "__r"
	}
	if s, ok := strings.CutSuffix(field, "Id"); ok && s != "" {
		return s
	}
	return field
}

// idName is the field that holds the id of a relationship (or itself).
func idName(name string) string {
	if s, ok := strings.CutSuffix(name, "__r"); ok {
		return s + "__c"
	}
	if strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "__c") {
		return name
	}
	return name + "Id"
}

// column is the header of a relation in CSV.
func (r *relation) column() string {
	s := r.name + "." + r.by
	if r.kind != "" {
		s = r.kind + ":" + s
	}
	return s
}

// isNull tells whether a value is null.
func isNull(v []byte) bool { return string(v) == "null" }
