package hubspot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// idSpace is where the ids of the records of a type are noted, by the value of a unique
// property.
func idSpace(object, property string) string { return "id:" + canonical(object) + ":" + property }

// key is one value of a unique property.
type key struct {
	text string
	fold string // what it has in common with those that are the same to HubSpot
}

func (c *Client) keyOf(object string, f sinks.Field) key {
	return key{text: sinks.ExactKey(f.Value), fold: c.FoldKey(object, f)}
}

// foldOf is key.fold of a record that HubSpot answered.
func (c *Client) foldOf(object, property string, r *result) string {
	if property == recordID {
		return string(r.ID)
	}
	return c.FoldKey(object, sinks.Field{Name: property, Value: quoted(r.property(property))})
}

// gone stands before a noted id of which it was found out that HubSpot has it no more.
const gone = "?"

// goneFrom gives the id that is noted as one that HubSpot has no more.
func goneFrom(note string) (id string, is bool) { return strings.CutPrefix(note, gone) }

// ids gives the records' ids of some keys, by key.fold: as noted, and looked for where they are
// not. One that is missing has no record. Anew are the keys of those that were gone and are there
// with another id, which is to be told of before what was found is noted.
func (c *Client) ids(ctx context.Context, object, property string, keys []key, anew func(folds map[string]bool) error) (map[string]string, error) {
	folds := make([]string, len(keys))
	for i, k := range keys {
		folds[i] = k.fold
	}
	found, err := c.noted(ctx, idSpace(object, property), folds)
	if err != nil {
		return nil, err
	}
	was := map[string]string{}
	for fold, note := range found {
		if id, is := goneFrom(note); is {
			was[fold] = id
			delete(found, fold)
		}
	}
	fresh, err := c.fresh(ctx, object, property, slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return found[k.fold] != "" }))
	if err != nil {
		return nil, err
	}
	other := map[string]bool{}
	for fold, id := range was {
		other[fold] = fresh[fold] != "" && fresh[fold] != id
	}
	if err := anew(other); err != nil {
		return nil, err
	}
	maps.Copy(found, fresh)
	return found, c.note(ctx, idSpace(object, property), fresh)
}

// fresh looks for records by some keys, whatever is noted, and gives their ids by key.fold.
func (c *Client) fresh(ctx context.Context, object, property string, keys []key) (map[string]string, error) {
	var each []key
	seen := map[string]bool{}
	for _, k := range keys {
		if !seen[k.fold] {
			seen[k.fold] = true
			each = append(each, k)
		}
	}
	out := map[string]string{}
	for part := range slices.Chunk(each, c.limits.MaxBatch) {
		if err := c.look(ctx, object, property, part, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// archivable gives the ids of the records with some keys, and of those that had them, by key.fold.
func (d *delivery) archivable(ctx context.Context, property string, keys []key) (map[string]string, error) {
	folds := make([]string, len(keys))
	for i, k := range keys {
		folds[i] = k.fold
	}
	ids, err := d.noted(ctx, idSpace(d.object, property), folds)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(ids, func(_, note string) bool { return strings.HasPrefix(note, gone) })
	fresh, err := d.fresh(ctx, d.object, property, keys)
	maps.Copy(ids, fresh)
	return ids, err
}

// look looks for records by some keys, no two of the same fold, and adds their ids by those.
// HubSpot may write a value in another way than it was given, such as a number: then it is asked
// for each key alone, since a record that is taken for missing is never archived.
func (c *Client) look(ctx context.Context, object, property string, keys []key, into map[string]string) error {
	texts := make([]string, len(keys))
	left := make(map[string]key, len(keys))
	for i, k := range keys {
		texts[i], left[k.fold] = k.text, k
	}
	results, err := c.read(ctx, object, property, texts, []string{property})
	if err != nil {
		return err
	}
	strange := 0
	for i := range results {
		fold, id := c.foldOf(object, property, &results[i]), string(results[i].ID)
		switch _, asked := left[fold]; {
		case asked:
			into[fold] = id
			delete(left, fold)
		case len(keys) == 1:
			into[keys[0].fold] = id
		default:
			strange++
		}
	}
	if strange == 0 {
		return nil
	}
	for _, k := range left {
		if err := c.look(ctx, object, property, []key{k}, into); err != nil {
			return err
		}
	}
	return nil
}

// read gives those of some records that there are. The keys are values of a unique property,
// or ids where it is recordID.
func (c *Client) read(ctx context.Context, object, property string, keys, properties []string) ([]result, error) {
	body := readInputs{IDProperty: property, Properties: properties, History: []string{}, Inputs: refs(keys)}
	if property == recordID {
		body.IDProperty = ""
	}
	a, err := c.post(ctx, c.paths.objects(object, "batch/read"), body)
	if err != nil {
		return nil, err
	}
	said, err := readAnswer(a)
	if err != nil {
		return nil, err
	}
	if err := readWhole("read records", said.Status, said.Errors); err != nil {
		return nil, err
	}
	for i := range said.Results {
		if said.Results[i].ID == "" {
			return nil, &sinks.Retryable{Err: errors.New("read records: HubSpot answered one without an id")}
		}
	}
	return said.Results, nil
}

// noted reads notes; none where nobody keeps any.
func (c *Client) noted(ctx context.Context, space string, keys []string) (map[string]string, error) {
	if c.notes == nil || len(keys) == 0 {
		return map[string]string{}, nil
	}
	notes, err := c.notes.Get(ctx, space, keys)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(keys))
	maps.Copy(out, notes)
	return out, nil
}

// note writes notes; an empty one is removed.
func (c *Client) note(ctx context.Context, space string, notes map[string]string) error {
	if c.notes == nil || len(notes) == 0 {
		return nil
	}
	return c.notes.Set(ctx, space, notes)
}
