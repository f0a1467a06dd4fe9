package cdc

import "slices"

// Routing is all that decides into which stream a row goes, besides the number
// of partitions, which never changes. The log keeps it: a transaction that is
// sent again must find the streams of the first time, whatever the configuration
// says by now, or the log would hold it twice (I2).
type Routing struct {
	// Above is the Position above which it holds.
	Above  Position      `json:"above"`
	Tables []RoutedTable `json:"tables"`
	// BulkAfter is after how many rows of a transaction the rest goes to the bulk
	// lane.
	BulkAfter uint64 `json:"bulk_after"`
	// Publication tells the present publication from one of the same name that was
	// there before. It decides nothing of where rows go.
	Publication uint32 `json:"publication,omitempty"`
}

// RoutedTable is a captured table. The source knows it by its OID, the log by the
// name it had when it was first captured: a table that is renamed keeps that, and
// with it the partitions of its keys.
type RoutedTable struct {
	OID  uint32 `json:"oid"`
	Name Table  `json:"name"`
	// Lane is that of the rows for which the rules decide nothing.
	Lane string `json:"lane"`
	// Rules decide the lane of a row by what is in it. To all but the one who compiles
	// them they are a text; empty for none.
	Rules string `json:"rules,omitempty"`
	// Source is the name it had at the source when this was noted, where that is not
	// Name. It decides nothing of where rows go.
	Source Table `json:"source,omitzero"`
	// Member tells the table's present membership in the publication from one that it
	// had before. It decides nothing of where rows go.
	Member uint32 `json:"member,omitempty"`
	// Key are the columns of the key where the stream does not tell them: under
	// REPLICA IDENTITY FULL. Empty elsewhere.
	Key []string `json:"key,omitempty"`
}

// AtSource is the table's name at the source when this was noted.
func (t *RoutedTable) AtSource() Table {
	if t.Source == (Table{}) {
		return t.Name
	}
	return t.Source
}

// Table gives the captured table of an OID; nil if it is not captured.
func (r *Routing) Table(oid uint32) *RoutedTable {
	for i := range r.Tables {
		if r.Tables[i].OID == oid {
			return &r.Tables[i]
		}
	}
	return nil
}

// Same tells whether two routings send every row into the same streams. The order
// of the tables does not matter.
func (r *Routing) Same(o *Routing) bool {
	if r.BulkAfter != o.BulkAfter || len(r.Tables) != len(o.Tables) {
		return false
	}
	for i := range r.Tables {
		t := &r.Tables[i]
		u := o.Table(t.OID)
		if u == nil || u.Name != t.Name || u.Lane != t.Lane || u.Rules != t.Rules || !slices.Equal(u.Key, t.Key) {
			return false
		}
	}
	return true
}

// RoutingAt gives the routing of a Position, from a list in the order of Above;
// nil if the list begins above it.
func RoutingAt(list []Routing, p Position) *Routing {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Above.Before(p) {
			return &list[i]
		}
	}
	return nil
}
