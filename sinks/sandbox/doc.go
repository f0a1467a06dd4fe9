// Package sandbox simulates target systems over HTTP, for the demo and for
// tests: each app (crm, forecast, commission) takes batches of records at
// /{app}/batch, keeps what it was given, has limits, and fails on command.
//
// It speaks the wire format of the generic http target and keeps that contract
// on the other side: one result per record, in the order of the records. It
// never looks at walbridge's state, so what it holds and the order in which it
// was applied (History, Backwards) are evidence that checkers can trust for
// I4 (per-key order), I5 (absent is not null) and I6 (one bad record harms one
// key). Faults happen before or after the records are applied, the second being
// an answer that is lost.
//
// Of an object whose schema it is given (Options.Schemas) it answers with that at
// /{app}/describe/{object}, and refuses, record by record, what the schema does not allow.
//
// APIs of somebody else, such as that of Salesforce (Options.Simulations), are served below
// /NAME/; faults fall on requests to them as on those of apps.
//
// It imports cdc for Position, sinks for Schema, sim, and nothing else of walbridge. The
// control paths (/_faults, /_reset) ask for no token: bind it to loopback.
package sandbox
