package sales

import (
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// shown is how many differences of a mapping are named.
const shown = 5

// Report is what Reconcile found.
type Report struct {
	Mappings []MappingReport
	// Won are the sums of won deals by owner, in the order of owners.
	Won []OwnerSum
}

// MappingReport is about one mapping, in objects.
type MappingReport struct {
	Name, App, Object string
	// Expected is what the source calls for, Found what the target holds.
	Expected, Found int
	// Missing, Extra and Different count objects; each is in one of them at most.
	Missing, Extra, Different int
	// First names the first few differences.
	First []Difference
}

// Difference names an object, or a field of one, that is not as it should be.
// It holds no values (I14).
type Difference struct {
	Key, Field string // Field is empty where it is the whole object
	What       string // missing, extra, field missing, field extra, different
}

// String gives "key 17 field Amount: different".
func (d Difference) String() string {
	if d.Field == "" {
		return fmt.Sprintf("key %s: %s", d.Key, d.What)
	}
	return fmt.Sprintf("key %s field %s: %s", d.Key, d.Field, d.What)
}

// OwnerSum is the won value of a rep on both sides.
type OwnerSum struct {
	Owner          string
	Deals          int // in the source
	Source, Target apd.Decimal
}

// OK tells that both sides agree.
func (s OwnerSum) OK() bool { return s.Source.Cmp(&s.Target) == 0 }

func (m *MappingReport) note(d Difference) {
	if len(m.First) < shown {
		m.First = append(m.First, d)
	}
}

// OK tells that the target holds what the source calls for.
func (m MappingReport) OK() bool { return m.Missing == 0 && m.Extra == 0 && m.Different == 0 }

// OK tells that all targets hold what the source calls for.
func (r Report) OK() bool {
	for _, m := range r.Mappings {
		if !m.OK() {
			return false
		}
	}
	for _, s := range r.Won {
		if !s.OK() {
			return false
		}
	}
	return len(r.Mappings) > 0
}

var _ io.WriterTo = Report{}

// WriteTo writes a summary for people.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-26s %-22s %8s %8s %8s %8s %8s\n", "mapping", "target", "source", "target", "missing", "extra", "differ")
	for _, m := range r.Mappings {
		fmt.Fprintf(&b, "%-26s %-22s %8d %8d %8d %8d %8d\n", m.Name, m.App+"/"+m.Object, m.Expected, m.Found, m.Missing, m.Extra, m.Different)
	}
	for _, m := range r.Mappings {
		for _, d := range m.First {
			fmt.Fprintf(&b, "  %s: %s\n", m.Name, d)
		}
		if n := m.Missing + m.Extra + m.Different; n > len(m.First) {
			fmt.Fprintf(&b, "  %s: … of %d objects in all\n", m.Name, n)
		}
	}
	r.writeWon(&b)
	if r.OK() {
		b.WriteString("source and targets agree\n")
	} else {
		b.WriteString("source and targets DO NOT agree\n")
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (r Report) writeWon(b *strings.Builder) {
	deals, unequal := 0, 0
	var source, target apd.Decimal
	for _, s := range r.Won {
		deals += s.Deals
		// Sums of sums that were exact fit in 200 digits too.
		_, _ = exact.Add(&source, &source, &s.Source)
		_, _ = exact.Add(&target, &target, &s.Target)
		if !s.OK() {
			unequal++
		}
	}
	fmt.Fprintf(b, "won: %d deals of %d reps, %s in the source, %s in the target", deals, len(r.Won), source.Text('f'), target.Text('f'))
	if unequal > 0 {
		fmt.Fprintf(b, "; the sums of %d reps differ", unequal)
	}
	b.WriteByte('\n')
}
