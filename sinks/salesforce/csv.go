package salesforce

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// nullCell clears a field; an empty cell leaves it as it is (Bulk API 2.0 guide, prepare CSV
// files).
const nullCell = "#N/A"

// maxCell is the greatest length of a field in a job, in characters.
const maxCell = 32_000

// cell is a value in CSV. A value that has no place there goes by Composite: what would be taken
// for another one or is too long, and what has a line break of CR, since a job allows only one
// kind of line ends.
func cell(v json.RawMessage) (text string, ok bool) {
	switch {
	case len(v) == 0 || v[0] == '{' || v[0] == '[':
		return "", false
	case isNull(v):
		return nullCell, true
	}
	text = sinks.ExactKey(v)
	bare := strings.TrimSpace(text) // as Salesforce keeps it
	if bare == "" {
		return nullCell, true // Salesforce has no empty texts: they are null
	}
	return text, bare != nullCell && len(text) <= maxCell && !strings.ContainsAny(text, "\x00\r")
}

// cells calls f with each column and its text of a record, as it goes into a job. It tells
// whether all of it can.
func cells(r *sinks.Record, f func(column, text string)) bool {
	for i := -1; i < len(r.Fields); i++ {
		field := &r.Key
		if i >= 0 {
			if field = &r.Fields[i]; strings.EqualFold(field.Name, r.Key.Name) {
				continue
			}
		}
		text, ok := cell(field.Value)
		if !ok {
			return false
		}
		f(columnOf(r, field), text)
	}
	return true
}

func columnOf(r *sinks.Record, f *sinks.Field) string {
	rel, ok := relationOf(r, f.Name)
	switch {
	case ok && (isNull(f.Value) || rel.by == ""):
		return rel.id
	case ok:
		return rel.column()
	}
	return f.Name
}

// file is what is uploaded to one job.
type file struct {
	of   []int // records of the batch
	body []byte
}

// files makes CSV of records, each of no more than a number of bytes. The first line has all
// columns of all records, in the order in which they first appear.
func files(b *sinks.Batch, of []int, most int) []file {
	var columns []string
	at := make(map[string]int)
	for _, i := range of {
		cells(&b.Records[i], func(column, _ string) {
			if _, there := at[column]; !there {
				at[column] = len(columns)
				columns = append(columns, column)
			}
		})
	}
	var out []file
	row := make([]string, len(columns))
	head := csvLine(nil, columns)
	var one []byte
	for _, i := range of {
		clear(row)
		cells(&b.Records[i], func(column, text string) { row[at[column]] = text })
		one = csvLine(one[:0], row)
		if n := len(out); n == 0 || len(out[n-1].body)+len(one) > most {
			out = append(out, file{body: bytes.Clone(head)})
		}
		f := &out[len(out)-1]
		f.of, f.body = append(f.of, i), append(f.body, one...)
	}
	return out
}

// csvLine appends a line (RFC 4180, ended by LF).
func csvLine(b []byte, cells []string) []byte {
	for i, s := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		if s == "" || !strings.ContainsAny(s, ",\"\r\n") && strings.TrimSpace(s) == s {
			b = append(b, s...)
			continue
		}
		b = append(b, '"')
		b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
		b = append(b, '"')
	}
	return append(b, '\n')
}

// sum stands for a key, or for what a record holds.
type sum [8]byte

func sumOf(parts ...string) (s sum) {
	h := sha256.New()
	for _, p := range parts {
		h.Write(fmt.Appendf(nil, "%d:", len(p)))
		h.Write([]byte(p))
	}
	copy(s[:], h.Sum(nil))
	return s
}

var decimal = regexp.MustCompile(`^-?[0-9]+\.[0-9]+$`)

// keySum stands for a key in a job, also as Salesforce writes it in the results: a number may
// have got another number of zeros behind its point.
func (c *Client) keySum(object string, key sinks.Field) sum {
	s := strings.TrimSpace(strings.ReplaceAll(c.FoldKey(object, key), "\r\n", "\n"))
	if decimal.MatchString(s) {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return sumOf(object, s)
}

// contentSum stands for a state of a record.
func contentSum(r *sinks.Record) sum {
	parts := []string{r.Op.String(), r.Position.String(), r.Mapping, r.Source, r.Key.Name, string(r.Key.Value)}
	for i := range r.Fields {
		parts = append(parts, r.Fields[i].Name, string(r.Fields[i].Value))
	}
	return sumOf(parts...)
}

// packSums and unpackSums are the note of what a job holds.
func packSums(rows map[sum]sum) string {
	b := make([]byte, 0, 16*len(rows))
	for k, v := range rows {
		b = append(append(b, k[:]...), v[:]...)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

func unpackSums(note string) (map[sum]sum, error) {
	b, err := base64.RawStdEncoding.DecodeString(note)
	if err != nil || len(b)%16 != 0 {
		return nil, errors.New("read the note of a job: it is damaged")
	}
	rows := make(map[sum]sum, len(b)/16)
	for ; len(b) > 0; b = b[16:] {
		rows[sum(b[:8])] = sum(b[8:16])
	}
	return rows, nil
}

// readResults reads a list of results of a job: f gets the key of each record, and the value
// of another column. The error does not quote what is in it.
func readResults(body []byte, key, column string, f func(key, value string)) error {
	r := csv.NewReader(bytes.NewReader(body))
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil // no results, and not even their names
	}
	at, other := -1, -1
	for i, name := range head {
		switch name = strings.TrimPrefix(name, "\ufeff"); {
		case strings.EqualFold(name, key):
			at = i
		case name == column:
			other = i
		}
	}
	if err != nil || at < 0 || other < 0 && column != "" {
		return errors.New("it is not the CSV that was expected")
	}
	for {
		cells, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil || at >= len(cells) || other >= len(cells):
			return errors.New("it is not the CSV that was expected")
		case column == "":
			f(cells[at], "")
		default:
			f(cells[at], cells[other])
		}
	}
}
