package plan

import (
	"slices"
	"time"
)

// Plan is what mapping files would send.
type Plan struct {
	// Notes say what somebody has to know to read the numbers, such as what was assumed.
	Notes []string `json:"notes"`
	// Sample is the share of the rows that was looked at. Rows are as counted, records and
	// requests of the costs are taken up to all.
	Sample   float64   `json:"sample"`
	Mappings []Mapping `json:"mappings"`
	Accounts []Account `json:"accounts"`
	// Gone are what delivered before and is not in the files any more.
	Gone []Gone `json:"gone"`
}

// State says how a mapping stands to what was delivered.
type State string

// The states of a mapping.
const (
	New     State = "new"     // nothing was delivered of it
	Back    State = "back"    // it was taken away after something was delivered, and begins anew
	Changed State = "changed" // of some rows it makes something else than was delivered
	Same    State = "same"
)

// Mapping is what one mapping would send.
type Mapping struct {
	Mapping string `json:"mapping"`
	Target  string `json:"target"`
	Object  string `json:"object"`
	Table   string `json:"table"`
	State   State  `json:"state"`
	// Begins says how it begins; nil of one that has begun, and has nothing of that before it.
	Begins *Begins `json:"begins,omitempty"`
	// Rows is how many rows were looked at. Each is in one of the counts down to InFlight; Remove
	// may have records beside them, whose rows are gone.
	Rows int64 `json:"rows"`
	// Create have a record that the target was not given, Update another one than it was given,
	// Move one under another key. Remove have a record at the target that they should not have,
	// Stay too, but it is left there. Same have the record that they make, Unsure perhaps:
	// that cannot be told. NotMeant make none, and have none.
	Create   int64 `json:"create"`
	Update   int64 `json:"update"`
	Move     int64 `json:"move"`
	Remove   int64 `json:"remove"`
	Stay     int64 `json:"stay"`
	Same     int64 `json:"same"`
	Unsure   int64 `json:"unsure"`
	NotMeant int64 `json:"not_meant"`
	// Refused are rows of which no record can be made, or that want the target key of another.
	Refused int64 `json:"refused"`
	// InFlight are rows whose changes were on their way all the time; Waited tells that the target
	// did not deal with them in time.
	InFlight int64 `json:"in_flight"`
	Waited   bool  `json:"waited"`
	// Untouched are those of Create that were never dealt with: no change of them came since the
	// mapping began. Unsettled are those of Create, Update and Move that the target refused last, or did
	// not answer for certain.
	Untouched int64 `json:"untouched"`
	Unsettled int64 `json:"unsettled"`
	// Orphans are those of Remove whose rows are gone; they were looked for only where the mapping
	// comes back.
	Orphans int64 `json:"orphans"`
	// Backlog tells that changes wait which nobody captures or delivers now: rows of which they are
	// count with the others, and are sent by themselves once somebody does.
	Backlog bool `json:"backlog"`
	// Delete is what comes of a record whose row goes: delete, archive, set or ignore.
	Delete string `json:"delete"`
	// Fields tells why records differ that are updated, as far as that is known; Looked is of how many it
	// was looked for, Told of how many something is known.
	Fields []Field `json:"fields,omitempty"`
	Looked int64   `json:"fields_looked_for"`
	Told   int64   `json:"fields_told"`
	// Refusals are those of Refused by their error.
	Refusals []Refusal `json:"refusals,omitempty"`
	// Examples are keys of each kind, as JSON, the first that were found.
	Examples map[string][]string `json:"examples,omitempty"`
	// DeadLetters are of this mapping, now.
	DeadLetters int64 `json:"dead_letters"`
	// Batch is how many records a request has at the most. From Jobs records on they go in bulk jobs, zero
	// if the target has none: that is fewer requests.
	Batch int `json:"records_per_request"`
	Jobs  int `json:"jobs_from,omitempty"`
	// Sends is what is sent without anybody asking for it, once processes run with these files;
	// Replay what a replay of all sends at the most, and Backfill what one of the table does.
	Sends    Cost `json:"sends"`
	Replay   Cost `json:"replay"`
	Backfill Cost `json:"backfill"`

	differs int64 // rows that the mapping makes something else of than was delivered
	known   bool  // something of it is in the state
}

// How a mapping begins.
const (
	ByBackfill = "backfill"  // its table is read
	ByLog      = "beginning" // what the log holds
	ByNow      = "now"       // what comes
	ByReading  = "reading"   // its table is being read
)

// Begins says how a mapping begins.
type Begins struct {
	// How is one of the constants.
	How string `json:"how"`
	// Setting is what says so: the line of the mapping file or of the configuration; empty if it is
	// the default.
	Setting string `json:"setting,omitempty"`
	// NewTarget tells that the target begins with it.
	NewTarget bool `json:"new_target"`
	// Log is how many rows have changes in the log that the target reads, at the most.
	Log int64 `json:"rows_in_log"`
	// Backfill is the id of the one that reads the table.
	Backfill string `json:"backfill,omitempty"`
}

// Field is a field of records that differ.
type Field struct {
	Name string `json:"name"`
	// Added counts records that did not have it, Changed those that have another value of it.
	Added   int64 `json:"added"`
	Changed int64 `json:"changed"`
}

// Refusal is rows that are refused, by their error.
type Refusal struct {
	Code  string `json:"code"`
	Error string `json:"error"`
	Rows  int64  `json:"rows"`
	// Examples are keys as JSON.
	Examples []string `json:"examples"`
}

// Account is what one account has to do.
type Account struct {
	Account string   `json:"account"`
	Targets []string `json:"targets"`
	// Words say what it allows now.
	Words string `json:"allows"`
	// Sends is what is sent without anybody asking, of all its mappings.
	Sends Cost `json:"sends"`
}

// Gone is a mapping, or a target, that is not in the files any more.
type Gone struct {
	Target string `json:"target"`
	// Mapping is empty of a target that is in no configuration.
	Mapping string `json:"mapping,omitempty"`
	// Records is how many the target was given of it, and still has.
	Records int64 `json:"records"`
}

// OK tells that no row would be refused.
func (p *Plan) OK() bool {
	return !slices.ContainsFunc(p.Mappings, func(m Mapping) bool { return m.Refused > 0 })
}

// Cost is a number of records, and what they take.
type Cost struct {
	Records int64 `json:"records"`
	// Requests is how many there are at the least: those of as many records as one may have.
	Requests int64 `json:"requests"`
	// Seconds is how long they take at the least, for the sake of the account.
	Seconds float64 `json:"seconds_at_least"`
	// Jobs tells that bulk jobs may take them, of a few requests each: then Requests is what there are
	// without, and the time is not known.
	Jobs bool `json:"bulk_jobs,omitempty"`
	// Beyond is how many of the requests there are more than are left today. Never tells that
	// the account leaves none for it, on no day.
	Beyond int64 `json:"requests_beyond_today"`
	Never  bool  `json:"never,omitempty"`
}

// least is the time of a cost.
func (c Cost) least() time.Duration { return time.Duration(c.Seconds * float64(time.Second)) }
