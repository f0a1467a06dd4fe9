package salesforce

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// maxQuery bounds the values of one query, in bytes as they stand in its address: those of an
// address as a whole may have 16 kB.
const maxQuery = 12_000

// query makes the address of a query for the records with some keys.
func (c *Client) query(ctx context.Context, object, key string, values []json.RawMessage, fields []string) (string, error) {
	about, err := c.describe(ctx, object)
	if err != nil {
		return "", err
	}
	f := about.field(key)
	if f == nil || !nameForm.MatchString(object) {
		return "", &sinks.Misconfigured{Err: fmt.Errorf("find records by %s: %s has no such field", key, object), Hint: hints["NOT_FOUND"]}
	}
	var b strings.Builder
	b.WriteString("SELECT Id," + f.Name)
	for _, name := range fields {
		b.WriteString("," + name)
	}
	b.WriteString(" FROM " + object + " WHERE " + f.Name + " IN (")
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(literal(v, f.numeric()))
	}
	b.WriteByte(')')
	return c.path("/query?q=" + url.QueryEscape(b.String())), nil
}

// literal is a value in SOQL. What is no number is quoted, so that it can be nothing else.
func literal(v json.RawMessage, number bool) string {
	s := sinks.ExactKey(v)
	if number && numberForm.MatchString(s) {
		return s
	}
	return "'" + quoted.Replace(s) + "'"
}

var (
	numberForm = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	// nameForm is what may stand in a query as it is.
	nameForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$`)
)

var quoted = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`)

// queryParts cuts keys so that each part makes a query that is not too long.
func queryParts[T any](keys []T, value func(T) json.RawMessage) (out [][]T) {
	size := 0
	for _, k := range keys {
		n := len(url.QueryEscape(literal(value(k), false))) + 3
		if len(out) == 0 || len(out[len(out)-1]) == maxRows || size+n > maxQuery {
			out, size = append(out, nil), 0
		}
		out[len(out)-1], size = append(out[len(out)-1], k), size+n
	}
	return out
}

// ReadBack gives the records with some keys: 1,000 in one API call, mostly. A field that
// refers to another record holds that one's id, which is not what a mapping gives it, and is
// left out; one that is named as Account.Ext__c is not.
func (c *Client) ReadBack(ctx context.Context, object, key string, values []json.RawMessage, fields []string) ([]sinks.Held, error) {
	if len(values) == 0 {
		return nil, nil
	}
	about, err := c.describe(ctx, object)
	if err != nil {
		return nil, err
	}
	ask := askable(about, key, fields)
	parts := queryParts(values, func(v json.RawMessage) json.RawMessage { return v })
	var held []sinks.Held
	for len(parts) > 0 {
		n := min(maxCollections, len(parts))
		subs := make([]sub, n)
		for i := range subs {
			q, err := c.query(ctx, object, key, parts[i], ask)
			if err != nil {
				return nil, err
			}
			subs[i] = sub{method: http.MethodGet, url: q}
		}
		if held, err = c.readHeld(ctx, subs, key, ask, held); err != nil {
			return nil, err
		}
		parts = parts[n:]
	}
	return held, nil
}

// askable are the fields that the object has, and that hold what a mapping gives them.
func askable(about *description, key string, fields []string) (out []string) {
	for _, name := range fields {
		f := about.field(name)
		dotted := strings.Contains(name, ".") && nameForm.MatchString(name)
		if !strings.EqualFold(name, key) && !slices.Contains(out, name) && (dotted || f != nil && f.Type != "reference" && f.Name != "Id") {
			out = append(out, name)
		}
	}
	return out
}

func (c *Client) readHeld(ctx context.Context, subs []sub, key string, fields []string, held []sinks.Held) ([]sinks.Held, error) {
	a, err := c.ask(ctx, call{method: http.MethodPost, path: "/composite", body: composite(subs)})
	if err != nil {
		return nil, err
	}
	answers, err := readComposite(a)
	if err != nil {
		return nil, err
	}
	for i := range subs {
		s, ok := answers[ref(i)]
		if !ok {
			return nil, transport.ReadError(a.Host, fmt.Errorf("there is no answer to sub-request %d of %d", i+1, len(subs)))
		}
		if !s.ok() {
			return nil, statusError(&transport.Answer{Host: a.Host, Status: s.Status, Header: http.Header{}, Body: s.Body}, c.now())
		}
		rows, err := readQuery(a.Host, s.Body)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			h := sinks.Held{Key: valueOf(row, key), RemoteID: sinks.ExactKey(row["Id"]), Fields: make(map[string]json.RawMessage, len(fields))}
			for _, name := range fields {
				if v := valueOf(row, name); v != nil {
					h.Fields[name] = v
				}
			}
			held = append(held, h)
		}
	}
	return held, nil
}

// valueOf finds a value by a name, which may lead into a record that it refers to. A reference
// to nothing is null. Names are compared as Salesforce does, without case.
func valueOf(row map[string]json.RawMessage, name string) json.RawMessage {
	first, rest, dotted := strings.Cut(name, ".")
	v := row[first]
	if v == nil {
		for k, other := range row {
			if strings.EqualFold(k, first) {
				v = other
			}
		}
	}
	if !dotted || v == nil || isNull(v) {
		return v
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(v, &inner) != nil {
		return nil
	}
	return valueOf(inner, rest)
}
