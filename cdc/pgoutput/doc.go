// Package pgoutput turns the bytes of PostgreSQL's pgoutput plug-in (protocol
// version 1) into entries of the log. It is pure: bytes in, calls of a Handler
// out, no connection, no clock, no goroutine.
//
// A row goes from the server's text form to JSON in one pass over the bytes,
// into buffers that are used again for the next row: nothing is kept of a
// transaction, however large (I8). The Position of a row depends only on the
// bytes that PostgreSQL sent, never on what is done with the row later.
//
// What cannot be decoded is an error, never skipped (I12), but for one thing: what
// a composite is made of the stream does not tell, only the catalog, and that only
// as it is now. A composite that does not fit is left out of its row, said to be
// absent, and told of (MisfitError, Options.Misfit). The package knows
// nothing of what the log does with an entry; cdc/pgsource puts the two together.
// The message formats are those of the PostgreSQL manual, "Logical Replication
// Message Formats" and "Logical Streaming Replication Parameters".
package pgoutput
