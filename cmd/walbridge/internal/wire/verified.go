package wire

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/walbridge/walbridge/sinks/deliver"
)

// Verified is what a verification found.
type Verified struct {
	Mappings []MappingVerified `json:"mappings"`
	// Repaired tells that a repair was made: what is told is what was found after it.
	Repaired bool `json:"repaired"`
}

// MappingVerified is what was found of a mapping.
type MappingVerified struct {
	Mapping string `json:"mapping"`
	Target  string `json:"target"`
	Object  string `json:"object"`
	Table   string `json:"table"`
	// ReadBack tells that the target was asked for what it holds.
	ReadBack bool `json:"read_back"`
	// ReadError says why the target was asked in part only; empty if it was not.
	ReadError string `json:"read_error,omitempty"`
	// Rows is how many rows were looked at, Right how many have the record that they
	// make, Unmeant how many make none and have none.
	Rows    int64 `json:"rows"`
	Right   int64 `json:"right"`
	Unmeant int64 `json:"not_meant"`
	// Unsure were delivered, but what was cannot be held against the row: its last change
	// came without a column. Where the target is asked, there are none.
	Unsure int64 `json:"unsure"`
	// Missing have no record, Stale another one than they make, Different one that differs
	// at the target, Orphans are records that should not be there, Unmapped rows of which
	// none can be made.
	Missing   int64 `json:"missing"`
	Stale     int64 `json:"stale"`
	Different int64 `json:"different"`
	Orphans   int64 `json:"orphans"`
	Unmapped  int64 `json:"unmapped"`
	// Fields counts how often each field differed at the target.
	Fields map[string]int64 `json:"fields,omitempty"`
	// InFlight are rows whose changes were on their way; Waited tells that the target did
	// not deal with them in time.
	InFlight int64 `json:"in_flight"`
	Waited   bool  `json:"waited"`
	// Mended are those that a repair has mended.
	Mended int64 `json:"mended,omitempty"`
	// Examples are keys of each kind, as JSON, the first that were found.
	Examples map[string][]string `json:"examples,omitempty"`
	// MoreWrong is how many of what is wrong could not be noted for a repair.
	MoreWrong int64 `json:"more_wrong,omitempty"`

	wrong []string // keys that a repair can mend

	again bool
}

// Bounds of what is kept of a mapping.
const (
	examplesMost = 5
	wrongMost    = 200_000
)

// count counts a row of which nothing is wrong.
func (r *MappingVerified) count(s suspicion) {
	switch {
	case r.again:
		r.Mended++
	case s.standing == deliver.Unsure && !r.ReadBack:
		r.Unsure++
	case s.meant:
		r.Right++
	default:
		r.Unmeant++
	}
}

// found counts what is wrong.
func (r *MappingVerified) found(key string, s suspicion) {
	kind := s.standing.String()
	switch {
	case s.standing == deliver.Missing, s.gone:
		kind = "missing"
		r.Missing++
	case s.standing == deliver.Stale:
		r.Stale++
	case s.standing == deliver.Orphan:
		r.Orphans++
	case s.standing == deliver.Unmapped:
		r.Unmapped++
	default:
		kind = "different"
		r.Different++
		for _, f := range s.fields {
			r.Fields[f]++
		}
	}
	if r.Examples == nil {
		r.Examples = map[string][]string{}
	}
	if len(r.Examples[kind]) < examplesMost {
		r.Examples[kind] = append(r.Examples[kind], key)
	}
	switch {
	case s.standing == deliver.Unmapped: // to read it again would give the same
	case len(r.wrong) < wrongMost:
		r.wrong = append(r.wrong, key)
	default:
		r.MoreWrong++
	}
}

