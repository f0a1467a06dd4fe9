package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Error is one mistake in the configuration.
type Error = yamldoc.Error

// Errors are all mistakes of a configuration.
type Errors = yamldoc.Errors

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)
	slotForm   = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
	targetForm = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)
	headerForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

// maxPartitions is the greatest number of partitions of a log.
const maxPartitions = 256

// Validate finds what a configuration lacks or cannot mean. The error is of type
// Errors; each has the path of its value.
func (c *Config) Validate() error {
	v := &validator{}
	v.form("name", c.Name, nameForm, "write 1 to 40 lower-case letters, digits and _")
	c.Postgres.validate(v, "walbridge_"+c.Name)
	c.Redis.validate(v)
	if len(c.Mappings) == 0 {
		v.fail("mappings", "no mapping files", "", "add mappings: [mappings/*.yaml]")
	}
	for i, m := range c.Mappings {
		if m == "" {
			v.fail(fmt.Sprintf("mappings[%d]", i), "an empty pattern", "", "write a path, such as mappings/*.yaml")
		}
	}
	if len(c.Targets) == 0 {
		v.fail("targets", "no target", "", "add one, such as targets: {crm: {type: http, url: https://crm.example.com/batch}}")
	}
	for i := range c.Targets {
		c.Targets[i].check(v)
	}
	c.validateAccounts(v)
	c.Delivery.validate(v)
	v.listen(c.Listen)
	v.choice("log.level", c.Log.Level, logLevels)
	v.choice("log.format", c.Log.Format, logFormats)
	return v.errs.Err()
}

// validate leaves names alone that follow from the configuration's own, which
// is checked already.
func (p Postgres) validate(v *validator, derived string) {
	const example = "write postgres://user:password@host:5432/database, ${DATABASE_URL} or file:/run/secrets/pg"
	switch text := p.URL.Reveal(); {
	case text == "":
		v.fail("postgres.url", "no address of the database", "", example)
	case strings.Contains(text, "://"):
		v.address("postgres.url", p.URL, []string{"postgres", "postgresql"}, example)
	case !strings.Contains(text, "="):
		v.fail("postgres.url", "not an address of a PostgreSQL database", "", example)
	}
	for path, name := range map[string]string{"postgres.slot": p.Slot, "postgres.publication": p.Publication} {
		if name != derived {
			v.form(path, name, slotForm, "write 1 to 63 lower-case letters, digits and _")
		}
	}
	if p.WALBudget < 1<<20 {
		v.fail("postgres.wal_budget", "less than 1MiB", "", "write a size such as 10GiB")
	}
	v.choice("postgres.on_loss", p.OnLoss, []string{OnLossHeal, OnLossStop, OnLossGoOn})
	v.span("postgres.heartbeat", p.Heartbeat, 100*time.Millisecond, time.Hour)
}

func (d Delivery) validate(v *validator) {
	v.span("delivery.lease", d.Lease, time.Second, 10*time.Minute)
	v.number("delivery.queue_entries", int64(d.QueueEntries), 1, 100_000_000)
	if d.QueueBytes < 1<<20 {
		v.fail("delivery.queue_bytes", "less than 1MiB", "", "write a size such as 128MiB")
	}
	if d.Floor < 0 || d.Floor > 25 {
		v.fail("delivery.floor", "out of range", fmt.Sprintf("%d%%", d.Floor), "write a percentage from 1% to 25%, or 0% for none")
	}
	v.span("delivery.shutdown", d.Shutdown, 0, time.Hour)
	v.number("delivery.dead_letters.count", int64(d.DeadLetters.Count), 1, 10_000_000)
	v.span("delivery.dead_letters.age", d.DeadLetters.Age, time.Minute, 10*365*24*time.Hour)
	v.span("delivery.hold", d.Hold, time.Second, time.Hour)
	v.number("delivery.deferred.count", int64(d.Deferred.Count), 1, 1_000_000)
	v.span("delivery.parents.wait", d.Parents.Wait, time.Millisecond, 24*time.Hour)
	if b := d.Trace.Bytes; b != 0 && (b < 1<<20 || b > 1<<30) {
		v.fail("delivery.trace.bytes", "out of range", fmt.Sprintf("%dB", b), "write a size from 1MiB to 1GiB, or 0B to keep no history")
	}
}

// validator collects mistakes by path.
type validator struct{ errs Errors }

func (v *validator) fail(path, msg, value, hint string) {
	v.errs = append(v.errs, &Error{Path: path, Msg: msg, Value: value, Hint: hint})
}

func (v *validator) form(path, value string, form *regexp.Regexp, hint string) {
	if !form.MatchString(value) {
		v.fail(path, "not a valid name", value, hint)
	}
}

func (v *validator) choice(path, value string, of []string) {
	switch {
	case slices.Contains(of, value):
	case value == "":
		v.fail(path, "missing", "", "write one of "+nearest.List(of))
	default:
		v.fail(path, "unknown value", value, nearest.Hint(value, of, "write one of "+nearest.List(of)))
	}
}

func (v *validator) number(path string, value, least, most int64) {
	if value < least || value > most {
		v.fail(path, "out of range", strconv.FormatInt(value, 10), fmt.Sprintf("write a number from %d to %d", least, most))
	}
}

func (v *validator) span(path string, value, least, most time.Duration) {
	if value < least || value > most {
		v.fail(path, "out of range", spanText(value), fmt.Sprintf("write a duration from %s to %s", spanText(least), spanText(most)))
	}
}

// spanText is a duration as a person writes it: 1h, not 1h0m0s.
func spanText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// address never shows the address, nor what url.Parse says of it: both may hold
// the password.
func (v *validator) address(path string, s Secret, schemes []string, example string) {
	u, err := url.Parse(s.Reveal())
	switch {
	case err != nil:
		v.fail(path, "not an address", "", "write special characters of user and password as %XX; "+example)
	case !slices.Contains(schemes, u.Scheme):
		v.fail(path, "the address does not begin with "+strings.Join(schemes, ":// or ")+"://", "", example)
	case u.Host == "" && u.Query().Get("host") == "":
		v.fail(path, "the address names no host", "", example)
	}
}

func (v *validator) listen(address string) {
	if address == "" {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		v.fail("listen", "not an address to listen on", address, `write host:port, such as 127.0.0.1:8642, or "" to switch it off`)
	}
}
