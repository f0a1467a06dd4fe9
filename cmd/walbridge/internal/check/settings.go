package check

import (
	"fmt"
	"slices"

	"github.com/walbridge/walbridge/mapping/nearest"
)

// settings looks at the settings of a target that do not do what they seem to: nothing tells
// of those at the start.
func (r *Report) settings(t *Target, f *Facts) {
	if t.MostInBatch > 0 && t.MaxBatch > t.MostInBatch {
		finding := Finding{Level: Warn, About: "target " + t.Name, Place: t.MaxBatchAt.String(),
			What: fmt.Sprintf("max_batch: %d has no effect: a request to it has at most %s", t.MaxBatch, records(t.MostInBatch)),
			Fix:  fmt.Sprintf("write max_batch: %d or less, or take it out", t.MostInBatch)}
		if t.MostInBatch == 1 {
			finding.Fix = "take it out"
		}
		r.add(finding)
	}
	if len(t.Named) == 0 {
		return
	}
	for _, m := range f.Mappings {
		if m.Target() != t.Name || slices.Contains(t.Named, m.Object()) {
			continue
		}
		r.at(Warn, m.Name(), m.To(), [2]string{
			fmt.Sprintf("targets.%s.objects has no %s, which is sent as it is, in place of what stands for it", t.Name, m.Object()),
			nearest.Hint(m.Object(), t.Named, fmt.Sprintf("add it there, or write one of those that there are: %s", nearest.List(t.Named)))})
	}
}

func records(n int) string {
	if n == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}
