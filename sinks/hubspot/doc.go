// Package hubspot is the target for HubSpot's CRM: contacts, companies, deals, and whatever
// else has properties there.
//
// Records are upserted by a unique property, a hundred in a call, each with an
// objectWriteTraceId of its own: that is by which its result is found, since results come in
// any order and some records may fail where others do not (207). Where an answer does not say
// which record it refuses, the whole batch is refused, for the engine to halve (I6).
//
// Deletes are archives, by HubSpot's own record ids. Those are looked for by the key, and are
// noted as records are upserted, for one that has it no more. A field named association.NAME is none of the record's
// properties: it associates the record with another one, and what it was associated with by
// the same field before is taken away. A record counts as delivered once that is done too.
//
// Encoding is pure: one value has one text, numbers keep theirs, and requests are made anew
// from bytes for each try (I9). What an answer means is decided here (judge.go), as an error
// type of package sinks; what HubSpot says of a record is kept for dead letters and never
// stands in an error's text (I14).
package hubspot
