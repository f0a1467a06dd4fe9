package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks"
)

// A view sees what an owner writes, also what came after it was opened, and writes nothing.
func TestView(t *testing.T) {
	onBoth(t, func(b *bench) {
		v := b.store("nobody").View()
		k := Key{"deals", `{"id":1}`}
		if got, err := v.Load(b.Context(), []Place{{k, 1}}); err != nil || got[0].Text != "" {
			b.Fatalf("of nothing: %+v, %v", got, err)
		}
		c := b.claim("one")
		_, err := c.Open(b.Context(), 1)
		b.must(err)
		live := Known{Seen: at(5, 2), Live: true, Key: sinks.Field{Name: "Ext__c", Value: json.RawMessage(`7`)}}
		b.must(c.Commit(b.Context(), 1, Commit{ID: 1, Writes: []Write{{Key: k, Known: live}}}))
		if got, err := v.Load(b.Context(), []Place{{k, 1}, {k, 0}}); err != nil || got[0].Known.String() != live.String() || got[1].Text != "" {
			b.Errorf("%+v, %v", got, err)
		}
		found, next, err := v.Scan(b.Context(), 1, 0, 10)
		for err == nil && next != 0 {
			var more []Found
			more, next, err = v.Scan(b.Context(), 1, next, 10)
			found = append(found, more...)
		}
		if err != nil || len(found) != 1 || found[0].Key != k || found[0].Known.String() != live.String() {
			b.Errorf("%+v, %v", found, err)
		}
		two := Key{"lines", `{"order_id":1,"a \" b":"x"}`}
		b.must(c.Commit(b.Context(), 1, Commit{ID: 2, Writes: []Write{{Key: two, Known: live}}, Deferred: []Deferred{{Key: k, Position: at(6, 0), Entry: json.RawMessage(`{}`)}}}))
		for mapping, want := range map[string]string{"deals": "[id]", "lines": `[order_id a " b]`, "deal": "[]", "dealsx": "[]"} {
			if got, err := v.Columns(b.Context(), 1, mapping); err != nil || fmt.Sprint(got) != want {
				b.Errorf("the columns of the keys of %s are %v, %v; want %s", mapping, got, err, want)
			}
		}
		for partition, want := range map[int]string{0: "[]", 1: "[deals lines]"} {
			if got, err := v.Mappings(b.Context(), partition); err != nil || fmt.Sprint(got) != want {
				b.Errorf("the mappings of partition %d are %v, %v; want %s", partition, got, err, want)
			}
		}
		if got, err := v.Columns(b.Context(), 0, "deals"); err != nil || got != nil {
			b.Errorf("in another partition: %v, %v", got, err)
		}
		aside, err := v.Deferred(b.Context(), []Place{{k, 1}, {two, 1}, {k, 0}})
		if err != nil || len(aside) != 3 || aside[0].Position != at(6, 0) || len(aside[0].Entry) == 0 || len(aside[1].Entry)+len(aside[2].Entry) > 0 {
			b.Errorf("aside are %+v, %v", aside, err)
		}
		b.must(b.rdb.HSet(b.Context(), b.keys.State("crm", 1), redislog.StateLayout, redislog.StateForgetting).Err())
		var lies *LayoutError
		if _, err := v.Load(b.Context(), []Place{{k, 1}}); !errors.As(err, &lies) || !strings.Contains(err.Error(), "forgotten") {
			b.Errorf("of one that is being forgotten: %v", err)
		}
	})
}
