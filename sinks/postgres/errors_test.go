package postgres

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walbridge/walbridge/sinks"
)

// A refused login says so in words, and nothing of the server's own text, which names the role.
func TestRefusedLogin(t *testing.T) {
	target := &Target{host: "db:5432"}
	err := target.answered(&pgconn.PgError{Code: "28P01", Severity: "FATAL", SeverityUnlocalized: "FATAL", Message: `password authentication failed for user "s3cret"`}, false)
	var denied *sinks.Unauthorized
	if !errors.As(err, &denied) {
		t.Fatalf("%T %v", err, err)
	}
	const want = "db:5432 refuses the login: it does not know the role, the password is wrong, or pg_hba.conf has no line for it (SQLSTATE 28P01)"
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}
