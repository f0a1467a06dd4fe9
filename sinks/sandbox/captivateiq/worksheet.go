package captivateiq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

// The types of columns.
const (
	TypeText    = "text"
	TypeNumber  = "number"
	TypeDate    = "date" // 2026-01-31
	TypeBoolean = "boolean"
)

// Column is one column of a worksheet.
type Column struct {
	Name string
	Type string
	// Formula tells that CaptivateIQ computes it, so that nobody can write it.
	Formula string
}

// Worksheet is a table.
type Worksheet struct {
	ID       string // a UUID
	Name     string
	Workbook string // the name of the workbook that it is in
	UniqueID string // the column that tells records apart
	Columns  []Column
}

// DefaultWorksheets are two tables of a commission plan: deals and payees.
func DefaultWorksheets() []Worksheet {
	return []Worksheet{
		{ID: "7f0c1f5e-3b0a-4f57-9d0e-5a1d7c3e0001", Name: "Deals", Workbook: "Commission data", UniqueID: "Deal ID", Columns: []Column{
			{Name: "Deal ID", Type: TypeText}, {Name: "Deal Name", Type: TypeText}, {Name: "Owner Email", Type: TypeText},
			{Name: "Amount", Type: TypeNumber}, {Name: "Close Date", Type: TypeDate}, {Name: "Renewal", Type: TypeBoolean},
			{Name: "Commission", Type: TypeNumber, Formula: "Amount * 0.1"},
		}},
		{ID: "7f0c1f5e-3b0a-4f57-9d0e-5a1d7c3e0002", Name: "Payees", Workbook: "Commission data", UniqueID: "Employee ID", Columns: []Column{
			{Name: "Employee ID", Type: TypeText}, {Name: "Email", Type: TypeText}, {Name: "Start Date", Type: TypeDate}, {Name: "Quota", Type: TypeNumber},
		}},
	}
}

func (w *Worksheet) column(name string) *Column {
	for i := range w.Columns {
		if w.Columns[i].Name == name {
			return &w.Columns[i]
		}
	}
	return nil
}

var (
	number = regexp.MustCompile(`^-?\d+(\.\d+)?([eE][+-]?\d+)?$`)
	null   = []byte("null")
)

// wrong says why a value is none of the column's; it is empty if it is. A null, or an empty
// text where that is no text, empties the cell.
func (c *Column) wrong(value json.RawMessage) string {
	if c.Formula != "" {
		return "This column is read only."
	}
	if bytes.Equal(value, null) {
		return ""
	}
	text, isText := textOf(value)
	if isText && text == "" {
		return ""
	}
	switch c.Type {
	case TypeNumber:
		if !number.MatchString(text) {
			return "A valid number is required."
		}
	case TypeDate:
		if _, err := time.Parse(time.DateOnly, text); !isText || err != nil {
			return "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
		}
	case TypeBoolean:
		if isText || text != "true" && text != "false" {
			return "Must be a valid boolean."
		}
	default:
		if !isText {
			return "Not a valid string."
		}
	}
	return ""
}

// textOf gives the text of a JSON text, or the JSON of any other value.
func textOf(value json.RawMessage) (text string, isText bool) {
	if len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &text) == nil {
		return text, true
	}
	return string(value), false
}

// uniqueID gives the unique id of a record to be written, or says why it has none.
func (w *Worksheet) uniqueID(data map[string]json.RawMessage) (string, string) {
	value, ok := data[w.UniqueID]
	if !ok || bytes.Equal(value, null) {
		return "", "This field is required."
	}
	text, _ := textOf(value)
	if text == "" {
		return "", "This field may not be blank."
	}
	return text, ""
}

// check says what is wrong with a record, by column.
func (w *Worksheet) check(data map[string]json.RawMessage) map[string][]string {
	wrong := map[string][]string{}
	for name, value := range data {
		c := w.column(name)
		if c == nil {
			wrong[name] = []string{fmt.Sprintf("Column %q does not exist in this worksheet.", name)}
			continue
		}
		if why := c.wrong(value); why != "" {
			wrong[name] = []string{why}
		}
	}
	if _, why := w.uniqueID(data); why != "" && wrong[w.UniqueID] == nil {
		wrong[w.UniqueID] = []string{why}
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}
