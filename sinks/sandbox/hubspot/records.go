package hubspot

import (
	"net/http"
	"slices"
	"strconv"
)

// batchWrite answers POST batch/create, update and upsert.
func batchWrite(op string) handler {
	return func(s *Server, c *call) (reply, *fault) {
		t, f := s.portal.table(c.PathValue("type"))
		if f != nil {
			return reply{}, f
		}
		var in struct {
			Inputs []input `json:"inputs"`
		}
		if f := decode(c.body, &in); f != nil {
			return reply{}, f
		}
		out, f := s.writeLocked(t, op, in.Inputs, c)
		if f != nil {
			return reply{}, f
		}
		var results []wireRecord
		var errs []batchError
		for i, w := range out.results {
			if w.fault != nil {
				errs = append(errs, w.fault.inBatch(in.Inputs[i].Trace))
				continue
			}
			r := t.wire(w.record, sortedKeys(in.Inputs[i].Properties))
			if op == opUpsert {
				r.New = &w.made
			}
			r.Trace = in.Inputs[i].Trace
			results = append(results, r)
		}
		shuffle(s.rnd, results)
		shuffle(s.rnd, errs)
		status := http.StatusOK
		if op == opCreate {
			status = http.StatusCreated
		}
		return replyTo(status, results, errs, c.now), nil
	}
}

// writeLocked carries out a batch and counts what it wrote for the lock of heavy writes.
func (s *Server) writeLocked(t *table, op string, inputs []input, c *call) (outcome, *fault) {
	out, f := s.portal.write(t, op, inputs, c.now)
	if f == nil {
		s.locks.count(t.Name, len(inputs)-out.failed, c.now)
	}
	return out, f
}

// batchArchive answers POST batch/archive: by record id only, and quiet about what is not
// there.
func batchArchive(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	var in struct {
		Inputs []ref `json:"inputs"`
	}
	if f := decode(c.body, &in); f != nil {
		return reply{}, f
	}
	if f := countInputs(len(in.Inputs), maxInputs); f != nil {
		return reply{}, f
	}
	for _, r := range in.Inputs {
		s.portal.archive(t, r.ID, c.now)
	}
	s.locks.count(t.Name, len(in.Inputs), c.now)
	return reply{status: http.StatusNoContent}, nil
}

// batchRead answers POST batch/read. What is not there makes it a 207.
func batchRead(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	var in struct {
		Properties  []string `json:"properties"`
		WithHistory []string `json:"propertiesWithHistory"`
		IDProperty  string   `json:"idProperty"`
		Inputs      []ref    `json:"inputs"`
	}
	if f := decode(c.body, &in); f != nil {
		return reply{}, f
	}
	if f := countInputs(len(in.Inputs), maxInputs); f != nil {
		return reply{}, f
	}
	var results []wireRecord
	var gone []string
	for _, input := range in.Inputs {
		r, f := t.find(input.ID, in.IDProperty, c.URL.Query().Get("archived") == "true")
		switch {
		case f == nil:
			results = append(results, t.wire(r, in.Properties))
		case f.category == objectNotFound:
			gone = append(gone, input.ID)
		default:
			return reply{}, f
		}
	}
	var errs []batchError
	if gone != nil {
		errs = []batchError{missing(t.ObjectType, gone...).inBatch("")}
	}
	shuffle(s.rnd, results)
	return replyTo(http.StatusOK, results, errs, c.now), nil
}

// createRecord answers POST {type}.
func createRecord(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	var in input
	if f := decode(c.body, &in); f != nil {
		return reply{}, f
	}
	out, f := s.writeLocked(t, opCreate, []input{{Properties: in.Properties, Associations: in.Associations}}, c)
	if f != nil {
		return reply{}, f
	}
	return reply{http.StatusCreated, t.wire(out.results[0].record, sortedKeys(in.Properties))}, nil
}

// updateRecord answers PATCH {type}/{id}.
func updateRecord(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	var in input
	if f := decode(c.body, &in); f != nil {
		return reply{}, f
	}
	one := input{ID: c.PathValue("id"), IDProperty: c.URL.Query().Get("idProperty"), Properties: in.Properties}
	out, f := s.writeLocked(t, opUpdate, []input{one}, c)
	if f != nil {
		return reply{}, f
	}
	return reply{http.StatusOK, t.wire(out.results[0].record, sortedKeys(in.Properties))}, nil
}

// readRecord answers GET {type}/{id}.
func readRecord(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	r, f := t.find(c.PathValue("id"), c.URL.Query().Get("idProperty"), c.URL.Query().Get("archived") == "true")
	if f != nil {
		return reply{}, f
	}
	return reply{http.StatusOK, t.wire(r, list(c, "properties"))}, nil
}

// archiveRecord answers DELETE {type}/{id}: that there is none is no error.
func archiveRecord(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	s.portal.archive(t, c.PathValue("id"), c.now)
	s.locks.count(t.Name, 1, c.now)
	return reply{status: http.StatusNoContent}, nil
}

// page is a part of a list, and where the next begins.
type page struct {
	Total   *int         `json:"total,omitempty"`
	Results []wireRecord `json:"results"`
	Paging  *paging      `json:"paging,omitempty"`
}

type paging struct {
	Next struct {
		After string `json:"after"`
	} `json:"next"`
}

// listRecords answers GET {type}: by id, a hundred at most.
func listRecords(s *Server, c *call) (reply, *fault) {
	t, f := s.portal.table(c.PathValue("type"))
	if f != nil {
		return reply{}, f
	}
	archived := c.URL.Query().Get("archived") == "true"
	w := window{limit: c.URL.Query().Get("limit"), after: c.URL.Query().Get("after"), most: maxInputs, asked: list(c, "properties")}
	return t.page(w, func(r *record) bool { return r.archived == archived })
}

// window is what part of a list is asked for.
type window struct {
	limit, after string // as the client says; ten by default, from the start
	most         int    // that may be asked for
	asked        []string
}

// page gives the records that keep says yes to, by id.
func (t *table) page(w window, keep func(*record) bool) (reply, *fault) {
	limit, start := 10, 0
	if w.limit != "" {
		n, err := strconv.Atoi(w.limit)
		if err != nil || n < 1 || n > w.most {
			return reply{}, badRequest("limit must be between 1 and %d", w.most)
		}
		limit = n
	}
	if w.after != "" {
		n, err := strconv.Atoi(w.after)
		if err != nil || n < 0 {
			return reply{}, badRequest("after is not of a page before")
		}
		start = n
	}
	out := page{Results: []wireRecord{}}
	matching := slices.DeleteFunc(slices.Clone(t.order), func(id string) bool { return !keep(t.records[id]) })
	for i := start; i < len(matching) && i < start+limit; i++ {
		out.Results = append(out.Results, t.wire(t.records[matching[i]], w.asked))
	}
	if start+limit < len(matching) {
		out.Paging = &paging{}
		out.Paging.Next.After = strconv.Itoa(start + limit)
	}
	total := len(matching)
	out.Total = &total
	return reply{http.StatusOK, out}, nil
}
