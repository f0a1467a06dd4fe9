package salesforce

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// The states of a bulk job.
const (
	stateOpen       = "Open"
	stateUploaded   = "UploadComplete"
	stateInProgress = "InProgress"
	stateComplete   = "JobComplete"
	stateFailed     = "Failed"
	stateAborted    = "Aborted"
)

// jobChunk is how many rows of a job are worked on together.
const jobChunk = 10_000

// job is a bulk job. Its rows are worked on when somebody looks, as far as the clock says
// that they would have been by then.
type job struct {
	id, operation, lineEnding, delimiter, version string
	table                                         *table
	key                                           *Field // of an upsert
	allowDuplicates, assign                       bool
	state, message                                string
	created, closed, stamp                        time.Time

	uploaded bool
	data     []byte
	header   []string
	columns  []column
	rows     [][]string
	outcomes []outcome // of the rows worked on
	shown    []int     // rows in the order of the results
	failed   int
	breakAt  int // rows after which it fails; -1 is never
}

// column is what a column of the CSV file is for: an id, a field, or a link to a parent.
type column struct {
	field  *Field
	parent *table
	by     *Field
}

// breakage makes a job fail after some rows.
type breakage struct{ after int }

var delimiters = map[string]rune{"": ',', "COMMA": ',', "TAB": '\t', "SEMICOLON": ';', "PIPE": '|', "CARET": '^', "BACKQUOTE": '`'}

// close ends the upload.
func (j *job) close(now time.Time) {
	j.state, j.closed, j.stamp = stateUploaded, now, now
}

// read takes the uploaded file apart. A mistake in it is one of the whole job.
func (j *job) read(s *store) {
	crlf := bytes.Contains(j.data, []byte("\r\n"))
	if crlf != (j.lineEnding == "CRLF") && bytes.ContainsRune(j.data, '\n') {
		j.fail("ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is " + j.lineEnding)
		return
	}
	r := csv.NewReader(bytes.NewReader(j.data))
	r.Comma = delimiters[j.delimiter]
	all, err := r.ReadAll()
	j.data = nil
	if err != nil || len(all) == 0 {
		j.fail(fmt.Sprintf("ClientInputError : the file is no CSV with a header: %v", err))
		return
	}
	j.header, j.rows = all[0], all[1:]
	for _, name := range j.header {
		c, ok := j.column(s, name)
		if !ok {
			j.fail("InvalidBatch : Field name not found : " + name)
			return
		}
		j.columns = append(j.columns, c)
	}
}

// column reads a name of the header: Field, Relationship.Field, or the latter with
// Object: before it where the parent may be of more than one.
func (j *job) column(s *store, name string) (column, bool) {
	object, rest, typed := strings.Cut(name, ":")
	if !typed {
		rest = name
	}
	rel, by, dotted := strings.Cut(rest, ".")
	if !dotted {
		f := j.table.field(rest)
		return column{field: f}, f != nil && !typed
	}
	f := j.table.relationships[strings.ToLower(rel)]
	if f == nil || len(f.ReferenceTo) > 1 && !typed {
		return column{}, false
	}
	if !typed {
		object = f.ReferenceTo[0]
	}
	c := column{field: f, parent: s.table(object)}
	if c.parent == nil || !slices.Contains(f.ReferenceTo, c.parent.Name) {
		return c, false
	}
	c.by = c.parent.field(by)
	return c, c.by != nil && c.by.keyed()
}

// draft reads a row: an empty cell leaves a field as it is.
func (j *job) draft(row []string) *draft {
	d := &draft{table: j.table, values: make(map[string]json.RawMessage, len(row))}
	for i, cell := range row {
		c := j.columns[i]
		f := c.field
		if c.by != nil {
			f = c.by
		}
		if cell == "" {
			continue
		}
		v, bad := fromCell(f, cell)
		switch {
		case bad != nil:
			d.bad = bad
		case c.by != nil:
			d.links = append(d.links, link{field: c.field, parent: c.parent, by: c.by, value: v})
		case f.Name == idField:
			d.id = plain(v)
		default:
			d.values[f.Name] = v
		}
	}
	return d
}

func (j *job) fail(message string) { j.state, j.message = stateFailed, message }

