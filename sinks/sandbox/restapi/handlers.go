package restapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The bounds of a page of a search.
const (
	pageSize = 20
	maxPage  = 100
)

// collection finds the collection of a path; where any name is one, it makes it.
func (s *Server) collection(name string) *collection {
	c := s.collections[name]
	if c == nil && s.options.Collections == nil && name != "hooks" && name != "oauth" {
		c = newCollection(name, Rules{}, s.options.SearchLag)
		s.collections[name] = c
	}
	return c
}

// fieldsOf reads one record.
func fieldsOf(body []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := decode(body, &fields); err != nil {
		return nil, err
	}
	if fields == nil {
		return nil, errors.New("an object is wanted")
	}
	return fields, nil
}

func decode(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is more than one value")
	}
	return nil
}

func unreadable(err error) reply {
	return refuse(http.StatusBadRequest, problem{Code: "bad_json", Message: err.Error()})
}

// judge says why a record must not become what it is to; nil if it may.
func (s *Server) judge(c *collection, id string, fields map[string]json.RawMessage) *reply {
	if wrong := c.check(fields); wrong != nil {
		out := refuse(http.StatusUnprocessableEntity, wrong...)
		return &out
	}
	if wrong := c.taken(id, fields); wrong != nil {
		out := refuse(http.StatusConflict, wrong...)
		return &out
	}
	if s.ask == nil {
		return nil
	}
	if r := s.ask(c.name, fields); r != nil {
		status := http.StatusUnprocessableEntity
		if r.Retryable {
			status = http.StatusServiceUnavailable
		}
		out := refuse(status, problem{Code: r.Code, Message: r.Message})
		return &out
	}
	return nil
}

// create answers POST /{collection}.
func create(s *Server, c *call) reply {
	col := s.collection(c.PathValue("collection"))
	if col == nil {
		return notFound
	}
	return s.createOne(col, c.body, c.now)
}

func (s *Server) createOne(col *collection, body []byte, now time.Time) reply {
	fields, err := fieldsOf(body)
	if err != nil {
		return unreadable(err)
	}
	if wrong := s.judge(col, "", fields); wrong != nil {
		return *wrong
	}
	return reply{status: http.StatusCreated, body: col.create(fields, now).copied()}
}

// bulkItem is one result of a bulk.
type bulkItem struct {
	Status int       `json:"status"`
	ID     string    `json:"id,omitempty"`
	Errors []problem `json:"errors,omitempty"`
}

// bulk answers POST /{collection}/bulk: each record stands for itself.
func bulk(s *Server, c *call) reply {
	col := s.collection(c.PathValue("collection"))
	if col == nil {
		return notFound
	}
	var in struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := decode(c.body, &in); err != nil {
		return unreadable(err)
	}
	if len(in.Items) == 0 || len(in.Items) > maxBulk {
		return refuse(http.StatusBadRequest, problem{Code: "bad_size", Message: fmt.Sprintf("one to %d items", maxBulk)})
	}
	results := make([]bulkItem, len(in.Items))
	status := http.StatusOK
	for i, item := range in.Items {
		out := s.createOne(col, item, c.now)
		results[i].Status = out.status
		switch body := out.body.(type) {
		case *record:
			results[i].ID = body.id
		case map[string][]problem:
			results[i].Errors = body["errors"]
			status = http.StatusMultiStatus
		}
	}
	return reply{status: status, body: map[string]any{"results": results}}
}

// search answers GET /{collection}: those with all values of the query.
func search(s *Server, c *call) reply {
	col := s.collection(c.PathValue("collection"))
	if col == nil {
		return notFound
	}
	bounds := map[string]int{"limit": pageSize, "offset": 0}
	want := make(map[string]string)
	for name, values := range c.URL.Query() {
		if _, ok := bounds[name]; !ok {
			want[name] = values[0]
			continue
		}
		n, err := strconv.Atoi(values[0])
		if err != nil || n < 0 || name == "limit" && (n < 1 || n > maxPage) {
			return refuse(http.StatusBadRequest, problem{"bad_parameter", "a number within bounds is wanted", name})
		}
		bounds[name] = n
	}
	all := col.find(want, c.now)
	from := min(bounds["offset"], len(all))
	to := min(from+bounds["limit"], len(all))
	items := make([]*record, to-from)
	for i, r := range all[from:to] {
		items[i] = r.copied()
	}
	return reply{status: http.StatusOK, body: map[string]any{"items": items, "total": len(all)}}
}

