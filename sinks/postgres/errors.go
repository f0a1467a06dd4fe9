package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// standbyAfter is how long nothing is sent to a server that takes no writes.
const standbyAfter = 10 * time.Second

// perRow are classes of SQLSTATE that are about what a row holds: cardinality (two rows of one
// key), data, constraints, views that refuse, limits such as an index entry that is too long, and
// what a trigger raises.
var perRow = []string{"21", "22", "23", "44", "54", "P0"}

// one tells whether an error is about one row of a statement, and the others may be fine.
func one(err error) bool {
	var a *sinks.Answer
	return errors.As(err, &a) && len(a.Code) == 5 && slices.Contains(perRow, a.Code[:2])
}

// goneError is of a connection that has ended.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *goneError) Unwrap() error { return e.err }

// gone tells whether there is no more answer on this connection.
func gone(err error) bool {
	var g *goneError
	return errors.As(err, &g)
}

// connectError says why there is no connection: nothing was sent.
func (t *Target) connectError(err error) error {
	var (
		pe     *pgconn.PgError
		denied *transport.DeniedError
		ce     *pgconn.ConnectError
		cert   *tls.CertificateVerificationError
		host   x509.HostnameError
	)
	switch {
	case errors.As(err, &pe):
		return t.answered(pe, false)
	case errors.As(err, &denied):
		return misfit(fmt.Errorf("connect to %s: %w", t.host, denied), "allow it in the target's addresses, if it is meant")
	case errors.As(err, &cert), errors.As(err, &host):
		return misfit(fmt.Errorf("connect to %s: its certificate is not trusted", t.host), "name its authority with sslrootcert in the url")
	case errors.As(err, &ce):
		err = errors.Unwrap(ce) // its own text names user and database
	}
	return &sinks.Retryable{Err: fmt.Errorf("connect to %s: %w", t.host, err)}
}

// failed is an error of a request. Sent tells that it may have been carried out.
func (t *Target) failed(err error, sent bool) error {
	var pe *pgconn.PgError
	switch {
	case errors.As(err, &pe):
		return t.answered(pe, sent)
	case errors.Is(err, context.DeadlineExceeded):
		err = &goneError{fmt.Errorf("no answer in time: %w", err)}
	}
	return &sinks.Retryable{Unknown: sent, Err: fmt.Errorf("ask %s: %w", t.host, err)}
}

// fatal tells whether the server ends the connection along with its answer.
func fatal(pe *pgconn.PgError) bool {
	return pe.SeverityUnlocalized == "FATAL" || pe.SeverityUnlocalized == "PANIC"
}

// answered says what an error of the server means, by its SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html). A statement that was answered
// with an error was not carried out; one whose connection the server ended may have been.
func (t *Target) answered(pe *pgconn.PgError, sent bool) error {
	a := &sinks.Answer{Code: pe.Code, Message: pe.Message, Err: fmt.Errorf("%s answered with SQLSTATE %s", t.host, pe.Code)}
	if pe.Detail != "" {
		a.Message += " (" + pe.Detail + ")"
	}
	if sent && fatal(pe) || pe.Code == "40003" {
		a.Unknown = true
		return &sinks.Retryable{Err: &goneError{a}, Unknown: true}
	}
	class := pe.Code
	if len(class) > 2 {
		class = class[:2]
	}
	switch {
	case pe.Code == "23503":
		return &sinks.WaitForParent{Err: a, Code: pe.Code}
	case slices.Contains(perRow, class):
		return &sinks.Rejected{Err: a, Code: pe.Code}
	case pe.Code == "25006":
		a.Err = fmt.Errorf("%s takes no writes: it is a standby, or read-only", t.host)
		return &sinks.Paused{Err: a, After: standbyAfter}
	case class == "28":
		a.Err = fmt.Errorf("%s refuses the login: it does not know the role, the password is wrong, or pg_hba.conf has no line for it (SQLSTATE %s)", t.host, pe.Code)
		return &sinks.Unauthorized{Err: a}
	case class == "42", class == "3D", class == "3F", class == "0A":
		// These are about names and rights, and quote no values: values are parameters.
		a.Err = fmt.Errorf("%s answered: %s", t.host, pe.Message)
		return &sinks.Misconfigured{Err: a, Hint: hint(pe)}
	}
	// 08 connections, 40 deadlocks and conflicts, 53 resources, 55 locks, 57 operators,
	// 58 and XX the server itself, and whatever is not known.
	return &sinks.Retryable{Err: a}
}

// hint says what mends an error that is about the tables and not the records.
func hint(pe *pgconn.PgError) string {
	switch pe.Code {
	case "42501":
		return "grant the role of the target's url SELECT, INSERT, UPDATE and DELETE on the table, and USAGE on its schema; to make tables it needs CREATE there, and to add columns it has to own the table: walbridge check has the statements"
	case "42P01", "3F000":
		return "create it, or set create: true on the target"
	case "3D000":
		return "create the database, or correct the target's url"
	case "42P10":
		return "make a unique index on the key column"
	case "42804", "42846":
		return "change the type of the column, or the expression of the field"
	}
	return "compare the mapping with the table: walbridge check"
}
