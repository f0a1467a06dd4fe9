package captivateiq

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// pageSize is the most records of a list, and how many there are where none says.
const pageSize = 100

// wireRecord is a record as an answer gives it.
type wireRecord struct {
	Object    string                     `json:"object"`
	ID        string                     `json:"id"`
	CreatedAt string                     `json:"created_at"`
	UpdatedAt string                     `json:"updated_at"`
	Data      map[string]json.RawMessage `json:"data"`
}

func (r *record) wire() wireRecord {
	return wireRecord{Object: "record", ID: r.id, CreatedAt: stamp(r.created), UpdatedAt: stamp(r.updated), Data: r.row()}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// list is a part of a list, with where the parts beside it are.
type list struct {
	Object   string  `json:"object"`
	Total    int     `json:"total_count"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Data     any     `json:"data"`
}

// page cuts the part that a call asks for out of a list.
func page[T any](c *call, all []T) reply {
	q := c.URL.Query()
	limit, offset := pageSize, 0
	for name, into := range map[string]*int{"limit": &limit, "offset": &offset} {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || name == "limit" && n == 0 {
				return badRequest(map[string][]string{name: {"A valid integer is required."}})
			}
			*into = n
		}
	}
	limit = min(limit, pageSize)
	from := min(offset, len(all))
	to := min(from+limit, len(all))
	at := func(offset int) *string {
		u := url.URL{Path: c.URL.Path}
		q.Set("offset", strconv.Itoa(offset))
		q.Set("limit", strconv.Itoa(limit))
		u.RawQuery = q.Encode()
		text := sim.BaseURL(c.Request) + u.String()
		return &text
	}
	out := list{Object: "list", Total: len(all), Data: append([]T{}, all[from:to]...)}
	if to < len(all) {
		out.Next = at(to)
	}
	if from > 0 {
		out.Previous = at(max(0, from-limit))
	}
	return reply{status: http.StatusOK, body: out}
}

// decode reads a body; what it does not know is an error.
func decode(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is more than one value")
	}
	return nil
}

func parseError(err error) reply {
	return detail(http.StatusBadRequest, "JSON parse error - "+err.Error())
}

func (s *Server) sheet(c *call) *sheet {
	for _, sh := range s.sheets {
		if sh.ID == c.PathValue("sheet") {
			return sh
		}
	}
	return nil
}

// writeBatch answers POST records/batch/.
func writeBatch(s *Server, c *call) reply {
	sh := s.sheet(c)
	if sh == nil {
		return notFound
	}
	var b batch
	if err := decode(c.body, &b); err != nil {
		return parseError(err)
	}
	if wrong := sh.checkBatch(&b); wrong != nil {
		return badRequest(wrong)
	}
	return reply{status: http.StatusOK, body: sh.apply(&b, c.now)}
}

// readData reads the columns of one record and looks at them.
func readData(sh *sheet, c *call) (map[string]json.RawMessage, *reply) {
	var data map[string]json.RawMessage
	if err := decode(c.body, &data); err != nil {
		out := parseError(err)
		return nil, &out
	}
	if wrong := sh.checkOne(data); wrong != nil {
		out := badRequest(wrong)
		return nil, &out
	}
	return data, nil
}

// createRecord answers POST records/: only what is not there yet.
func createRecord(s *Server, c *call) reply {
	sh := s.sheet(c)
	if sh == nil {
		return notFound
	}
	data, wrong := readData(sh, c)
	if wrong != nil {
		return *wrong
	}
	unique, _ := sh.uniqueID(data)
	if sh.records[unique] != nil {
		return badRequest(map[string][]string{sh.UniqueID: {"A record with this unique ID already exists."}})
	}
	sh.put(unique, data, c.now)
	return reply{status: http.StatusCreated, body: sh.records[unique].wire()}
}

// updateRecord answers PUT records/{unique}/: only what is there. Its data may name another
// unique id.
func updateRecord(s *Server, c *call) reply {
	sh := s.sheet(c)
	unique := c.PathValue("unique")
	if sh == nil || sh.records[unique] == nil {
		return notFound
	}
	data, wrong := readData(sh, c)
	if wrong != nil {
		return *wrong
	}
	to, _ := sh.uniqueID(data)
	if !sh.rename(unique, to) {
		return badRequest(map[string][]string{sh.UniqueID: {"A record with this unique ID already exists."}})
	}
	sh.put(to, data, c.now)
	return reply{status: http.StatusOK, body: sh.records[to].wire()}
}

// deleteRecord answers DELETE records/{unique}/.
func deleteRecord(s *Server, c *call) reply {
	sh := s.sheet(c)
	if sh == nil || !sh.remove(c.PathValue("unique")) {
		return notFound
	}
	return reply{status: http.StatusNoContent}
}

// readRecord answers GET records/{unique}/.
func readRecord(s *Server, c *call) reply {
	sh := s.sheet(c)
	if sh == nil || sh.records[c.PathValue("unique")] == nil {
		return notFound
	}
	return reply{status: http.StatusOK, body: sh.records[c.PathValue("unique")].wire()}
}

// listRecords answers GET records/, of a text where one is asked for.
func listRecords(s *Server, c *call) reply {
	sh := s.sheet(c)
	if sh == nil {
		return notFound
	}
	var out []wireRecord
	for _, r := range sh.find(c.URL.Query().Get("query"), c.URL.Query().Get("query_column")) {
		out = append(out, r.wire())
	}
	return page(c, out)
}

// wireSheet is a worksheet as an answer gives it.
type wireSheet struct {
	Object       string       `json:"object"`
	ID           string       `json:"id"`
	Type         string       `json:"type"`
	Name         string       `json:"name"`
	Description  string       `json:"description"`
	WorkbookName string       `json:"workbook_name"`
	Columns      []wireColumn `json:"columns"`
}

type wireColumn struct {
	Object      string  `json:"object"`
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Variant     string  `json:"variant"`
	DataType    string  `json:"data_type"`
	Format      *string `json:"format"`
	Formula     string  `json:"formula"`
	ReadOnly    bool    `json:"read_only"`
}

func (w *Worksheet) wire() wireSheet {
	out := wireSheet{Object: "data_worksheet", ID: w.ID, Type: "raw", Name: w.Name, WorkbookName: w.Workbook}
	for i, c := range w.Columns {
		wc := wireColumn{Object: "column", ID: w.ID[:len(w.ID)-3] + strconv.Itoa(100+i), Name: c.Name, Variant: "raw", DataType: c.Type, Formula: c.Formula}
		if c.Formula != "" {
			wc.Variant, wc.ReadOnly = "derived", true
		}
		out.Columns = append(out.Columns, wc)
	}
	return out
}

// listWorksheets answers GET data-worksheets/, of a name where one is asked for.
func listWorksheets(s *Server, c *call) reply {
	part := strings.ToLower(c.URL.Query().Get("name_contains"))
	var out []wireSheet
	for _, sh := range s.sheets {
		if strings.Contains(strings.ToLower(sh.Name), part) {
			out = append(out, sh.wire())
		}
	}
	return page(c, out)
}

// readWorksheet answers GET data-worksheets/{sheet}/.
func readWorksheet(s *Server, c *call) reply {
	sh := s.sheet(c)
	if sh == nil {
		return notFound
	}
	return reply{status: http.StatusOK, body: sh.wire()}
}
