package trial

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// numberForm is a number as JSON has it.
var numberForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// number gives the text of a number. YAML takes long ones, and some with an
// exponent, for text.
func number(n *yamldoc.Node) (string, bool) {
	is := (n.Kind == yamldoc.Number || n.Plain()) && numberForm.MatchString(n.Text)
	return n.Text, is
}

// decimal is a number by its digits: 0.digits × 10^point.
type decimal struct {
	negative bool
	digits   string // as they are written, without noughts before them
	point    int
}

// maxPlaces bounds how far from the point digits can stand.
const maxPlaces = 100_000

// parseDecimal reads a number of JSON's form; false if it is out of bounds.
func parseDecimal(text string) (decimal, bool) {
	var d decimal
	text, d.negative = strings.CutPrefix(text, "-")
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil {
			return d, false
		}
		text = text[:i]
	}
	if exponent > maxPlaces || exponent < -maxPlaces || len(text) > maxPlaces {
		return d, false
	}
	whole, fraction, _ := strings.Cut(text, ".")
	d.point = len(whole) + exponent
	all := whole + fraction
	d.digits = strings.TrimLeft(all, "0")
	d.point -= len(all) - len(d.digits)
	if strings.Trim(d.digits, "0") == "" {
		d.negative = false // PostgreSQL has no negative zero
	}
	return d, true
}

// scale is how many digits behind the point the value needs.
func (d decimal) scale() int {
	digits := strings.TrimRight(d.digits, "0")
	if digits == "" {
		return 0
	}
	return max(0, len(digits)-d.point)
}

// exceeds tells whether the value needs more digits before the point than there
// are; below zero, that many noughts have to stand behind it.
func (d decimal) exceeds(digits int) bool {
	return strings.Trim(d.digits, "0") != "" && d.point > digits
}

// plain writes it without an exponent, with at least so many digits behind the
// point; below zero, with those that it has.
func (d decimal) plain(scale int) string {
	digits, point := d.digits, d.point
	if digits == "" { // all noughts: the point says how many stood behind it
		point = min(point, 0)
	}
	if point <= 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if len(digits) < point {
		digits += strings.Repeat("0", point-len(digits))
	}
	whole, fraction := digits[:point], digits[point:]
	if scale >= 0 {
		fraction = strings.TrimRight(fraction, "0")
		fraction += strings.Repeat("0", max(0, scale-len(fraction)))
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	if d.negative {
		whole = "-" + whole
	}
	return whole + fraction
}

// sameNumber tells whether two numbers have the same value, whatever their scale.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, ok := parseDecimal(a)
	y, too := parseDecimal(b)
	if !ok || !too {
		return false
	}
	x.digits, y.digits = strings.TrimRight(x.digits, "0"), strings.TrimRight(y.digits, "0")
	if x.digits == "" || y.digits == "" {
		return x.digits == y.digits
	}
	return x == y
}

// timeHint shows how the database gives a moment, if the text is one in another
// form.
func timeHint(text, layout string) string {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999Z07:00", "2006-01-02 15:04:05.999999Z07", "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return "write " + strconv.Quote(at.UTC().Format(layout)) + ": times come in UTC"
		}
	}
	return "write it as " + strconv.Quote(time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC).Format(layout))
}
