// Package httpapi is the http target: it speaks to an API as a form says (package form), by
// which requests are built and answers are read. The client here sends them, proves who it is
// (package sign and OAuth), looks for records before it makes them where the API has no upsert,
// and keeps the ids that it was told of in its notes.
//
// Without a form it speaks as Walbridge says: a request is
//
//	POST {"object":"Opportunity","records":[{"op":"upsert","key":{"Id":"1"},
//	      "fields":{"Amount":5},"position":"26843545-4"}]}
//
// and its answer, with a status of 2xx, has one result per record in order:
//
//	{"results":[{"ok":true,"id":"006"},{"ok":false,"code":"TOO_LONG",
//	             "message":"…","retryable":false}]}
//
// Where the target has an address for it, the schema of an object is asked for with GET, and
// the answer is a sinks.Schema as JSON; else it is what the form says.
//
// A request is bytes that may be sent any number of times (I9). What an answer means is decided
// here, as an error type of package sinks: first by its status, then by the form's rules. Error
// texts hold neither row values nor secrets (I14): what the target says of a record is kept
// apart, for the dead letter only.
package httpapi