// one finds the record of a path; nil if there is none.
func (s *Server) one(c *call) (*collection, *record) {
	col := s.collection(c.PathValue("collection"))
	if col == nil {
		return nil, nil
	}
	return col, col.records[c.PathValue("id")]
}

// read answers GET /{collection}/{id}.
func read(s *Server, c *call) reply {
	_, r := s.one(c)
	if r == nil {
		return notFound
	}
	return reply{status: http.StatusOK, body: r.copied()}
}

// change answers PATCH and PUT /{collection}/{id}.
func change(merge bool) handler {
	return func(s *Server, c *call) reply {
		col, r := s.one(c)
		if r == nil {
			return notFound
		}
		fields, err := fieldsOf(c.body)
		if err != nil {
			return unreadable(err)
		}
		if merge {
			fields = r.merged(fields)
		}
		if wrong := s.judge(col, r.id, fields); wrong != nil {
			return *wrong
		}
		col.update(r, fields, c.now)
		return reply{status: http.StatusOK, body: r.copied()}
	}
}

// remove answers DELETE /{collection}/{id}.
func remove(s *Server, c *call) reply {
	col, r := s.one(c)
	if r == nil {
		return notFound
	}
	col.remove(r)
	return reply{status: http.StatusNoContent}
}

// token answers POST /oauth/token: the client's credentials are in the form or in basic
// authentication.
func token(s *Server, c *call) reply {
	a := &s.options.Auth
	c.Body = io.NopCloser(bytes.NewReader(c.body))
	if err := c.ParseForm(); err != nil {
		return oauthError("invalid_request")
	}
	id, secret, ok := c.BasicAuth()
	if !ok {
		id, secret = c.PostForm.Get("client_id"), c.PostForm.Get("client_secret")
	}
	switch {
	case c.PostForm.Get("grant_type") != "client_credentials":
		return oauthError("unsupported_grant_type")
	case a.ClientID == "" || !same(id, a.ClientID) || !same(secret, a.ClientSecret):
		out := oauthError("invalid_client")
		out.status = http.StatusUnauthorized
		return out
	}
	s.tokens++
	access := fmt.Sprintf("access-%d", s.tokens)
	s.issued[access] = c.now.Add(a.Lifetime)
	return reply{status: http.StatusOK, body: map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(a.Lifetime / time.Second)}}
}

func oauthError(code string) reply {
	return reply{status: http.StatusBadRequest, body: map[string]string{"error": code}}
}

// hook finds an address of webhooks; where any name is one, it makes it.
func (s *Server) hook(name string) *hook {
	h := s.hooks[name]
	if h == nil && s.options.Hooks == nil {
		h = &hook{byID: make(map[string]*Event)}
		s.hooks[name] = h
	}
	return h
}

// receive answers POST /hooks/{name}.
func receive(s *Server, c *call) reply {
	h := s.hook(c.PathValue("name"))
	if h == nil {
		return notFound
	}
	if h.gone {
		return refuse(http.StatusGone, problem{Code: "gone", Message: "nobody wants these any more"})
	}
	if code, why := h.wrong(c.Header, c.body, c.now); code != "" {
		s.calls["unauthorized"]++
		return refuse(http.StatusUnauthorized, problem{Code: code, Message: why})
	}
	if !json.Valid(c.body) {
		return refuse(http.StatusBadRequest, problem{Code: "bad_json", Message: "the payload is no JSON"})
	}
	if h.take(c.Header.Get("webhook-id"), c.body, c.now) {
		s.calls["repeated"]++
	}
	return reply{status: http.StatusNoContent}
}
