// Package salesforce simulates the REST API of a Salesforce org, as far as a client that
// writes records meets it: login by OAuth, sObject rows with upsert by external id, sObject
// Collections, Composite, queries, Bulk API 2.0 ingest jobs, describe, and the daily limit of
// calls. It keeps what it is given, judges it by the rules of an org, and says no in the
// org's words and codes.
//
// The data and its rules (store, table, draft, job) are pure; Server puts HTTP, one mutex and
// the clock around them. Bulk jobs go on when somebody looks, as far as the clock says that
// they would have.
//
// It is made from what Salesforce publishes and from answers that others have recorded. What
// a client can trip over is made so that it does: a key twice in one request refuses both, a
// composite request does its parts in any order unless collateSubrequests is false and hands
// none of its headers to them, a request with a column that there is not or a value that
// cannot be read is refused as a whole, a failed item has no id, results of bulk jobs come in
// no order and with values in another form. What is left out: sharing and permissions, record
// types, currencies, undelete, triggers other than in name, Bulk API queries, and most
// of SOQL.
//
// Texts lose the blanks around them, and an empty one is null. Keys are compared without the
// case of letters, unless their field asks for it.
package salesforce
