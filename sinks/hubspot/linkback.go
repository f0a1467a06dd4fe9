package hubspot

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// expected is an association that a record should have.
type expected struct {
	at    int // of the record
	field string
	link
}

// Unreferred looks for the associations of records: the ids of those that they are associated
// with are looked for by their keys, whatever is noted, as a record that somebody deleted and that
// was made again has another id and none of the old one's associations.
func (c *Client) Unreferred(ctx context.Context, object string, records []sinks.Record, ids []string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	want, err := c.expected(object, records)
	if err != nil {
		return nil, err
	}
	if err := c.locate(ctx, want); err != nil {
		return nil, err
	}
	have := map[string]associations{} // by the type of the other end
	for i := range want {
		to := canonical(want[i].kind.To)
		if have[to] != nil {
			continue
		}
		from := map[string]bool{}
		for _, w := range want {
			if id := ids[w.at]; id != "" && canonical(w.kind.To) == to {
				from[id] = true
			}
		}
		if have[to], err = c.linked(ctx, object, want[i].kind.To, slices.Sorted(maps.Keys(from))); err != nil {
			return nil, err
		}
	}
	out := make([][]string, len(records))
	for i := range want {
		if w := &want[i]; !have[canonical(w.kind.To)].has(ids[w.at], w.id, w.kind) {
			out[w.at] = append(out[w.at], w.field)
		}
	}
	return out, nil
}

// expected gives the associations that records should have.
func (c *Client) expected(object string, records []sinks.Record) (out []expected, err error) {
	d := &delivery{Client: c, object: object}
	for i := range records {
		rec := &records[i]
		for _, f := range rec.Fields {
			name, is := associationOf(f.Name)
			if !is {
				continue
			}
			value, err := text(f.Value)
			if err != nil {
				return nil, &sinks.Rejected{Code: codeEncode, Err: err}
			}
			if l := d.linkOf(rec, f.Name, name, value); !l.none {
				out = append(out, expected{i, f.Name, l})
			}
		}
	}
	return out, nil
}

// locate looks for the ids of the other ends.
func (c *Client) locate(ctx context.Context, want []expected) error {
	type where struct{ object, property string }
	keys := map[where][]key{}
	for i := range want {
		w := &want[i]
		if w.property == recordID {
			w.id = w.key.text
			continue
		}
		at := where{w.kind.To, w.property}
		keys[at] = append(keys[at], w.key)
	}
	for at, some := range keys {
		found, err := c.fresh(ctx, at.object, at.property, some)
		if err != nil {
			return err
		}
		if err := c.doubt(ctx, idSpace(at.object, at.property), found); err != nil {
			return err
		}
		for i := range want {
			if w := &want[i]; w.kind.To == at.object && w.property == at.property {
				w.id = found[w.key.fold]
			}
		}
	}
	return nil
}

// doubt notes that noted ids are not those that were found: the next delivery looks for itself,
// and tells of what was made anew.
func (c *Client) doubt(ctx context.Context, space string, found map[string]string) error {
	had, err := c.noted(ctx, space, slices.Collect(maps.Keys(found)))
	if err != nil {
		return err
	}
	maps.DeleteFunc(had, func(fold, note string) bool { return note == found[fold] || strings.HasPrefix(note, gone) })
	for fold, id := range had {
		had[fold] = gone + id
	}
	return c.note(ctx, space, had)
}

// associations are what records of a type are associated with, of another type.
type associations map[pair][]heldType

type heldType struct {
	Category string `json:"category"`
	Type     int    `json:"typeId"`
}

// has tells whether two records are associated: somehow, where it is to be HubSpot's default, or
// else by the type.
func (a associations) has(from, to string, k Association) bool {
	types, there := a[pair{from, to}]
	if !there || k.Type == 0 {
		return there
	}
	want := kind{category: k.Category, id: k.Type}.specs()[0]
	return slices.ContainsFunc(types, func(t heldType) bool { return t.Category == want.Category && t.Type == want.Type })
}

// page is a record whose associations are asked for, from some place on.
type page struct {
	ID    string `json:"id"`
	After string `json:"after,omitempty"`
}

// linksAnswer is that of batch/read of associations (developers.hubspot.com, "Retrieve
// associations"): one without any is among the errors, and one with many has a next page.
type linksAnswer struct {
	Status  string `json:"status"`
	Results []struct {
		From end `json:"from"`
		To   []struct {
			ID    word       `json:"toObjectId"`
			Types []heldType `json:"associationTypes"`
		} `json:"to"`
		Paging struct {
			Next struct {
				After word `json:"after"`
			} `json:"next"`
		} `json:"paging"`
	} `json:"results"`
	Errors []refusal `json:"errors"`
}

// linked reads what some records are associated with.
func (c *Client) linked(ctx context.Context, from, to string, ids []string) (associations, error) {
	out := associations{}
	for some := range slices.Chunk(ids, c.limits.MaxBatch) {
		pages := make([]page, len(some))
		for i, id := range some {
			pages[i].ID = id
		}
		for len(pages) > 0 {
			a, err := c.post(ctx, c.paths.associations(from, to, "batch/read"), inputs[page]{pages})
			if err != nil {
				return nil, err
			}
			said, err := readInto[linksAnswer](a)
			if err != nil {
				return nil, err
			}
			if err := readWhole("read associations", said.Status, said.Errors); err != nil {
				return nil, err
			}
			pages = nil
			for _, r := range said.Results {
				for _, t := range r.To {
					at := pair{string(r.From.ID), string(t.ID)}
					out[at] = append(out[at], t.Types...)
				}
				if next := string(r.Paging.Next.After); next != "" {
					pages = append(pages, page{string(r.From.ID), next})
				}
			}
		}
	}
	return out, nil
}
