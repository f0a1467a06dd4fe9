// Package postgres is the target for tables of a PostgreSQL database, such as those of a
// forecast or of commissions. An object is a table, its fields are columns.
//
// A batch is one round trip: records with the same fields are one statement,
//
//	INSERT INTO t AS t (key, a, b, _walbridge_position)
//	SELECT … FROM unnest($1::text[], …) ON CONFLICT (key) DO UPDATE SET a = excluded.a, …
//	WHERE t._walbridge_position <= excluded._walbridge_position
//
// and so are the deletes; each statement is a transaction of its own. Values travel as the text
// of their JSON and are cast to the column's type by the server, so numbers stay exact. A field
// that is not in a record is not in its statement (I5).
//
// The column for the Position keeps order absolutely among upserts, and for deletes of what is
// there (I4): what is older than the row counts as delivered and changes nothing. After a delete
// nothing at the target remembers its Position. That an older upsert does not bring the row back
// is up to the state of the engine, as with other targets; a request cannot outlive its timeout
// by much, since the server ends the statement (statement_timeout).
//
// Where the data of a record is refused, the statement is sent again in parts until it is clear
// which record it is (I6): three more round trips for a batch of a thousand. SQLSTATEs become
// errors of package sinks in errors.go. Error texts hold no row values and no secrets (I14): of
// the server's text only that about tables and columns is in them.
package postgres
