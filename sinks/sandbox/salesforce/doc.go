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
// What a client can trip over is made so that it does: a key twice in one request refuses
// both, a composite request does its parts in any order unless collateSubrequests is false,
// and a failed item has no id.
//
// Verified, by Salesforce's documentation or by answers that others have recorded:
//
//   - the paths, the bounds of requests (200 records, ten chunks, 25 subrequests of which five
//     collections or queries) and what counts as a call;
//   - the forms of answers, and 201, 200, 204, 300 and 404 of rows by external id;
//   - that headers other than Accept, Authorization and Content-Type are not handed to
//     subrequests, which must have their own;
//   - the codes and texts of a missing parent, several matches, a key twice (DUPLICATE_VALUE),
//     required fields, long texts, picklists, duplicates (not the details in them), locks,
//     also within other messages, times that cannot be read (JSON_PARSER_ERROR), ended
//     sessions, and spent calls;
//   - the states of bulk jobs, that a file is put once, that an empty cell changes nothing and
//     #N/A is null, the names of the results and their columns, their lack of order, and
//     "InvalidBatch : Field name not found".
//
// Guessed, where nothing was found:
//
//   - that a column that there is not, or a value of the wrong type, refuses a collection as a
//     whole (400), as the texts of the answers suggest, and not its record alone;
//   - the codes of requests that are too large, and of a wrong reference between subrequests;
//   - the code of an id that is of no record, and of a null for a checkbox;
//   - that a key twice is looked for within 10,000 rows of a bulk job, and that the header
//     about duplicates counts when a job is made;
//   - the form of values in the results of bulk jobs;
//   - that the limit of calls is kept to the call: an org lets some more through.
//
// Left out: sharing and permissions, record types, currencies, undelete, triggers other than
// in name, Bulk API queries, and most of SOQL.
//
// Texts lose the blanks around them, and an empty one is null. Keys are compared without the
// case of letters, unless their field asks for it.
package salesforce