// repairing makes it ready to count again what a repair is for.
func (r *MappingVerified) repairing() {
	r.again, r.wrong = true, nil
	r.Missing, r.Stale, r.Different, r.Orphans, r.InFlight = 0, 0, 0, 0, 0
	unmapped := r.Examples["unmapped"]
	r.Fields, r.Examples = map[string]int64{}, nil
	if unmapped != nil {
		r.Examples = map[string][]string{"unmapped": unmapped}
	}
}

// Wrong is how many rows or records are not as they have to be.
func (r *MappingVerified) Wrong() int64 {
	return r.Missing + r.Stale + r.Different + r.Orphans + r.Unmapped
}

// OK tells that nothing is wrong, and that all of it was looked at.
func (v *Verified) OK() bool {
	return !slices.ContainsFunc(v.Mappings, func(m MappingVerified) bool { return m.Wrong() > 0 || m.Waited || m.ReadError != "" })
}

func (v *verifier) report() *Verified {
	out := &Verified{Mappings: []MappingVerified{}, Repaired: v.o.Repair}
	for _, t := range v.tables {
		for _, m := range t.mappings {
			out.Mappings = append(out.Mappings, v.mappings[m].report)
		}
	}
	return out
}

// Write writes it for people. Keys are shown, values of other columns are not.
func (v *Verified) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	mappings, objects := []string{"mapping"}, []string{"target"}
	for i := range v.Mappings {
		m := &v.Mappings[i]
		mappings, objects = append(mappings, m.Mapping), append(objects, m.Target+"/"+m.Object)
	}
	alike(mappings) // names stand to the left, numbers to the right
	alike(objects)
	fmt.Fprintf(w, "%s\t%s\trows\tright\tmissing\tstale\tdifferent\torphans\tunmapped\tin flight\t\n", mappings[0], objects[0])
	for i := range v.Mappings {
		m := &v.Mappings[i]
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", mappings[i+1], objects[i+1], m.Rows, m.Right+m.Unmeant+m.Unsure+m.Mended, m.Missing, m.Stale, m.Different, m.Orphans, m.Unmapped, m.InFlight)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range v.Mappings {
		for _, line := range v.Mappings[i].lines() {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// alike fills texts up to the length of the longest.
func alike(texts []string) {
	most := 0
	for _, t := range texts {
		most = max(most, utf8.RuneCountInString(t))
	}
	for i, t := range texts {
		texts[i] = t + strings.Repeat(" ", most-utf8.RuneCountInString(t))
	}
}

// lines say what there is to say of a mapping beside its numbers.
func (r *MappingVerified) lines() (out []string) {
	say := func(format string, args ...any) {
		out = append(out, "  "+r.Mapping+": "+fmt.Sprintf(format, args...))
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Examples)) {
		say("%s, such as %s", kind, strings.Join(r.Examples[kind], " "))
	}
	if len(r.Fields) > 0 {
		var fields []string
		for _, f := range slices.Sorted(maps.Keys(r.Fields)) {
			fields = append(fields, fmt.Sprintf("%s (%d)", f, r.Fields[f]))
		}
		say("these fields differ at the target: %s", strings.Join(fields, ", "))
	}
	if r.Mended > 0 {
		say("%d were mended", r.Mended)
	}
	if r.Unmapped > 0 {
		say("no record can be made of %d rows: walbridge dlq list --target %s says why", r.Unmapped, r.Target)
	}
	if r.Unsure > 0 {
		say("%d of those that are right could not be compared as a whole: their last change came without a column that did not change", r.Unsure)
	}
	if r.Waited {
		say("the target has not dealt with all changes within %s: walbridge status says why", settleWithin)
	}
	if r.MoreWrong > 0 {
		say("%d more are wrong than a repair takes: walbridge backfill %s --sweep --for %s/%s", r.MoreWrong, r.Table, r.Target, r.Mapping)
	}
	switch {
	case r.ReadError != "":
		say("%s; the rest was compared with what was delivered", r.ReadError)
	case !r.ReadBack:
		say("the target was not asked; what was delivered was compared")
	}
	return out
}
