package form

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// The names of requests.
const (
	// Batch carries records of several operations, those of Request.Records.
	Batch = "batch"
	// Upsert creates or updates by the key.
	Upsert = "upsert"
	// Create and Update are for an API without an upsert: Update goes by {id}, which Lookup
	// or the answer of Create tells, or else by {key}, and then Create comes where there is
	// none yet.
	Create = "create"
	Update = "update"
	// Delete and Archive remove by the key or by {id}.
	Delete  = "delete"
	Archive = "archive"
	// Lookup finds the id of a record by its key.
	Lookup = "lookup"
	// Read gives records as the API holds them.
	Read = "read"
)

// Names lists the requests that a Form can have.
func Names() []string {
	return []string{Batch, Upsert, Create, Update, Delete, Archive, Lookup, Read}
}

// Form describes how an API is spoken to. Its zero value describes none.
type Form struct {
	// URL is what the paths of requests are added to; a target's own goes before it.
	URL string
	// MaxBatch is the most records of a request that carries several; 200 if zero.
	MaxBatch int
	// Headers are sent with every request. They are templates without placeholders of a
	// record.
	Headers []Pair
	Auth    Auth
	// Requests are by their names.
	Requests map[string]*Request
	// Code and Message are paths to why a request was refused, in an answer whose status is
	// not one of 2xx. If they are empty, code and message of a JSON object, or else the whole
	// body is the message.
	Code, Message string
	// Rules say what refusals of the API mean, where the status does not tell.
	Rules []sinks.Rule
	// Replace tells that a record takes the place of all that was there: what is not sent is
	// gone.
	Replace bool
	// Nulls says how a field is cleared: NullsJSON if empty.
	Nulls string
	// Objects are what {object} stands for, by the names that mappings use; a name that is
	// not among them stands for itself.
	Objects map[string]string
	// Schema has what is known of objects, by the names that mappings use; "*" is of all
	// others.
	Schema map[string]*sinks.Schema
}

// How a field is cleared.
const (
	NullsJSON  = "null"  // by a JSON null
	NullsEmpty = "empty" // by an empty text
	NullsOmit  = "omit"  // it cannot be: the field is left out
)

// Pair is a name with a template.
type Pair struct{ Name, Value string }

// Request describes one kind of request.
type Request struct {
	Method string
	// Path is added to the URL. Each value in it is percent-encoded, as one segment.
	Path    string
	Query   []Pair
	Headers []Pair
	// Format is how Body is written: FormatJSON if empty.
	Format string
	// Body is nil for none.
	Body *Tree
	// Record is what stands for each record in the lists of Body.
	Record *Tree
	// Records is the same by operation, of the request Batch.
	Records map[string]*Tree
	// Gone are the statuses that say that there is no such record; 404 and 410 if nil, where
	// the path names the record. Elsewhere they are those of a wrong path.
	Gone []int
	// Settle is how long it takes until a Lookup finds what was made: that long a record whose
	// Create has no certain answer is not tried again.
	Settle time.Duration
	// Results say how the answer is read.
	Results Results
}

// How bodies are written.
const (
	FormatJSON   = "json"
	FormatForm   = "form"   // application/x-www-form-urlencoded
	FormatNDJSON = "ndjson" // each item of a list in its own line
)

// Results say where an answer has what became of records. The zero value is for an API whose
// status says everything. Paths are such as errors[0].code; "." is the whole.
type Results struct {
	// Statuses are those beside 2xx with which an answer has results, such as 400.
	Statuses []int
	// Success is a condition of the whole answer.
	Success Condition
	// List is the path to a list with a result for each record: in their order, or, where
	// Match is a path within a result, the one whose value there is the record's key. Match
	// may be {key.name}, for the member with the name of the key field.
	List, Match string
	// Keys are paths to lists of the keys that were taken.
	Keys []string
	// Absent are the operations for which it is a success that a key is in none of the lists,
	// as for a delete of what is not there.
	Absent []string
	// OK is a condition of a result, or of the whole answer where there is no list. A result
	// without one is a success by being there.
	OK Condition
	// ID, Code, Message, Retry and Status are paths within a result: to the API's own id, its
	// word and text for a refusal, a boolean that tells that it may be taken later, and a
	// status of its own.
	ID, Code, Message, Retry, Status string
	// Fields is the path within a result to the record's fields, of the request Read.
	Fields string
}

// Condition is what makes a success. The zero value says nothing.
type Condition struct {
	Path string
	// Equals is the value that makes it; another one of the same kind makes a refusal, and
	// anything else is no clear answer. Without it, what makes a success is that there is
	// nothing, or something empty.
	Equals json.RawMessage
}

// Auth is how a client proves who it is.
type Auth struct {
	Type string // one of AuthTypes; none if empty
	// Header and Prefix are where the token goes for AuthHeader; Name of the parameter for
	// AuthQuery.
	Header, Prefix, Name string
	// TokenURL and Scope are for AuthOAuth2.
	TokenURL, Scope string
	// Algorithm, Signs, Signature, Separator, KeyEncoding and Headers are for AuthHMAC: see
	// sign.HMAC.
	Algorithm, Signs, Signature, Separator, KeyEncoding string
	Headers                                             []Pair
}

// How a client can prove who it is.
const (
	AuthNone     = "none"
	AuthBearer   = "bearer"
	AuthBasic    = "basic"
	AuthHeader   = "header"
	AuthQuery    = "query"
	AuthOAuth2   = "oauth2"
	AuthHMAC     = "hmac"
	AuthWebhooks = "standard_webhooks"
)

// AuthTypes lists how a client can prove who it is.
func AuthTypes() []string {
	return []string{AuthNone, AuthBearer, AuthBasic, AuthHeader, AuthQuery, AuthOAuth2, AuthHMAC, AuthWebhooks}
}

// Kind is what a Tree is.
type Kind uint8

// The kinds of trees.
const (
	Object Kind = iota + 1
	List
	Text
	Literal // a number, a boolean or null, as it is
)

// Tree is a piece of JSON whose texts, and names of members, may have placeholders.
type Tree struct {
	Kind Kind
	// Names are those of an object's members. The name Spread takes the members of what its
	// value stands for, {fields} or {row}.
	Names []string
	// Items are the members or items.
	Items []*Tree
	// Text is a template, or a Literal's JSON.
	Text string
}

// Spread is the name of a member that brings those of its value.
const Spread = "..."

// Problem is a mistake in a Form.
type Problem struct {
	// Path names the place, such as requests.upsert.path.
	Path string
	// Msg says what is wrong, Value is the text that is meant, Hint what to do.
	Msg, Value, Hint string
}

func (p *Problem) Error() string {
	text := p.Path + ": " + p.Msg
	if p.Value != "" {
		text += " \"" + p.Value + "\""
	}
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// Problems are all mistakes in a Form.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}
