// Package httpapi is the http target: it sends batches of records as JSON to a
// URL and reads one result for each.
//
// A request is
//
//	POST {"object":"Opportunity","records":[{"op":"upsert","key":{"Id":"1"},
//	      "fields":{"Amount":5},"position":"26843545-4"}]}
//
// and its answer, with status 200 or 207, has one result per record in order:
//
//	{"results":[{"ok":true,"id":"006"},{"ok":false,"code":"TOO_LONG",
//	             "message":"…","retryable":false}]}
//
// Where the target has an address for it, the schema of an object is asked for with
// GET, and the answer is a sinks.Schema as JSON.
//
// The body is built once from a batch and may be sent any number of times (I9).
// What an answer means is decided here, as an error type of package sinks.
// Error texts hold neither row values nor secrets (I14): what the target says
// of a record is kept apart, for the dead letter only.
package httpapi
