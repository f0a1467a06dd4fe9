package hubspot

import (
	"slices"
	"strconv"
	"strings"
)

// query is the body of a search. Of its operators those are here that tell records by a
// value.
type query struct {
	FilterGroups []struct {
		Filters []filter `json:"filters"`
	} `json:"filterGroups"`
	Properties []string `json:"properties"`
	Sorts      []any    `json:"sorts"`
	Query      string   `json:"query"`
	Limit      int      `json:"limit"`
	After      string   `json:"after"`
}

type filter struct {
	Property string   `json:"propertyName"`
	Operator string   `json:"operator"`
	Value    string   `json:"value"`
	Values   []string `json:"values"`
}

// searchRecords answers POST {type}/search: any of the groups, all filters of one. Unlike
// HubSpot's, whose index is some seconds late, it finds what was written at once.
func searchRecords(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	var q query
	if f := decode(c.body, &q); f != nil {
		return reply{}, f
	}
	if len(q.Sorts) > 0 || q.Query != "" {
		return reply{}, badRequest("The simulation searches by filters alone, without sorts and query")
	}
	for _, g := range q.FilterGroups {
		for _, fl := range g.Filters {
			if t.byName[fl.Property] == nil {
				return reply{}, badRequest("There was a problem with the request: %s is not a property", fl.Property)
			}
			if !slices.Contains([]string{"EQ", "NEQ", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY"}, fl.Operator) {
				return reply{}, badRequest("The simulation has no operator %s", fl.Operator)
			}
		}
	}
	w := window{after: q.After, most: 200, asked: q.Properties}
	if q.Limit != 0 {
		w.limit = strconv.Itoa(q.Limit)
	}
	return t.page(w, func(r *record) bool { return !r.archived && t.matches(r, &q) })
}

func (t *table) matches(r *record, q *query) bool {
	if len(q.FilterGroups) == 0 {
		return true
	}
	for _, g := range q.FilterGroups {
		all := true
		for _, f := range g.Filters {
			all = all && t.passes(r, f)
		}
		if all {
			return true
		}
	}
	return false
}

func (t *table) passes(r *record, f filter) bool {
	v, has := t.value(r, f.Property)
	eq := func(other string) bool { return has && strings.EqualFold(v, other) }
	switch f.Operator {
	case "EQ":
		return eq(f.Value)
	case "NEQ":
		return has && !eq(f.Value)
	case "IN":
		return slices.ContainsFunc(f.Values, eq)
	case "NOT_IN":
		return has && !slices.ContainsFunc(f.Values, eq)
	case "HAS_PROPERTY":
		return has
	default: // NOT_HAS_PROPERTY; others were refused
		return !has
	}
}