// advance works on the rows that are due: with a time for the whole job, each part of it has
// its share of that.
func (j *job) advance(s *store, now time.Time, whole time.Duration, w writing, shuffle *rand.Rand) {
	if j.state == stateUploaded {
		if j.state = stateInProgress; whole > 0 && !now.After(j.closed) {
			j.state = stateUploaded
			return
		}
		j.read(s)
		j.stamp = now
	}
	if j.state != stateInProgress {
		return
	}
	parts := max(1, (len(j.rows)+jobChunk-1)/jobChunk)
	for part := len(j.outcomes) / jobChunk; part < parts; part++ {
		due := j.closed.Add(whole / time.Duration(parts) * time.Duration(part+1))
		if part == parts-1 {
			due = j.closed.Add(whole)
		}
		if now.Before(due) {
			return
		}
		end := min(len(j.rows), (part+1)*jobChunk)
		broken := j.breakAt >= 0 && j.breakAt < end
		if broken {
			end = j.breakAt
		}
		w.now, j.stamp = due, due
		j.work(s, &w, end, shuffle)
		if broken {
			j.fail("InternalServerError : the job was retried too often")
			return
		}
	}
	j.state = stateComplete
}

// work works on the rows up to end.
func (j *job) work(s *store, w *writing, end int, shuffle *rand.Rand) {
	from := len(j.outcomes)
	drafts := make([]*draft, 0, end-from)
	for _, row := range j.rows[from:end] {
		drafts = append(drafts, j.draft(row))
	}
	j.outcomes = append(j.outcomes, s.writeAll(w, drafts)...)
	for i := from; i < end; i++ {
		j.shown = append(j.shown, i)
		if j.outcomes[i].bad != nil {
			j.failed++
		}
	}
	shuffle.Shuffle(len(j.shown), func(a, b int) { j.shown[a], j.shown[b] = j.shown[b], j.shown[a] })
}

// ended tells whether nothing more will be done.
func (j *job) ended() bool {
	return j.state == stateComplete || j.state == stateFailed || j.state == stateAborted
}

// successes are the rows that were written, with values as the org holds them rather than
// as they were sent.
func (j *job) successes() []byte {
	var b bytes.Buffer
	j.line(&b, append([]string{"sf__Id", "sf__Created"}, j.header...))
	for _, i := range j.shown {
		o := &j.outcomes[i]
		if o.bad != nil {
			continue
		}
		cells := []string{o.id, string(flag(o.created))}
		for k, cell := range j.rows[i] {
			cells = append(cells, j.columns[k].reformat(cell))
		}
		j.line(&b, cells)
	}
	return b.Bytes()
}

// reformat gives a cell in the org's own form.
func (c column) reformat(cell string) string {
	f := c.field
	if c.by != nil {
		f = c.by
	}
	v, bad := fromCell(f, cell)
	if bad != nil {
		return cell
	}
	text := plain(v)
	if at, ok := readTime(text); ok && f.Type == sinks.FieldDateTime {
		return at.Format("2006-01-02T15:04:05.000Z")
	}
	return text
}

// failures are the rows that were refused, with the reason.
func (j *job) failures() []byte {
	var b bytes.Buffer
	j.line(&b, append([]string{"sf__Id", "sf__Error"}, j.header...))
	for _, i := range j.shown {
		o := &j.outcomes[i]
		if o.bad == nil {
			continue
		}
		fields := strings.Join(o.bad.Fields, ", ")
		j.line(&b, append([]string{o.id, o.bad.Code + ":" + o.bad.Message + ":" + fields + " --"}, j.rows[i]...))
	}
	return b.Bytes()
}

// unprocessed are the rows that were not worked on.
func (j *job) unprocessed() []byte {
	var b bytes.Buffer
	if j.header != nil {
		j.line(&b, j.header)
	}
	for _, row := range j.rows[len(j.outcomes):] {
		j.line(&b, row)
	}
	return b.Bytes()
}

// line writes a line of CSV, every cell within quotes.
func (j *job) line(b *bytes.Buffer, cells []string) {
	for i, cell := range cells {
		if i > 0 {
			b.WriteRune(delimiters[j.delimiter])
		}
		b.WriteByte('"')
		b.WriteString(strings.ReplaceAll(cell, `"`, `""`))
		b.WriteByte('"')
	}
	if j.lineEnding == "CRLF" {
		b.WriteByte('\r')
	}
	b.WriteByte('\n')
}
