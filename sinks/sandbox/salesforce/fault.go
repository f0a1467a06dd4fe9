package salesforce

import "fmt"

// fault is why something is refused, in Salesforce's words.
type fault struct {
	Code, Message string
	Fields        []string
	// matches are the ids of records that a duplicate rule has found.
	matches []string
	rule    string
	// request tells that the request cannot be read, so that nothing of it is done.
	request bool
	status  int // of an answer about this alone; zero is 400
}

func refuse(code, message string, fields ...string) *fault {
	return &fault{Code: code, Message: message, Fields: fields}
}

// unreadable is a fault of the request as a whole.
func unreadable(code, format string, args ...any) *fault {
	return &fault{Code: code, Message: fmt.Sprintf(format, args...), request: true}
}

// notFound is a fault of the path.
func notFound(message string) *fault {
	return &fault{Code: "NOT_FOUND", Message: message, status: 404}
}

const noResource = "The requested resource does not exist"

// item is an error of one record in the answer about many.
type item struct {
	StatusCode string           `json:"statusCode"`
	Message    string           `json:"message"`
	Fields     []string         `json:"fields"`
	Duplicates *duplicateResult `json:"duplicateResult,omitempty"`
}

// problem is an error in the answer about one record, or a whole request.
type problem struct {
	Message    string           `json:"message"`
	Code       string           `json:"errorCode"`
	Fields     []string         `json:"fields,omitempty"`
	Duplicates *duplicateResult `json:"duplicateResult,omitempty"`
}

// duplicateResult tells what a duplicate rule has found.
type duplicateResult struct {
	AllowSave bool          `json:"allowSave"`
	Rule      string        `json:"duplicateRule"`
	Results   []matchResult `json:"matchResults"`
}

type matchResult struct {
	Records []matchRecord `json:"matchRecords"`
}

type matchRecord struct {
	Record struct {
		ID string `json:"Id"`
	} `json:"record"`
}

func (f *fault) duplicates() *duplicateResult {
	if len(f.matches) == 0 {
		return nil
	}
	d := &duplicateResult{Rule: f.rule, Results: []matchResult{{}}}
	for _, id := range f.matches {
		var m matchRecord
		m.Record.ID = id
		d.Results[0].Records = append(d.Results[0].Records, m)
	}
	return d
}

func (f *fault) item() item {
	fields := f.Fields
	if fields == nil {
		fields = []string{}
	}
	return item{StatusCode: f.Code, Message: f.Message, Fields: fields, Duplicates: f.duplicates()}
}

func (f *fault) problem() problem {
	return problem{Code: f.Code, Message: f.Message, Fields: f.Fields, Duplicates: f.duplicates()}
}

// reply answers with the fault alone.
func (f *fault) reply() reply {
	status := f.status
	if status == 0 {
		status = 400
	}
	return reply{status: status, body: []problem{f.problem()}}
}
