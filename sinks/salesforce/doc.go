// Package salesforce is the target that keeps records of a Salesforce org up to date.
//
// Records are upserted by an external id field with sObject Collections inside one Composite
// request: up to 1,000 records in one API call, each with a result of its own. Deletes go by
// the external id too. A batch that is meant as one job goes by Bulk API 2.0: what it holds is
// noted before Salesforce may carry it out, so that after a crash no older state of a record
// is written after a newer one (I4).
//
// What Salesforce says of a record is decided here, as an error type of package sinks: the
// codes of errors.go. Requests that hold children of one parent do not overlap, since
// Salesforce locks the parent of what it writes.
//
// Encoding and decoding are pure; what sends is thin. Error texts hold codes and statuses,
// never values nor secrets (I14): the target's own text goes into sinks.Answer only.
//
// Sources of facts: developer.salesforce.com, the REST API guide (composite, sObject
// Collections, headers) and the Bulk API 2.0 guide.
package salesforce
