package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// What a mapping wants of a target that cannot do it is told before anything is sent.
func TestAbilities(t *testing.T) {
	t.Parallel()
	const head = "from: public.deals\nto: crm/Deal\nkey: {Id: id}\n"
	all := sinks.Abilities{Delete: true, Archive: true, Partial: true, Clear: true, Parents: true}
	for name, c := range map[string]struct {
		file  string
		lacks func(*sinks.Abilities)
		want  []string
	}{
		"everything":         {"fields: {Name: name}\ndelete: archive\n", func(*sinks.Abilities) {}, nil},
		"no delete":          {"fields: {Name: name}\n", func(a *sinks.Abilities) { a.Delete = false }, []string{"fail | mapping m0 | crm/Deal has no way to delete a record | write delete: archive"}},
		"neither":            {"fields: {Name: name}\n", func(a *sinks.Abilities) { a.Delete, a.Archive = false, false }, []string{"fail | mapping m0 | crm/Deal has no way to delete a record | write delete: ignore, or delete: {set: {…}} with a field that marks the record as gone"}},
		"no archive":         {"fields: {Name: name}\ndelete: archive\n", func(a *sinks.Abilities) { a.Archive = false }, []string{"fail | mapping m0 | crm/Deal has no way to archive a record | write delete: delete"}},
		"nothing is deleted": {"fields: {Name: name}\ndelete: ignore\n", func(a *sinks.Abilities) { *a = sinks.Abilities{} }, nil},
		"marks replace":      {"fields: {Name: name, Gone: {const: false}}\ndelete: {set: {Gone: {const: true}}}\n", func(a *sinks.Abilities) { a.Partial = false }, []string{"fail | mapping m0 | a record that is sent to crm/Deal takes the place of all that was there, so the fields of delete: {set: …} would be all that is left of it | write delete: delete or delete: ignore"}},
		"at times":           {"fields: {Name: {value: name, write: on_create}}\n", func(a *sinks.Abilities) { a.Partial = false }, []string{"so a field that is only written at times would be lost | take write: out of its fields"}},
		"always":             {"fields: {Name: name}\n", func(a *sinks.Abilities) { a.Partial = false }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := all
			c.lacks(&a)
			f := compiled(t, head+c.file)
			f.Postgres = healthy()
			f.Targets = []Target{{Name: "crm", Abilities: func(object string) sinks.Abilities {
				if object != "Deal" {
					t.Errorf("asked for %s", object)
				}
				return a
			}}}
			wantFindings(t, Run(f), c.want...)
			err := Unfit(f.Mappings[0], a)
			var setup *cdc.SetupError
			if (err != nil) != (len(c.want) > 0) || err != nil && (!errors.As(err, &setup) || !strings.Contains(err.Error(), ".yaml:2:5: mapping m0: ")) {
				t.Errorf("at the start: %v", err)
			}
		})
	}
}
