package plan

import (
	"errors"
	"fmt"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/state"
)

// What comes of a row, by how it stands to what was delivered.
func TestJudge(t *testing.T) {
	seen := cdc.Position{LSN: 7}
	rec := &sinks.Record{}
	var (
		never   = state.Known{}
		dealt   = state.Known{Seen: seen}
		refused = state.Known{Seen: seen, Lacking: true}
		has     = state.Known{Seen: seen, Live: true}
		lacks   = state.Known{Seen: seen, Live: true, Lacking: true}
		doubts  = state.Known{Seen: seen, Live: true, Doubt: true}
	)
	why := &sinks.Rejected{Code: "null_key", Err: errors.New("map deals: the key field Id is null")}
	for name, c := range map[string]struct {
		row  Row
		want Finding
		bad  bool
	}{
		"it has it":               {Row{Standing: deliver.Right, Record: rec, Known: has}, Finding{Kind: AsIs}, false},
		"not meant":               {Row{Standing: deliver.Right, Known: dealt, Deletes: true}, Finding{Kind: NotMeant}, false},
		"marked as gone before":   {Row{Standing: deliver.Right, Known: lacks, Deletes: true}, Finding{Kind: NotMeant}, false},
		"left at the target":      {Row{Standing: deliver.Right, Known: has}, Finding{Kind: Stay, Differs: true}, true},
		"a delete that is done":   {Row{Standing: deliver.Right, Known: dealt}, Finding{Kind: NotMeant}, false},
		"left there before":       {Row{Standing: deliver.Right, Known: lacks}, Finding{Kind: Stay}, false},
		"not to be told":          {Row{Standing: deliver.Unsure, Record: rec, Known: has}, Finding{Kind: Unsure}, false},
		"never dealt with":        {Row{Standing: deliver.Missing, Record: rec, Known: never}, Finding{Kind: Create, Untouched: true}, true},
		"not meant before":        {Row{Standing: deliver.Missing, Record: rec, Known: dealt}, Finding{Kind: Create, Differs: true}, true},
		"refused when it was new": {Row{Standing: deliver.Missing, Record: rec, Known: refused}, Finding{Kind: Create, Unsettled: true}, true},
		"another record":          {Row{Standing: deliver.Stale, Record: rec, Known: has, SameKey: true}, Finding{Kind: Update, Differs: true}, true},
		"refused since":           {Row{Standing: deliver.Stale, Record: rec, Known: lacks, SameKey: true}, Finding{Kind: Update, Unsettled: true}, true},
		"in doubt":                {Row{Standing: deliver.Stale, Record: rec, Known: doubts, SameKey: true}, Finding{Kind: Update, Unsettled: true}, true},
		"another key":             {Row{Standing: deliver.Stale, Record: rec, Known: has}, Finding{Kind: Move, Differs: true}, true},
		"not meant any more":      {Row{Standing: deliver.Orphan, Known: has, Deletes: true}, Finding{Kind: Remove, Differs: true}, true},
		"a delete in doubt":       {Row{Standing: deliver.Orphan, Known: doubts, Deletes: true}, Finding{Kind: Remove}, true},
		"no record of it":         {Row{Standing: deliver.Unmapped, Known: has, Err: fmt.Errorf("wrapped: %w", why)}, Finding{Kind: Refused, Differs: true, Code: "null_key", Error: "map deals: the key field Id is null"}, true},
		"none before either":      {Row{Standing: deliver.Unmapped, Known: lacks, Err: why}, Finding{Kind: Refused, Code: "null_key", Error: "map deals: the key field Id is null"}, true},
	} {
		got := Judge(c.row)
		if fmt.Sprint(got) != fmt.Sprint(c.want) || got.Bad() != c.bad {
			t.Errorf("%s: %+v, bad %v; want %+v, %v", name, got, got.Bad(), c.want, c.bad)
		}
	}
}
