package pgsource

import (
	"errors"
	"fmt"

	"github.com/walbridge/walbridge/cdc"
)

// Lanes say in which lane the rows of a table travel.
type Lanes struct {
	// Lane is that of the rows for which the rules decide nothing.
	Lane string
	// Rules decide by the row itself; empty for none.
	Rules string
}

// CompileRules makes of the text of rules the function that gives the lane of a row;
// empty where they decide nothing. The row is a JSON object: what an entry has as after,
// and of a delete as before, which may be no more than the key. It has no absent columns,
// which are not null.
//
// A row that is sent again must come to the same lane, in this process or in a later one,
// or the log would hold it twice (I2). So the lane may follow from nothing but the text
// and the row, and only from such columns as are the same in JSON each time. Those are
// the columns of the server's own types (OIDs below 16384), and those of others that are
// strings in JSON, such as enums. The others are as the catalog has them, which may be
// altered before the row is sent again: fields of composites are renamed, and a domain
// over a number is a string once it was dropped.
//
// The text is kept in the log, so that a later version of walbridge has to read it, too.
type CompileRules func(rules string) (func(row string) (lane string), error)

type laneRule func(row string) (lane string)

// compileRules compiles each of the rules of some routings once.
//
// Of the log there are only those left by which something may still be sent again: the
// others are forgotten before. Rules of these that cannot be compiled, as another version
// of walbridge wrote them, end the start. There is nothing to be done without them:
// whatever other lane such a row came to, it would be in the log twice where it is there
// already, and be taken for one that is there where it is not. The version that wrote them
// can bring the slot past those rows; then nobody asks for them any more.
func compileRules(list []cdc.Routing, compile CompileRules) (map[string]laneRule, error) {
	var out map[string]laneRule
	for i := len(list) - 1; i >= 0; i-- { // what is configured first: its errors have another cause
		for _, t := range list[i].Tables {
			if t.Rules == "" || out[t.Rules] != nil {
				continue
			}
			rule, err := compileRule(t.Rules, compile)
			if err != nil && i == len(list)-1 {
				return nil, &cdc.SetupError{What: fmt.Sprintf("the lane rules of table %s cannot be used", t.AtSource()), Err: err,
					Hint: "mend lane: in the mapping files of the table"}
			}
			if err != nil {
				return nil, &cdc.SetupError{What: fmt.Sprintf("rows of table %s may come again that were given their lanes by rules which this version of walbridge cannot read", t.Name), Err: err,
					Hint: "give the table a plain lane: in its mapping files, run the version that ran before until walbridge status shows a few seconds of lag at most, and a minute more; then start this one"}
			}
			if out == nil {
				out = map[string]laneRule{}
			}
			out[t.Rules] = rule
		}
	}
	return out, nil
}

var errNoRules = errors.New("it knows no lane rules")

func compileRule(text string, compile CompileRules) (laneRule, error) {
	if compile == nil {
		return nil, errNoRules
	}
	rule, err := compile(text)
	if err == nil && rule == nil {
		err = errNoRules
	}
	return rule, err
}

// lane gives the lane of an entry, of which rows of its transaction have been sent, with
// its own. It is on the way of every row: a table without rules must cost nothing.
func (r *route) lane(rows uint64, e *cdc.Entry) (string, error) {
	switch {
	case rows > r.bulkAfter:
		return cdc.LaneBulk, nil
	case r.rule == nil:
		return r.table.Lane, nil
	}
	return r.ruled(e)
}

// ruled gives the lane that the rules decide. The text is a copy: the rules may keep
// parts of it, and the entry's bytes are used again.
func (r *route) ruled(e *cdc.Entry) (string, error) {
	row := e.After
	if e.Op == cdc.OpDelete {
		row = e.Before
	}
	switch lane := r.rule(string(row)); lane {
	case "":
		return r.table.Lane, nil
	case cdc.LaneUrgent, cdc.LaneNormal, cdc.LaneBulk:
		return lane, nil
	default: // of a stream that the log does not have
		return "", fmt.Errorf("route row of %s: its rules give the lane %q, which there is not", r.name, lane)
	}
}
