package salesforce

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Bounds of queries.
const (
	pageSize   = 2000
	leastPage  = 200
	maxCursors = 10
)

// cursor is a query whose answer goes on.
type cursor struct {
	id     string
	page   int
	fields []string
	table  *table
	found  []*record
}

// serveQuery answers a query, or goes on with one.
func (c *call) serveQuery(rest []string) reply {
	if len(rest) == 1 {
		return c.more(rest[0])
	}
	q, bad := parseSOQL(first(c.query["q"]))
	if bad != nil {
		return bad.reply()
	}
	t, found, bad := c.s.store.run(q)
	if bad != nil {
		return bad.reply()
	}
	if q.count {
		return ok(map[string]any{"totalSize": len(found), "done": true, "records": []any{}})
	}
	cur := &cursor{page: c.pageSize(), fields: q.fields, table: t, found: found}
	if len(found) > cur.page {
		c.s.queries++
		cur.id = makeID("01g", c.s.queries)
		if c.s.cursors = append(c.s.cursors, cur); len(c.s.cursors) > maxCursors {
			c.s.cursors = c.s.cursors[1:]
		}
	}
	return c.page(cur, 0)
}

var batchSize = regexp.MustCompile(`(?i)batchSize\s*=\s*(\d+)`)

// pageSize is what the header Sforce-Query-Options asks for, within bounds.
func (c *call) pageSize() int {
	if m := batchSize.FindStringSubmatch(c.header.Get("Sforce-Query-Options")); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return max(leastPage, min(n, pageSize))
		}
	}
	return pageSize
}

// more goes on with a query at a place such as 01g…-2000.
func (c *call) more(place string) reply {
	id, at, _ := strings.Cut(place, "-")
	n, err := strconv.Atoi(at)
	for _, cur := range c.s.cursors {
		if cur.id == id && err == nil && n >= 0 && n <= len(cur.found) {
			return c.page(cur, n)
		}
	}
	return refuse("INVALID_QUERY_LOCATOR", "invalid query locator").reply()
}

// page answers with the records of a query from a place on.
func (c *call) page(cur *cursor, from int) reply {
	to := min(from+cur.page, len(cur.found))
	rows := make([]any, 0, to-from)
	for _, r := range cur.found[from:to] {
		row, bad := c.selected(cur.table, r, cur.fields)
		if bad != nil {
			return bad.reply()
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 { // a field that there is not is told of also then
		if _, bad := c.selected(cur.table, &record{}, cur.fields); bad != nil {
			return bad.reply()
		}
	}
	out := map[string]any{"totalSize": len(cur.found), "done": to == len(cur.found), "records": rows}
	if to < len(cur.found) {
		out["nextRecordsUrl"] = fmt.Sprintf("/services/data/%s/query/%s-%d", c.version, cur.id, to)
	}
	return ok(out)
}

// selected gives the fields of a query, those of parents such as Account.Name within
// objects of their own.
func (c *call) selected(t *table, r *record, names []string) (map[string]any, *fault) {
	out := map[string]any{"attributes": map[string]string{"type": t.Name, "url": c.url(t, r)}}
	parents := make(map[string][]string)
	for _, name := range names {
		if rel, rest, dotted := strings.Cut(name, "."); dotted && t.relationships[strings.ToLower(rel)] != nil {
			parents[strings.ToLower(rel)] = append(parents[strings.ToLower(rel)], rest)
			continue
		}
		f := t.field(name)
		if f == nil {
			return nil, noColumn(name, t)
		}
		out[f.Name] = c.s.store.value(f, r)
	}
	for rel, rest := range parents {
		f := t.relationships[rel]
		of, parent := c.s.store.parent(f, plain(r.fields[f.Name]))
		if parent == nil {
			out[f.Relationship] = nil
			continue
		}
		row, bad := c.selected(of, parent, rest)
		if bad != nil {
			return nil, bad
		}
		out[f.Relationship] = row
	}
	return out, nil
}
