package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/transport"
)

// objectMark stands for the object's name in the address of its schema.
const objectMark = "{object}"

// ErrNoDescribe says that the target has no address for schemas.
var ErrNoDescribe = errors.New("the target has no address that describes its objects")

// Describes tells whether anything is known of schemas: the target can be asked, or the form
// says it.
func (c *Client) Describes() bool { return c.about != "" || len(c.plan.Form().Schema) > 0 }

// Describe asks for the schema of an object, or gives what the form says of it. Errors are of
// the kinds that Deliver has, *sinks.UnknownObject, or ErrNoDescribe.
func (c *Client) Describe(ctx context.Context, object string) (*sinks.Schema, error) {
	if !c.Describes() {
		return nil, ErrNoDescribe
	}
	if c.about == "" {
		if s := c.plan.Schema(object); s != nil {
			return s, nil
		}
		return nil, &sinks.UnknownObject{Object: object, Known: slices.Sorted(maps.Keys(c.plan.Form().Schema))}
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	a, err := c.do(ctx, &form.Message{Method: http.MethodGet, URL: describeURL(c.about, object), Header: http.Header{"Accept": {"application/json"}}})
	if err != nil {
		return nil, err
	}
	switch {
	case a.Status == http.StatusNotFound:
		return nil, unknownObject(object, a.Body)
	case !a.OK():
		return nil, c.describeError(a)
	case errors.Is(a.Err, transport.ErrTooLong):
		return nil, noSchema(a.Host, transport.ErrTooLong)
	case a.Err != nil:
		return nil, a.Err
	}
	s := &sinks.Schema{}
	if err := json.Unmarshal(a.Body, s); err != nil {
		// The decoder's own text may quote the answer.
		return nil, noSchema(a.Host, errors.New("it is not the JSON that was expected"))
	}
	if err := s.Validate(); err != nil {
		return nil, noSchema(a.Host, err)
	}
	return s, nil
}

const checkDescribe = "check the target's describe"

func noSchema(host string, err error) error {
	return &sinks.Misconfigured{Err: fmt.Errorf("read the schema that %s answered: %w", host, err),
		Hint: `the answer has to be {"fields":[{"name":"Name","type":"text"}]}; ` + checkDescribe}
}

// describeError says what a status means. No record is at stake, so what would be the
// fault of one is that of the address.
func (c *Client) describeError(a *transport.Answer) error {
	err := transport.StatusError(a, transport.Saying{}, c.now())
	var (
		mis *sinks.Misconfigured
		rej *sinks.Rejected
	)
	switch {
	case errors.As(err, &mis) && a.Status < 400:
		return &sinks.Misconfigured{Err: mis.Err, Hint: "set the target's describe to where it redirects to; redirects are not followed"}
	case errors.As(err, &mis):
		return &sinks.Misconfigured{Err: mis.Err, Hint: checkDescribe}
	case errors.As(err, &rej):
		return &sinks.Misconfigured{Err: rej.Err, Hint: checkDescribe}
	}
	return err
}

// unknownObject takes the names that the target has from its answer, if it tells them.
func unknownObject(object string, body []byte) error {
	e := &sinks.UnknownObject{Object: object}
	var told struct {
		Objects []string `json:"objects"`
	}
	if json.Unmarshal(body, &told) == nil {
		e.Known = told.Objects
	}
	return e
}

// hasObject tells whether an address has a place for the object's name in what is sent
// to the server. A host cannot have it in any valid address.
func hasObject(address string) bool {
	sent, _, _ := strings.Cut(address, "#")
	return strings.Contains(sent, objectMark)
}

// describeURL puts the object's name into an address, so that it is one segment of the
// path or one value of the query, whatever it holds.
func describeURL(address, object string) string {
	path, query, found := strings.Cut(address, "?")
	path = strings.ReplaceAll(path, objectMark, url.PathEscape(object))
	if !found {
		return path
	}
	return path + "?" + strings.ReplaceAll(query, objectMark, url.QueryEscape(object))
}
