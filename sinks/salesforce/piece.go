package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// what a piece is.
type what uint8

const (
	upsert     what = iota + 1 // a collection of records
	removeOne                  // a delete by external id
	find                       // a query for the ids of records that are to be deleted
	removeMany                 // a delete of records by their ids
)

// piece is a sub-request for some records of a batch.
type piece struct {
	what  what
	of    []int
	ids   []string // for removeMany, as of
	split bool     // it is a part of a piece that was refused
}

// plan makes pieces of records: the fewest calls. A few deletes go by external id, each a
// sub-request of its own; of many the ids are asked for first, by the hundred.
func (d *delivery) plan(of []int) (out []piece) {
	var up, down []int
	plain := true
	for _, i := range of {
		r := &d.b.Records[i]
		if r.Op == sinks.Upsert {
			up = append(up, i)
			continue
		}
		if err := keyOf(r); err != nil {
			d.set(i, sinks.Result{Err: err})
			continue
		}
		down, plain = append(down, i), plain && pathSafe(sinks.ExactKey(r.Key.Value))
	}
	d.c.byParent(d.b, up)
	out = chunk(out, upsert, up, d.c.pace.of(d.b.Object))
	if plain && len(down)+len(out) <= maxSubs {
		for _, i := range down {
			out = append(out, piece{what: removeOne, of: []int{i}})
		}
		return out
	}
	for _, part := range queryParts(down, func(i int) json.RawMessage { return d.b.Records[i].Key.Value }) {
		out = append(out, piece{what: find, of: part})
	}
	return out
}

func chunk(out []piece, w what, of []int, size int) []piece {
	for len(of) > 0 {
		n := min(size, len(of))
		out = append(out, piece{what: w, of: of[:n:n]})
		of = of[n:]
	}
	return out
}

// pathSafe tells whether a key may stand in the path of a sub-request: not one that a server
// takes for another path, nor for the name of a file, as Salesforce does with .inc.
func pathSafe(key string) bool {
	return key != "." && key != ".." && !strings.ContainsAny(key, "/\\") && !strings.HasSuffix(strings.ToLower(key), ".inc")
}

// pack takes from a queue what goes into one call.
func pack(queue []piece) (now, rest []piece) {
	collections := 0
	for i := range queue {
		isCollection := queue[i].what != removeOne
		if len(now) == maxSubs || isCollection && collections == maxCollections {
			rest = append(rest, queue[i])
			continue
		}
		if isCollection {
			collections++
		}
		now = append(now, queue[i])
	}
	return now, rest
}

func hasSplit(pieces []piece) bool {
	for i := range pieces {
		if pieces[i].split {
			return true
		}
	}
	return false
}

// encode makes the sub-request of a piece. Records that cannot be encoded get their result,
// and leave the piece.
func (d *delivery) encode(ctx context.Context, p *piece) (sub, error) {
	object := url.PathEscape(d.b.Object)
	switch p.what {
	case upsert:
		var rows [][]byte
		of := p.of[:0:0]
		for _, i := range p.of {
			b, err := row(d.b.Object, &d.b.Records[i])
			if err != nil {
				d.set(i, sinks.Result{Err: err})
				continue
			}
			rows, of = append(rows, b), append(of, i)
		}
		if p.of = of; len(of) == 0 {
			return sub{}, nil
		}
		key := url.PathEscape(d.b.Records[of[0]].Key.Name)
		return sub{method: http.MethodPatch, url: d.c.path("/composite/sobjects/" + object + "/" + key), headers: d.c.headers, body: collection(rows)}, nil
	case removeOne:
		k := &d.b.Records[p.of[0]].Key
		return sub{method: http.MethodDelete,
			url: d.c.path("/sobjects/" + object + "/" + url.PathEscape(k.Name) + "/" + url.PathEscape(sinks.ExactKey(k.Value)))}, nil
	case find:
		key := d.b.Records[p.of[0]].Key.Name
		values := make([]json.RawMessage, len(p.of))
		for j, i := range p.of {
			values[j] = d.b.Records[i].Key.Value
		}
		q, err := d.c.query(ctx, d.b.Object, key, values, nil)
		if err != nil {
			return sub{}, unsent(err)
		}
		return sub{method: http.MethodGet, url: q}, nil
	}
	return sub{method: http.MethodDelete, url: d.c.path("/composite/sobjects?ids=" + strings.Join(p.ids, ",") + "&allOrNone=false")}, nil
}

// subAnswer is an answer to a sub-request.
type subAnswer struct {
	Body   json.RawMessage `json:"body"`
	Status int             `json:"httpStatusCode"`
	Ref    string          `json:"referenceId"`
	host   string
}

