package plan

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Write writes it for people. Keys are shown, values of other columns are not.
func (p *Plan) Write(out io.Writer) error {
	fmt.Fprintln(out, "What the mapping files would send, compared with what was delivered. Nothing is sent or written by this.") // errors come with the last line
	fmt.Fprintln(out, p.summary())
	if p.Sample < 1 {
		fmt.Fprintf(out, "Only %s of the rows were looked at. The table counts those; records and requests below it are taken up to all rows.\n", percent(p.Sample))
	}
	for _, n := range p.Notes {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAPPING\tTO\tSTATE\tROWS\tCREATE\tUPDATE\tREMOVE\tAS IT IS\tNOT MEANT\tREFUSED\tIN FLIGHT")
	for i := range p.Mappings {
		m := &p.Mappings[i]
		fmt.Fprintf(w, "%s\t%s/%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", m.Mapping, m.Target, m.Object, m.State, m.Rows,
			m.Create, m.Update+m.Move, m.Remove, m.Same+m.Unsure, m.NotMeant+m.Stay, m.Refused, m.InFlight)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var lines []string
	for i := range p.Mappings {
		lines = append(lines, p.Mappings[i].lines()...)
	}
	lines = append(lines, p.goneLines()...)
	lines = append(lines, p.sums()...)
	for _, l := range lines {
		if _, err := fmt.Fprintln(out, l); err != nil {
			return err
		}
	}
	return nil
}

// summary says all of it in one line.
func (p *Plan) summary() string {
	states, refused, sends := map[State]int64{}, int64(0), Cost{}
	for i := range p.Mappings {
		m := &p.Mappings[i]
		states[m.State]++
		refused, sends = refused+m.Refused, sends.Add(m.Sends)
	}
	var words []string
	for _, s := range []State{New, Back, Changed, Same} {
		if states[s] > 0 {
			words = append(words, fmt.Sprintf("%d %s", states[s], s))
		}
	}
	by, not := "nothing is", "no row"
	if sends.Records > 0 {
		by = fmt.Sprintf("%s in %s are", records(sends.Records), plural(sends.Requests, "request"))
	}
	if refused > 0 {
		not = rows(refused)
	}
	return fmt.Sprintf("%s: %s. By itself %s sent; %s would be refused.", plural(int64(len(p.Mappings)), "mapping"), strings.Join(words, ", "), by, not)
}

// lines say what there is to say of a mapping beside its numbers.
func (m *Mapping) lines() []string {
	out := []string{"", m.Mapping + ": " + m.headline()}
	say := func(format string, args ...any) { out = append(out, "  "+fmt.Sprintf(format, args...)) }
	such := func(k Kind) string { return suchAs(m.Examples[k.String()]) }
	if m.Create > 0 {
		say("create: %s%s%s", rows(m.Create), m.untouched(), such(Create))
	}
	if m.Update > 0 {
		say("update: %s%s", rows(m.Update), such(Update))
		if m.Looked > 0 { // else nothing certain is known to differ from
			say("  %s", m.because())
		}
	}
	if m.Move > 0 {
		say("update under another key: %s%s; what lies under the old one is then %s", rows(m.Move), such(Move), m.removed())
	}
	if m.Unsettled > 0 {
		say("%d of these were refused when they were last sent, or not answered for certain", m.Unsettled)
	}
	if m.Remove > 0 {
		say("remove: %s (%s): %s%s", records(m.Remove), m.removed(), m.orphans(), such(Remove))
	}
	if m.Stay > 0 {
		say("stay: %s that should not be there any more; with `delete: ignore` they are left as they are%s", records(m.Stay), such(Stay))
	}
	if m.Unsure > 0 {
		say("as it is: of %d it cannot be told, since their last change came without a column that did not change", m.Unsure)
	}
	for _, r := range m.Refusals {
		say("refused: %s, %s: %s%s", rows(r.Rows), r.Code, r.Error, suchAs(r.Examples))
	}
	if m.Refused > 0 {
		say("  when it is sent, such a row becomes a dead letter; a record that the target has of it stays as it is")
	}
	if m.DeadLetters > 0 {
		say("dead letters of before: %d; walbridge dlq list --target %s shows them", m.DeadLetters, m.Target)
	}
	if m.Waited {
		say("in flight: the target does not deal with its changes now; walbridge status says why")
	}
	if len(out) == 2 && m.State == Same {
		return nil
	}
	return append(out, m.ways()...)
}

// headline says how a mapping stands, and what of it goes by itself.
func (m *Mapping) headline() string {
	if m.Begins != nil {
		return m.beginning()
	}
	switch {
	case m.State == New:
		return "new, and begun already: it sends each row when that changes next" + m.waits() + "."
	case m.differing() > 0:
		return string(m.State) + ". Nothing of this is sent by itself; a row is sent when it changes next" + m.waits() + "."
	}
	return string(m.State) + "."
}

// waits says that some of it goes all the same.
func (m *Mapping) waits() string {
	if !m.Backlog {
		return ""
	}
	return ", or if a change of it waits already (see the notes)"
}

// beginning says how a mapping begins.
func (m *Mapping) beginning() string {
	is, b := "new", m.Begins
	if m.State == Back {
		is = "taken away before, and back"
	}
	why := ""
	if b.Setting != "" {
		why = " (" + b.Setting + ")"
	}
	const start = "walbridge run (or capture and deliver) starts with these files"
	switch b.How {
	case ByReading:
		return fmt.Sprintf("%s, and begun: its table %s is being read now, by backfill %s, which brings what is to be created.", m.State, m.Table, b.Backfill)
	case ByBackfill:
		return fmt.Sprintf("%s. When %s, its table %s is read%s, and all rows that it means are sent: %s.", is, start, m.Table, why, m.Sends.words())
	case ByLog:
		text := fmt.Sprintf("%s. When %s, it takes the changes that the log still holds%s, and no table is read", is, start, why)
		if b.Log == 0 {
			return text + "; it holds none of its rows now."
		}
		text += fmt.Sprintf(": at most %s have such a change, %s", rows(b.Log), m.Sends.words())
		return text + "."
	}
	return fmt.Sprintf("%s. From when %s, it sends each row when that changes%s; no table is read.", is, start, why)
}

// differing is how many records are not at the target as the files have them.
func (m *Mapping) differing() int64 { return m.Create + m.Update + m.Move + m.Remove }

// untouched says of which created records nothing came yet, where the mapping has begun.
func (m *Mapping) untouched() string {
	if m.Untouched == 0 || m.Begins != nil || m.State == New {
		return ""
	}
	return fmt.Sprintf(" (%d of which no change came since the mapping began)", m.Untouched)
}

// because says which fields make records differ.
func (m *Mapping) because() string {
	if m.Told == 0 {
		return "which fields differ cannot be told: of what was delivered a hash is kept, no values"
	}
	var words []string
	for _, f := range m.Fields {
		if f.Added > 0 {
			words = append(words, fmt.Sprintf("%s is new (%d)", f.Name, f.Added))
		}
		if f.Changed > 0 {
			words = append(words, fmt.Sprintf("%s has another value (%d)", f.Name, f.Changed))
		}
	}
	text := strings.Join(words, ", ")
	if m.Looked < m.Update {
		text += fmt.Sprintf(", of the first %d", m.Looked)
	}
	if m.Told < m.Looked {
		text += fmt.Sprintf("; of %d it cannot be told: a hash of what was delivered is kept, no values", m.Looked-m.Told)
	}
	return text
}

// removed says what comes of a record that goes.
func (m *Mapping) removed() string {
	switch m.Delete {
	case "delete":
		return "deleted"
	case "archive":
		return "archived"
	case "set":
		return "marked as `delete: set` says"
	}
	return "left as it is (`delete: ignore`)"
}

func (m *Mapping) orphans() string {
	switch {
	case m.Orphans == 0:
		return "`when` does not let the row through any more"
	case m.Orphans == m.Remove:
		return "the row is gone"
	}
	return fmt.Sprintf("`when` does not let the row through any more, or it is gone (%d)", m.Orphans)
}

// ways say how to have all of it sent at once.
func (m *Mapping) ways() (out []string) {
	every := fmt.Sprintf("walbridge backfill %s --for %s/%s", m.Table, m.Target, m.Mapping)
	switch b := m.Begins; {
	case b != nil && (b.How == ByLog || b.How == ByNow) && m.Backfill.Records > 0:
		return []string{"  once it has begun, this sends every row: " + every, "    " + m.Backfill.words()}
	case b != nil || m.differing() == 0:
		return nil
	}
	return []string{
		"  to send it now, for rows of which the log still has a change: walbridge replay --target " + m.Target + " --mapping " + m.Mapping + " --from beginning",
		"    at most " + strings.Replace(m.Replay.words(), ", at least ", ", ", 1),
		"  or every row, also what is as it is: " + every,
		"    " + m.Backfill.words(),
	}
}

// words say what a cost is.
func (c Cost) words() string {
	text := fmt.Sprintf("%s, at least %s", records(c.Records), plural(c.Requests, "request"))
	switch {
	case c.Jobs:
		return fmt.Sprintf("%s, %s or fewer, since bulk jobs take many of them", records(c.Records), plural(c.Requests, "request"))
	case c.Never:
		return text + "; the account leaves none of its requests of a day for it"
	case c.Seconds >= 1:
		text += ", for which the account takes at least " + span(c.least())
	}
	if c.Beyond > 0 {
		text += fmt.Sprintf("; %s more than are left today", plural(c.Beyond, "request"))
	}
	return text
}

// goneLines tell of what is not in the files any more.
func (p *Plan) goneLines() (out []string) {
	for _, g := range p.Gone {
		if len(out) == 0 {
			out = append(out, "", "not in the files any more:")
		}
		if g.Mapping == "" {
			out = append(out, fmt.Sprintf("  target %s: it is in no configuration, and the log is kept for it; walbridge target forget %[1]s ends that, and forgets what it was given", g.Target))
			continue
		}
		out = append(out, fmt.Sprintf("  %s to %s: what it delivered (%s) stays at the target as it is, and nothing more is sent of it; what is known of it is kept in case that the file comes back",
			g.Mapping, g.Target, records(g.Records)))
	}
	return out
}

// sums say what goes by itself in all, for each account.
func (p *Plan) sums() (out []string) {
	out = append(out, "")
	for _, a := range p.Accounts {
		out = append(out, fmt.Sprintf("account %s (target %s): by itself %s", a.Account, strings.Join(a.Targets, ", "), a.Sends.sum()), "  it allows "+a.Words)
	}
	return out
}

func (c Cost) sum() string {
	if c.Records == 0 {
		return "nothing is sent"
	}
	return c.words()
}

func suchAs(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return ", such as " + strings.Join(keys, " ")
}

func rows(n int64) string    { return plural(n, "row") }
func records(n int64) string { return plural(n, "record") }

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func percent(share float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", 100*share), "0"), ".") + "%"
}

// span writes a time with as much as matters.
func span(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d >= 2*day:
		return plural(int64(d/day), "day")
	case d >= time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.Round(time.Second).String()
}
