package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// objectMark stands for the object's name in the address of its schema.
const objectMark = "{object}"

// ErrNoDescribe says that the target has no address for schemas.
var ErrNoDescribe = errors.New("the target has no address that describes its objects")

// Describes tells whether the target can be asked for schemas.
func (c *Client) Describes() bool { return c.about != "" }

// Describe asks for the schema of an object. Errors are of the kinds that Deliver has,
// *sinks.UnknownObject, or ErrNoDescribe.
func (c *Client) Describe(ctx context.Context, object string) (*sinks.Schema, error) {
	if !c.Describes() {
		return nil, ErrNoDescribe
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, describeURL(c.about, object), nil)
	if err != nil {
		return nil, &sinks.Misconfigured{Err: errors.New("make request: the address is not valid"), Hint: checkDescribe}
	}
	req.Header = c.header.Clone()
	req.Header.Del("Content-Type")
	asked := *c
	asked.host = req.URL.Host // which need not be the one that takes the records
	return asked.describe(req, object)
}

const checkDescribe = "check the target's describe"

func (c *Client) describe(req *http.Request, object string) (*sinks.Schema, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.sendError(err)
	}
	body, readErr := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err := res.Body.Close(); err != nil && readErr == nil {
		readErr = err
	}
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, unknownObject(object, body)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, c.describeError(res)
	case readErr != nil:
		return nil, c.unknown("read answer of %s: %w", plain(readErr))
	case len(body) > maxAnswer:
		return nil, c.noSchema(fmt.Errorf("it is longer than %d bytes", maxAnswer))
	}
	s := &sinks.Schema{}
	if err := json.Unmarshal(body, s); err != nil {
		// The decoder's own text may quote the answer.
		return nil, c.noSchema(errors.New("it is not the JSON that was expected"))
	}
	if err := s.Validate(); err != nil {
		return nil, c.noSchema(err)
	}
	return s, nil
}

func (c *Client) noSchema(err error) error {
	return &sinks.Misconfigured{Err: fmt.Errorf("read the schema that %s answered: %w", c.host, err),
		Hint: `the answer has to be {"fields":[{"name":"Name","type":"text"}]}; ` + checkDescribe}
}

// describeError says what a status means. No record is at stake, so what would be the
// fault of one is that of the address.
func (c *Client) describeError(res *http.Response) error {
	err := c.statusError(res, nil)
	var (
		mis *sinks.Misconfigured
		rej *sinks.Rejected
	)
	switch {
	case errors.As(err, &mis) && res.StatusCode < 400:
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