func (a *subAnswer) ok() bool { return a.Status >= 200 && a.Status <= 299 }

// failed is what an answer outside of 2xx means.
func (d *delivery) failed(a *subAnswer) error {
	if a.Status < 200 {
		return transport.ReadError(a.host, errors.New("the answer to a sub-request has no status"))
	}
	return statusError(&transport.Answer{Host: a.host, Status: a.Status, Header: http.Header{}, Body: a.Body}, d.c.now())
}

// readComposite reads the answers of a Composite request, by their reference.
func readComposite(a *transport.Answer) (map[string]subAnswer, error) {
	var body struct {
		Answers []subAnswer `json:"compositeResponse"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || body.Answers == nil {
		// The decoder's own text may quote the answer.
		return nil, transport.ReadError(a.Host, errors.New("it is not the JSON that was expected"))
	}
	out := make(map[string]subAnswer, len(body.Answers))
	for _, s := range body.Answers {
		s.host = a.Host
		out[s.Ref] = s
	}
	return out, nil
}

// item is what a collection says of one record.
type item struct {
	ID      string    `json:"id"`
	Success *bool     `json:"success"`
	Errors  []failure `json:"errors"`
}

// read takes the results of a piece from its answer, and gives the pieces that follow.
func (d *delivery) read(ctx context.Context, p *piece, a subAnswer) []piece {
	switch {
	case p.what == find:
		return d.found(p, a)
	case p.what == removeOne:
		d.removed(ctx, p.of[0], a)
		return nil
	case !a.ok():
		return d.refused(p, d.failed(&a))
	}
	var items []item
	if err := json.Unmarshal(a.Body, &items); err != nil || len(items) > len(p.of) {
		d.setAll(p.of, transport.ReadError(a.host, errors.New("it is not the JSON that was expected")))
		return nil
	}
	all := accessOnly(items) && len(items) == len(p.of)
	for j, i := range p.of {
		if j >= len(items) || items[j].Success == nil {
			d.set(i, sinks.Result{Err: transport.ReadError(a.host, fmt.Errorf("there is no result for record %d of %d", j+1, len(p.of)))})
			continue
		}
		d.set(i, d.result(p, &items[j], !all))
	}
	if p.what == upsert {
		d.c.pace.more(d.b.Object, len(p.of))
	}
	return nil
}

// accessOnly tells whether several records were all refused for want of access: then it is the
// integration user who has none, and not each of them that is special.
func accessOnly(items []item) bool {
	for i := range items {
		if len(items[i].Errors) == 0 || classOf(items[i].Errors[0].saying()) != access {
			return false
		}
	}
	return len(items) > 1
}

// result is what was said of one record of a collection.
func (d *delivery) result(p *piece, it *item, alone bool) sinks.Result {
	if *it.Success {
		return sinks.Result{RemoteID: it.ID}
	}
	var s transport.Saying
	if len(it.Errors) > 0 {
		s = it.Errors[0].saying()
	}
	if p.what == removeMany && isGone(s.Code) {
		return sinks.Result{}
	}
	if classOf(s) == smaller {
		d.c.pace.less(d.b.Object, len(p.of))
	}
	return sinks.Result{Err: verdict(0, s, alone)}
}

// isGone tells whether a code says, of a record that is to be deleted by its id, that it is
// not there any more.
func isGone(code string) bool {
	return code == "ENTITY_IS_DELETED" || code == "INVALID_CROSS_REFERENCE_KEY" || code == "NOT_FOUND"
}

// refused says that a collection was refused as a whole. If it is for one record in it, such
// as one with a value of the wrong type (JSON_PARSER_ERROR), then the others are found to be
// fine by trying them apart.
func (d *delivery) refused(p *piece, err error) []piece {
	var (
		rej *sinks.Rejected
		wai *sinks.WaitForParent
		ans *sinks.Answer
	)
	if errors.As(err, &ans) && codes[ans.Code] == smaller {
		d.c.pace.less(d.b.Object, len(p.of))
	}
	if (!errors.As(err, &rej) && !errors.As(err, &wai)) || len(p.of) == 1 {
		d.setAll(p.of, err)
		return nil
	}
	size := (len(p.of) + maxCollections - 1) / maxCollections
	parts := chunk(nil, p.what, p.of, size)
	for i := range parts {
		if parts[i].split = true; p.what == removeMany {
			parts[i].ids = p.ids[i*size : i*size+len(parts[i].of)]
		}
	}
	return parts
}
