package trace

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Fate is what became of a record.
type Fate string

// The fates. They are stored.
const (
	Accepted Fate = "accepted" // the target took it
	Refused  Fate = "refused"  // a dead letter
	Failed   Fate = "failed"   // it failed for itself, and is tried again
	Later    Fate = "later"    // its request failed, or the target was not asked; it is tried again
	Kept     Fate = "kept"     // something at the target may still write an older state, it is tried again
	Same     Fate = "same"     // not sent, the target has it already
	Filtered Fate = "filtered" // not sent, the mapping does not want it
	Stale    Fate = "stale"    // dropped, a newer change was dealt with
	Parent   Fate = "parent"   // waits for a record that it refers to
	Blocked  Fate = "blocked"  // waits for its target key, which is another row's
	Aside    Fate = "aside"    // put aside until it is due
)

// Request is what was sent to the target.
type Request struct {
	// ID is unique among the processes of a target for as long as a history lasts.
	ID      string
	Began   time.Time
	Took    time.Duration
	Records int
	// Job tells that it was a bulk job of the target.
	Job bool
	// Code and Error are of a failure as a whole, empty without one.
	Code, Error string
}

// Head is what the steps of a batch have in common.
type Head struct {
	Mapping string
	Time    time.Time
}

// Step is what became of the changes of one row at a time.
type Step struct {
	// Partition and Key are those of the source; Key is a JSON object. Bulk tells that it is
	// for the history of bulk.
	Partition int
	Bulk      bool
	Key       string
	Fate      Fate
	// Op is what the target was to do; empty where no record was made.
	Op string
	// From and To are the Positions of the oldest and the newest change folded in, as far
	// as that is known; Changes is how many these were.
	From, To cdc.Position
	Changes  int
	// Attempts is how often it was tried before.
	Attempts int
	// Code and Error say what was wrong with the record itself; Error has no values of rows.
	Code, Error string
	// On is the mapping of a record that it waits for.
	On string
	// Remote is the target's own id of the record.
	Remote string
	// Next is when it is tried again.
	Next time.Time
	// Request carried it; nil if nothing was sent.
	Request *Request
}

// head and line are the stored forms; see appendHead and appendStep.
type head struct {
	Mapping string `json:"m"`
	Time    int64  `json:"t"` // microseconds since 1970
	Request string `json:"r"`
	Began   int64  `json:"s"` // likewise
	Took    int64  `json:"d"` // microseconds
	Records int    `json:"n"`
	Job     int    `json:"j"`
	Code    string `json:"c"`
	Error   string `json:"e"`
}

type line struct {
	Key      json.RawMessage `json:"k"`
	Fate     Fate            `json:"f"`
	Op       string          `json:"o"`
	From     cdc.Position    `json:"a"`
	To       cdc.Position    `json:"p"`
	Changes  int             `json:"n"`
	Attempts int             `json:"x"`
	Code     string          `json:"c"`
	Error    string          `json:"e"`
	On       string          `json:"m"`
	Remote   string          `json:"i"`
	Next     int64           `json:"w"` // microseconds since 1970
}

// usualOp is the one that is not written out, nor is the fate Accepted: most steps are so.
const usualOp = "upsert"

// longError is how much is kept of the text of an error.
const longError = 200

func appendHead(b []byte, h *Head, r *Request) []byte {
	b = appendText(append(b, `{"m":`...), h.Mapping)
	b = appendInt(b, "t", h.Time.UnixMicro())
	if r != nil {
		b = appendText(append(b, `,"r":`...), r.ID)
		b = appendInt(b, "s", r.Began.UnixMicro())
		b = appendInt(b, "d", r.Took.Microseconds())
		b = appendInt(b, "n", int64(r.Records))
		if r.Job {
			b = appendInt(b, "j", 1)
		}
		b = appendError(b, r.Code, r.Error)
	}
	return append(b, '}', '\n')
}

func appendStep(b []byte, s *Step) []byte {
	b = append(append(b, `{"k":`...), s.Key...)
	b = append(s.To.Append(append(b, `,"p":"`...)), '"')
	if s.Fate != Accepted {
		b = appendText(append(b, `,"f":`...), string(s.Fate))
	}
	if s.Op != usualOp {
		b = appendText(append(b, `,"o":`...), s.Op)
	}
	if !s.From.IsZero() && s.From != s.To {
		b = append(s.From.Append(append(b, `,"a":"`...)), '"')
	}
	if s.Changes != 1 {
		b = appendInt(b, "n", int64(s.Changes))
	}
	if s.Attempts > 0 {
		b = appendInt(b, "x", int64(s.Attempts))
	}
	b = appendError(b, s.Code, s.Error)
	if s.On != "" {
		b = appendText(append(b, `,"m":`...), s.On)
	}
	if s.Remote != "" {
		b = appendText(append(b, `,"i":`...), s.Remote)
	}
	if !s.Next.IsZero() {
		b = appendInt(b, "w", s.Next.UnixMicro())
	}
	return append(b, '}', '\n')
}

func appendError(b []byte, code, text string) []byte {
	if code != "" {
		b = appendText(append(b, `,"c":`...), code)
	}
	if text != "" {
		b = appendText(append(b, `,"e":`...), shorten(text))
	}
	return b
}

func shorten(text string) string {
	if len(text) <= longError {
		return text
	}
	n := longError
	for n > 0 && text[n]&0xC0 == 0x80 { // within a character
		n--
	}
	return text[:n] + "…"
}

func appendInt(b []byte, name string, n int64) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, n, 10)
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, err := json.Marshal(s)
			if err != nil { // a string always has a JSON form
				text = []byte(`""`)
			}
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// parseHead reads the line of a batch.
func parseHead(text string) (h Head, r *Request, err error) {
	var in head
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return h, nil, fmt.Errorf("read the history: %w", err)
	}
	h = Head{Mapping: in.Mapping, Time: time.UnixMicro(in.Time).UTC()}
	if in.Request != "" {
		r = &Request{ID: in.Request, Began: time.UnixMicro(in.Began).UTC(), Took: time.Duration(in.Took) * time.Microsecond,
			Records: in.Records, Job: in.Job != 0, Code: in.Code, Error: in.Error}
	}
	return h, r, nil
}

// parseStep reads the line of a record.
func parseStep(text string) (s Step, err error) {
	in := line{Fate: Accepted, Op: usualOp, Changes: 1}
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return s, fmt.Errorf("read the history: %w", err)
	}
	s = Step{Key: string(in.Key), Fate: in.Fate, Op: in.Op, From: in.From, To: in.To, Changes: in.Changes, Attempts: in.Attempts,
		Code: in.Code, Error: in.Error, On: in.On, Remote: in.Remote}
	if s.From.IsZero() && s.Changes == 1 {
		s.From = s.To
	}
	if in.Next != 0 {
		s.Next = time.UnixMicro(in.Next).UTC()
	}
	return s, nil
}
