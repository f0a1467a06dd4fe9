package hubspot

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// word is a text of an answer; ids may be numbers there.
type word string

// UnmarshalJSON takes a text or a number.
func (w *word) UnmarshalJSON(b []byte) error {
	var s string
	if b[0] == '"' {
		err := json.Unmarshal(b, &s)
		*w = word(s)
		return err
	}
	if string(b) == "null" {
		return nil
	}
	if !bytes.ContainsRune([]byte("-0123456789"), rune(b[0])) {
		return errors.New("it is neither a text nor a number")
	}
	*w = word(b)
	return nil
}

// answer is that to a batch of any kind. All fields may be missing.
type answer struct {
	Status  string    `json:"status"`
	Results []result  `json:"results"`
	Errors  []refusal `json:"errors"`
}

// complete is the status of a batch that was carried out.
const complete = "COMPLETE"

// readWhole tells, as an error, that a batch read did not tell of all that was asked for. What
// is not there is among its errors too.
func readWhole(what, status string, errs []refusal) error {
	for i := range errs {
		if errs[i].Category != notFound {
			return errs[i].one()
		}
	}
	if status != complete {
		return &sinks.Retryable{Err: errors.New(what + ": HubSpot did not complete it")}
	}
	return nil
}

// result is a record, or an association: a default one names its ends by from and to, one
// with a type by their ids.
type result struct {
	ID         word                       `json:"id"`
	Trace      word                       `json:"objectWriteTraceId"`
	Properties map[string]json.RawMessage `json:"properties"`

	From   *end `json:"from"`
	To     *end `json:"to"`
	FromID word `json:"fromObjectId"`
	ToID   word `json:"toObjectId"`
}

type end struct {
	ID word `json:"id"`
}

func (r *result) ends() pair {
	if r.From != nil && r.To != nil {
		return pair{string(r.From.ID), string(r.To.ID)}
	}
	return pair{string(r.FromID), string(r.ToID)}
}

// property gives a value that a record has; empty if it has none.
func (r *result) property(name string) string {
	if v := r.Properties[name]; len(v) > 0 && string(v) != "null" {
		return sinks.ExactKey(v)
	}
	return ""
}

// refusal is an error of HubSpot's: that of a request, or one within a batch. All its fields
// are optional (developers.hubspot.com, "Error handling").
type refusal struct {
	Category    string                     `json:"category"`
	SubCategory json.RawMessage            `json:"subCategory"` // a text, or by its schema an object
	Message     string                     `json:"message"`
	Context     map[string]json.RawMessage `json:"context"`
	Errors      []struct {
		Code        string          `json:"code"`
		SubCategory json.RawMessage `json:"subCategory"`
		Context     json.RawMessage `json:"context"`
	} `json:"errors"`
	Policy    string `json:"policyName"`
	ErrorType string `json:"errorType"`
}

// values gives those of one name of the context, which are a list or a single text.
func (r *refusal) values(name string) []string {
	raw := r.Context[name]
	var many []word
	if json.Unmarshal(raw, &many) != nil {
		var one word
		if json.Unmarshal(raw, &one) != nil || one == "" {
			return nil
		}
		many = []word{one}
	}
	out := make([]string, len(many))
	for i, w := range many {
		out[i] = string(w)
	}
	return out
}

// names tells whether the context has a value, under whatever name.
func (r *refusal) names(value string) bool {
	for name := range r.Context {
		for _, v := range r.values(name) {
			if v == value {
				return true
			}
		}
	}
	return false
}

// traces are the inputs that the refusal is about.
func (r *refusal) traces() []string { return r.values("objectWriteTraceId") }

// codes are HubSpot's words for what is wrong, the most exact first: those of single
// properties, which stand beside the message or only within it as JSON.
func (r *refusal) codes() (out []string) {
	add := func(s string) {
		if s != "" {
			out = append(out, s)
		}
	}
	for _, e := range r.Errors {
		add(e.Code)
	}
	if at := strings.Index(r.Message, "[{"); at >= 0 && len(out) == 0 {
		var within []struct {
			Error string `json:"error"`
		}
		if json.NewDecoder(strings.NewReader(r.Message[at:])).Decode(&within) == nil {
			for _, e := range within {
				add(e.Error)
			}
		}
	}
	var sub string
	if json.Unmarshal(r.SubCategory, &sub) == nil {
		add(sub)
	}
	add(r.Category)
	return out
}

// code is the most exact of codes.
func (r *refusal) code() string {
	if c := r.codes(); len(c) > 0 {
		return c[0]
	}
	return r.ErrorType
}

// scopes are those that the app lacks, as far as the refusal tells.
func (r *refusal) scopes() []string {
	for _, e := range r.Errors {
		var context map[string]json.RawMessage
		if json.Unmarshal(e.Context, &context) != nil {
			continue
		}
		inner := refusal{Context: context}
		for _, name := range []string{"requiredGranularScopes", "requiredScopes"} {
			if s := inner.values(name); len(s) > 0 {
				return s
			}
		}
	}
	return nil
}

// readAnswer reads the answer to a batch. What makes no sense may have been carried out.
func readAnswer(a *transport.Answer) (*answer, error) { return readInto[answer](a) }

func readInto[T any](a *transport.Answer) (*T, error) {
	if a.Err != nil {
		return nil, a.Err
	}
	out := new(T)
	if json.Unmarshal(a.Body, out) != nil {
		// The decoder's own text may quote the answer.
		return nil, transport.ReadError(a.Host, errors.New("it is not the JSON that was expected"))
	}
	return out, nil
}
