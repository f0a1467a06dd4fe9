package form

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// Item is a record of a request, with the id that the API knows it by, if it is known.
type Item struct {
	Record *sinks.Record
	ID     string
}

// Message is a request as bytes.
type Message struct {
	// ID is the same for the same records in the same state, whenever and however often they
	// are sent; empty where nothing uses it.
	ID     string
	Method string
	URL    string
	Header http.Header
	Body   []byte // nil for none
}

// CodeEncode is of a record that a request cannot be made of.
const CodeEncode = "encode"

// Build makes the request for records of an object, at least one. The error is
// *sinks.Rejected with CodeEncode, and quotes no value.
func (c *Call) Build(object string, items []Item) (*Message, error) {
	m, err := c.build(object, items)
	if err != nil {
		return nil, &sinks.Rejected{Code: CodeEncode, Err: fmt.Errorf("make the request %s: %w", c.Name, err)}
	}
	return m, nil
}

func (c *Call) build(object string, items []Item) (*Message, error) {
	if to, ok := c.plan.form.Objects[object]; ok {
		object = to
	}
	s := &scope{object: object, items: items, records: c.recordTree, nulls: c.plan.form.Nulls}
	if !c.Many {
		s.item = &items[0]
	}
	if c.signs {
		s.message = messageID(items)
	}
	m := &Message{ID: s.message, Method: c.method, Header: http.Header{}}
	var err error
	if m.URL, err = s.address(c); err != nil {
		return nil, err
	}
	for _, h := range c.headers {
		if err := s.header(m.Header, h); err != nil {
			return nil, err
		}
	}
	if m.Header.Get("Accept") == "" {
		m.Header.Set("Accept", "application/json")
	}
	if c.body == nil {
		return m, nil
	}
	m.Body, err = s.body(c)
	if m.Header.Get("Content-Type") == "" {
		m.Header.Set("Content-Type", contentTypes[c.format])
	}
	return m, err
}

var contentTypes = map[string]string{FormatJSON: "application/json", FormatForm: "application/x-www-form-urlencoded", FormatNDJSON: "application/x-ndjson"}

func (c *Call) recordTree(op sinks.Op) *node {
	if c.records != nil {
		return c.records[op]
	}
	return c.record
}

// address makes the URL: what it is based on, with the path added before its query.
func (s *scope) address(c *Call) (string, error) {
	base, _, _ := strings.Cut(c.plan.base, "#")
	base, query, _ := strings.Cut(base, "?")
	var b strings.Builder
	if len(c.path) > 0 && strings.HasPrefix(c.path[0].text, "/") {
		base = strings.TrimSuffix(base, "/")
	}
	b.WriteString(base)
	for _, p := range c.path {
		if p.mark == markText {
			b.WriteString(p.text)
			continue
		}
		text, err := s.scalar(p)
		if err != nil {
			return "", err
		}
		if text == "" || text == "." || text == ".." { // it would name something else
			return "", fmt.Errorf("%s in the path is nothing, or dots", p)
		}
		b.WriteString(url.PathEscape(text))
	}
	sep := "?"
	if query != "" {
		b.WriteString("?" + query)
		sep = "&"
	}
	for _, q := range c.query {
		name, err := s.string(q.name)
		if err != nil {
			return "", err
		}
		text, err := s.string(q.value)
		if err != nil {
			return "", err
		}
		b.WriteString(sep + url.QueryEscape(name) + "=" + url.QueryEscape(text))
		sep = "&"
	}
	return b.String(), nil
}

func (s *scope) header(h http.Header, p pair) error {
	name := p.name[0].text // it has no placeholders
	text, err := s.string(p.value)
	if err != nil {
		return fmt.Errorf("header %s: %w", name, err)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("header %s: a value has a line break or another control character", name)
	}
	h.Set(name, text)
	return nil
}

func (s *scope) body(c *Call) ([]byte, error) {
	b, err := s.tree(make([]byte, 0, 64+256*len(s.items)), c.body)
	switch {
	case err != nil:
		return nil, err
	case c.format == FormatForm:
		return formBody(b)
	case c.format == FormatNDJSON:
		return linesOf(b)
	}
	return b, nil
}

// formBody makes pairs of a flat object.
func formBody(object []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("a form is made of an object")
	}
	var b strings.Builder
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errors.New("the body is not valid")
		}
		value, err := d.Token()
		if err != nil {
			return nil, errors.New("the body is not valid")
		}
		text, err := scalarText(value)
		if err != nil {
			return nil, fmt.Errorf("member %v: %w", name, err)
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(name.(string)) + "=" + url.QueryEscape(text))
	}
	return []byte(b.String()), nil
}

func scalarText(t json.Token) (string, error) {
	switch t := t.(type) {
	case nil:
		return "", nil
	case string:
		return t, nil
	case json.Number:
		return t.String(), nil
	case bool:
		return strconv.FormatBool(t), nil
	}
	return "", errors.New("a form takes texts, numbers and booleans only")
}

// linesOf puts each item of a list into its own line.
func linesOf(list []byte) ([]byte, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(list, &items); err != nil {
		return nil, errors.New("lines are made of a list")
	}
	var b bytes.Buffer
	for _, item := range items {
		if err := json.Compact(&b, item); err != nil {
			return nil, errors.New("the body is not valid")
		}
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// messageID stands for records in a state.
func messageID(items []Item) string {
	h := sha256.New()
	add := func(text string) {
		h.Write([]byte(strconv.Itoa(len(text))))
		h.Write([]byte{':'})
		h.Write([]byte(text))
	}
	for i := range items {
		r := items[i].Record
		add(r.Mapping)
		add(r.Key.Name)
		add(sinks.ExactKey(r.Key.Value))
		add(r.Op.String())
		add(r.Position.String())
		// One Position may come to another record, as after the mapping has changed: a receiver
		// must not take that for the one it has.
		add(strconv.Itoa(len(r.Fields)))
		for j := range r.Fields {
			add(r.Fields[j].Name)
			add(string(r.Fields[j].Value))
		}
	}
	return "msg_" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}
