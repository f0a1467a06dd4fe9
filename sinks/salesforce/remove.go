package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// removed takes the result of a delete by external id. That there is none is what was wanted;
// but an object or a field that there is not is answered in the same way, so these are looked
// at, once.
func (d *delivery) removed(ctx context.Context, i int, a subAnswer) {
	if a.ok() {
		d.set(i, sinks.Result{})
		return
	}
	said := sayingOf(a.Body)
	if a.Status != http.StatusNotFound && said.Code != "ENTITY_IS_DELETED" {
		d.set(i, sinks.Result{Err: d.failed(&a)})
		return
	}
	about, err := d.c.describe(ctx, d.b.Object)
	key := d.b.Records[i].Key.Name
	var unknown *sinks.UnknownObject
	switch {
	case errors.As(err, &unknown):
		err = &sinks.Misconfigured{Err: fmt.Errorf("delete by %s: %w", key, unknown), Hint: hints["INVALID_TYPE"]}
	case err != nil:
		err = unsent(err)
	case !about.key(key):
		err = &sinks.Misconfigured{Err: fmt.Errorf("delete by %s: it is no external id of %s", key, d.b.Object), Hint: hints["NOT_FOUND"]}
	}
	d.set(i, sinks.Result{Err: err})
}

// found takes the ids of records that are to be deleted. Those that there are not are deleted.
func (d *delivery) found(p *piece, a subAnswer) []piece {
	if !a.ok() {
		d.setAll(p.of, unsent(d.failed(&a)))
		return nil
	}
	key := d.b.Records[p.of[0]].Key.Name
	rows, err := readQuery(a.host, a.Body)
	if err != nil {
		d.setAll(p.of, unsent(err))
		return nil
	}
	ids := make(map[string][]string, len(rows))
	for _, r := range rows {
		folded := d.c.FoldKey(d.b.Object, sinks.Field{Value: valueOf(r, key)})
		ids[folded] = append(ids[folded], sinks.ExactKey(r["Id"]))
	}
	next := piece{what: removeMany}
	for _, i := range p.of {
		switch is := ids[d.c.FoldKey(d.b.Object, d.b.Records[i].Key)]; len(is) {
		case 0:
			d.set(i, sinks.Result{})
		case 1:
			next.of, next.ids = append(next.of, i), append(next.ids, is[0])
		default:
			d.set(i, sinks.Result{Err: verdict(0, transport.Saying{Code: codeMany}, true)})
		}
	}
	if len(next.of) == 0 {
		return nil
	}
	return []piece{next}
}

// readQuery reads the records of a query, by field.
func readQuery(host string, body []byte) ([]map[string]json.RawMessage, error) {
	var q struct {
		Done    bool                         `json:"done"`
		Records []map[string]json.RawMessage `json:"records"`
	}
	switch err := json.Unmarshal(body, &q); {
	case err != nil || q.Records == nil:
		return nil, transport.ReadError(host, errors.New("it is not the JSON that was expected"))
	case !q.Done:
		return nil, transport.ReadError(host, errors.New("the query has more records than were asked for"))
	}
	return q.Records, nil
}
