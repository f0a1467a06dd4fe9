package salesforce

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// advance lets bulk jobs do what is due by now.
func (s *Server) advance() {
	for _, id := range s.jobOrder {
		j := s.jobs[id]
		if j.state != stateUploaded && j.state != stateInProgress {
			continue
		}
		j.advance(s.store, s.o.Now(), s.o.BulkTime, writing{
			op: j.operation, key: j.key, allowDuplicates: j.allowDuplicates, assign: j.assign, room: s.o.Room, refusal: s.refusal,
		}, s.rand)
	}
}

// routeIngest answers below /jobs/ingest.
func (c *call) routeIngest(p []string) reply {
	if len(p) == 0 {
		switch c.method {
		case http.MethodPost:
			return c.createJob()
		default:
			return c.only(c.listJobs, http.MethodGet, http.MethodPost)
		}
	}
	j := c.s.jobs[p[0]]
	if j == nil || len(p) > 2 {
		return notFound(noResource).reply()
	}
	if len(p) == 2 {
		return c.jobPart(j, p[1])
	}
	switch c.method {
	case http.MethodGet:
		return ok(c.jobInfo(j))
	case http.MethodPatch:
		return c.changeJob(j)
	case http.MethodDelete:
		return c.deleteJob(j)
	}
	return c.only(nil, http.MethodGet, http.MethodPatch, http.MethodDelete)
}

// createJob opens a job.
func (c *call) createJob() reply {
	var in struct {
		Object     string `json:"object"`
		Operation  string `json:"operation"`
		ExternalID string `json:"externalIdFieldName"`
		Content    string `json:"contentType"`
		LineEnding string `json:"lineEnding"`
		Delimiter  string `json:"columnDelimiter"`
		Assignment string `json:"assignmentRuleId"`
	}
	if bad := c.readJSON(&in); bad != nil {
		return bad.reply()
	}
	j := &job{
		operation: in.Operation, lineEnding: in.LineEnding, delimiter: in.Delimiter, version: c.version, table: c.s.store.table(in.Object),
		state: stateOpen, created: c.s.o.Now(), stamp: c.s.o.Now(), breakAt: -1,
		allowDuplicates: allows(c.header.Get("Sforce-Duplicate-Rule-Header")), assign: in.Assignment != "",
	}
	if j.lineEnding == "" {
		j.lineEnding = "LF"
	}
	if j.delimiter == "" {
		j.delimiter = "COMMA"
	}
	if why := j.setUp(in.Object, in.ExternalID, in.Content); why != "" {
		return refuse("INVALIDJOB", "InvalidJob : "+why).reply()
	}
	if len(c.s.breaks) > 0 {
		j.breakAt = c.s.breaks[0].after
		c.s.breaks = c.s.breaks[1:]
	}
	c.s.jobsMade++
	j.id = makeID("750", c.s.jobsMade)
	c.s.jobs[j.id] = j
	c.s.jobOrder = append(c.s.jobOrder, j.id)
	return ok(c.jobInfo(j))
}

// setUp looks at what a job is to do, and says what is wrong with it.
func (j *job) setUp(object, externalID, content string) string {
	switch {
	case j.table == nil:
		return "InvalidEntity : Unknown object " + object
	case !slices.Contains([]string{opInsert, opUpdate, opUpsert, opDelete, opHardDelete}, j.operation):
		return "Unknown operation " + j.operation
	case content != "" && content != "CSV":
		return "Unsupported content type " + content
	case j.lineEnding != "LF" && j.lineEnding != "CRLF":
		return "Unknown line ending " + j.lineEnding
	case delimiters[j.delimiter] == 0:
		return "Unknown column delimiter " + j.delimiter
	case j.operation == opUpsert && externalID == "":
		return "External ID was blank for " + j.table.Name + ". An External ID must be specified for upsert."
	}
	if j.operation == opUpsert {
		if j.key = j.table.field(externalID); j.key == nil || !j.key.keyed() {
			return fmt.Sprintf("Field name provided, %s does not match an External ID, Salesforce Id, or indexed field for %s", externalID, j.table.Name)
		}
	}
	return ""
}

