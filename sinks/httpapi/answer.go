package httpapi

import (
	"encoding/json"
	"errors"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// saying reads code and text of a refusal: those of a JSON object, or else the body is
// the text.
func saying(body []byte) transport.Saying {
	var a struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &a) == nil && (a.Code != "" || a.Message != "") {
		return transport.Saying{Code: a.Code, Message: a.Message}
	}
	return transport.Saying{Message: string(body)}
}

type result struct {
	OK        *bool           `json:"ok"`
	ID        json.RawMessage `json:"id"`
	Status    int             `json:"status"`
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Retryable bool            `json:"retryable"`
}

func (r *result) read() sinks.Result {
	if *r.OK {
		id := string(r.ID)
		var text string
		if json.Unmarshal(r.ID, &text) == nil {
			id = text
		}
		return sinks.Result{RemoteID: id}
	}
	code := transport.Word(r.Code)
	err := &sinks.Answer{Status: r.Status, Code: r.Code, Message: transport.Shorten(r.Message), Err: errors.New("the target refused the record: " + code)}
	if r.Retryable {
		return sinks.Result{Err: &sinks.Retryable{Err: err}}
	}
	return sinks.Result{Err: &sinks.Rejected{Err: err, Code: code}}
}