// jobInfo is what is told of a job.
func (c *call) jobInfo(j *job) map[string]any {
	out := map[string]any{
		"id": j.id, "object": j.table.Name, "operation": j.operation, "state": j.state, "createdById": makeID(userPrefix, 1),
		"createdDate": showTime(j.created), "systemModstamp": showTime(j.stamp), "concurrencyMode": "Parallel", "contentType": "CSV",
		"apiVersion": json.RawMessage(j.version[1:]), "lineEnding": j.lineEnding, "columnDelimiter": j.delimiter, "jobType": "V2Ingest",
		"numberRecordsProcessed": len(j.outcomes), "numberRecordsFailed": j.failed, "retries": 0,
	}
	if j.key != nil {
		out["externalIdFieldName"] = j.key.Name
	}
	if j.state == stateOpen {
		out["contentUrl"] = "services/data/" + j.version + "/jobs/ingest/" + j.id + "/batches"
	}
	if j.message != "" {
		out["errorMessage"] = j.message
	}
	return out
}

func (c *call) listJobs() reply {
	list := make([]any, 0, len(c.s.jobOrder))
	for _, id := range c.s.jobOrder {
		info := c.jobInfo(c.s.jobs[id])
		maps.DeleteFunc(info, func(name string, _ any) bool {
			return strings.HasPrefix(name, "numberRecords") || name == "errorMessage"
		})
		list = append(list, info)
	}
	return ok(map[string]any{"done": true, "records": list, "nextRecordsUrl": nil})
}

func jobState(format string, args ...any) reply {
	return refuse("INVALIDJOBSTATE", fmt.Sprintf(format, args...)).reply()
}

// jobPart takes the upload of a job, or answers with its results.
func (c *call) jobPart(j *job, part string) reply {
	if part == "batches" {
		return c.only(func() reply { return c.upload(j) }, http.MethodPut)
	}
	results, known := map[string]func() []byte{
		"successfulResults": j.successes, "failedResults": j.failures, "unprocessedrecords": j.unprocessed,
	}[part]
	if !known {
		return notFound(noResource).reply()
	}
	return c.only(func() reply {
		if !j.ended() {
			return jobState("Job %s is in the state %s: there are no results yet", j.id, j.state)
		}
		return reply{status: http.StatusOK, csv: results()}
	}, http.MethodGet)
}

func (c *call) upload(j *job) reply {
	switch {
	case j.state != stateOpen:
		return jobState("Job %s is in the state %s: data is taken in the state Open only", j.id, j.state)
	case j.uploaded:
		return jobState("Found multiple contents for job: <%s>, please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job "+
			"and make sure you only do 'PUT' once on a given Job.", j.id)
	case !strings.HasPrefix(c.header.Get("Content-Type"), "text/csv"):
		return unreadable("INVALIDCONTENTTYPE", "the content type must be text/csv").reply()
	}
	j.uploaded, j.data = true, c.body
	return reply{status: http.StatusCreated}
}

// changeJob ends the upload of a job, or stops it.
func (c *call) changeJob(j *job) reply {
	var in struct {
		State string `json:"state"`
	}
	if bad := c.readJSON(&in); bad != nil {
		return bad.reply()
	}
	switch {
	case in.State == stateUploaded && j.state == stateOpen:
		j.close(c.s.o.Now())
		if !j.uploaded {
			j.fail("ClientInputError : Unable to find any data to create batch")
		}
	case in.State == stateAborted && !j.ended():
		if j.state == stateUploaded || j.state == stateOpen && j.uploaded {
			j.read(c.s.store)
		}
		j.state, j.stamp = stateAborted, c.s.o.Now()
	default:
		return jobState("Job %s cannot go from the state %s to %s", j.id, j.state, in.State)
	}
	return ok(c.jobInfo(j))
}

func (c *call) deleteJob(j *job) reply {
	if !j.ended() {
		return jobState("Job %s is in the state %s, and must be aborted before it is deleted", j.id, j.state)
	}
	delete(c.s.jobs, j.id)
	c.s.jobOrder = slices.DeleteFunc(c.s.jobOrder, func(id string) bool { return id == j.id })
	return reply{status: http.StatusNoContent}
}
