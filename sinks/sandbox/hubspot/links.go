package hubspot

import "net/http"

// linkInput is one input of a batch of associations. A batch that removes them may name
// several other ends.
type linkInput struct {
	From  ref        `json:"from"`
	To    ref        `json:"to"`
	Types []linkType `json:"types"`
}

// wireLink is an association that was made.
type wireLink struct {
	FromTypeID string   `json:"fromObjectTypeId"`
	FromID     string   `json:"fromObjectId"`
	ToTypeID   string   `json:"toObjectTypeId"`
	ToID       string   `json:"toObjectId"`
	Labels     []string `json:"labels"`
}

// wireDefault is an association that was made without a label.
type wireDefault struct {
	From ref      `json:"from"`
	To   ref      `json:"to"`
	Spec linkType `json:"associationSpec"`
}

// ends gives the two types of a path.
func (s *Server) ends(c *call) (from, to *table, f *fault) {
	if from, f = s.portal.table(c.PathValue("from")); f != nil {
		return nil, nil, f
	}
	if to, f = s.portal.table(c.PathValue("to")); f != nil {
		return nil, nil, f
	}
	return from, to, nil
}

func decodeLinks(c *call, most int) ([]linkInput, *fault) {
	var in struct {
		Inputs []linkInput `json:"inputs"`
	}
	if f := decode(c.body, &in); f != nil {
		return nil, f
	}
	return in.Inputs, countInputs(len(in.Inputs), most)
}

// associateBatch answers POST batch/create. A type that there is not refuses all; a record
// that is not there only its input.
func associateBatch(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	inputs, f := decodeLinks(c, maxAssociate)
	if f != nil {
		return reply{}, f
	}
	labels := make([][]*Label, len(inputs))
	for i, in := range inputs {
		if labels[i], f = s.portal.linkLabels(from, to, in.Types); f != nil {
			return reply{}, f
		}
	}
	var results []wireLink
	var errs []batchError
	for i, in := range inputs {
		if _, f := s.portal.connect(from, to, in.From.ID, in.To.ID, labels[i]); f != nil {
			errs = append(errs, f.inBatch(""))
			continue
		}
		results = append(results, wireOf(from, to, in.From.ID, in.To.ID, labels[i]))
	}
	shuffle(s.rnd, results)
	return replyTo(http.StatusCreated, results, errs, c.now), nil
}

func wireOf(from, to *table, fromID, toID string, labels []*Label) wireLink {
	w := wireLink{FromTypeID: from.ID, FromID: fromID, ToTypeID: to.ID, ToID: toID, Labels: []string{}}
	for _, l := range labels {
		if l.Name != "" {
			w.Labels = append(w.Labels, l.Name)
		}
	}
	return w
}

// associateDefault answers POST batch/associate/default.
func associateDefault(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	inputs, f := decodeLinks(c, maxAssociate)
	if f != nil {
		return reply{}, f
	}
	plain := s.portal.defaultLabel(from.Name, to.Name)
	if plain == nil {
		return reply{}, noSuchLabel(from, to, 0)
	}
	var results []wireDefault
	var errs []batchError
	for _, in := range inputs {
		if _, f := s.portal.connect(from, to, in.From.ID, in.To.ID, nil); f != nil {
			errs = append(errs, f.inBatch(""))
			continue
		}
		// It is told of in both directions.
		results = append(results, wireDefault{in.From, in.To, linkType{plain.category(), plain.ID}},
			wireDefault{in.To, in.From, linkType{plain.category(), plain.Inverse}})
	}
	shuffle(s.rnd, results)
	return replyTo(http.StatusOK, results, errs, c.now), nil
}

// dissociateBatch answers POST batch/archive: all associations between the records.
func dissociateBatch(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	var in struct {
		Inputs []struct {
			From ref   `json:"from"`
			To   []ref `json:"to"`
		} `json:"inputs"`
	}
	if f := decode(c.body, &in); f != nil {
		return reply{}, f
	}
	if f := countInputs(len(in.Inputs), maxAssociate); f != nil {
		return reply{}, f
	}
	for _, one := range in.Inputs {
		for _, other := range one.To {
			if f := s.portal.disconnect(from, to, one.From.ID, other.ID, nil); f != nil {
				return reply{}, f
			}
		}
	}
	return reply{status: http.StatusNoContent}, nil
}

// dissociateLabels answers POST batch/labels/archive: those of some types.
func dissociateLabels(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	inputs, f := decodeLinks(c, maxAssociate)
	if f != nil {
		return reply{}, f
	}
	for _, in := range inputs {
		if _, f := s.portal.linkLabels(from, to, in.Types); f != nil {
			return reply{}, f
		}
	}
	for _, in := range inputs {
		if f := s.portal.disconnect(from, to, in.From.ID, in.To.ID, in.Types); f != nil {
			return reply{}, f
		}
	}
	return reply{status: http.StatusNoContent}, nil
}

// wireLinks are the associations of one record.
type wireLinks struct {
	From ref      `json:"from"`
	To   []linked `json:"to"`
}

// readLinks answers POST batch/read. A record without associations makes it a 207.
func readLinks(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	var in struct {
		Inputs []struct {
			ID    string `json:"id"`
			After string `json:"after"`
		} `json:"inputs"`
	}
	if f := decode(c.body, &in); f != nil {
		return reply{}, f
	}
	if f := countInputs(len(in.Inputs), maxReadLinks); f != nil {
		return reply{}, f
	}
	var results []wireLinks
	var errs []batchError
	for _, one := range in.Inputs {
		list := s.portal.linksOf(from, one.ID, to)
		if len(list) == 0 {
			errs = append(errs, noLinks(from, to, one.ID).inBatch(""))
			continue
		}
		results = append(results, wireLinks{ref{one.ID}, list})
	}
	shuffle(s.rnd, results)
	return replyTo(http.StatusOK, results, errs, c.now), nil
}

// readLinksOfOne answers GET {from}/{id}/associations/{to}.
func readLinksOfOne(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	if _, f := from.find(c.PathValue("id"), "", false); f != nil {
		return reply{}, f
	}
	list := s.portal.linksOf(from, c.PathValue("id"), to)
	if list == nil {
		list = []linked{}
	}
	return reply{http.StatusOK, map[string]any{"results": list}}, nil
}

// associateOne answers PUT {from}/{id}/associations/{to}/{toID}; the body is a list of types.
func associateOne(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	var types []linkType
	if f := decode(c.body, &types); f != nil {
		return reply{}, f
	}
	labels, f := s.portal.linkLabels(from, to, types)
	if f != nil {
		return reply{}, f
	}
	if _, f := s.portal.connect(from, to, c.PathValue("id"), c.PathValue("toID"), labels); f != nil {
		return reply{}, f
	}
	return reply{http.StatusCreated, wireOf(from, to, c.PathValue("id"), c.PathValue("toID"), labels)}, nil
}

// associateOneDefault answers PUT {from}/{id}/associations/default/{to}/{toID}.
func associateOneDefault(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	plain := s.portal.defaultLabel(from.Name, to.Name)
	if plain == nil {
		return reply{}, noSuchLabel(from, to, 0)
	}
	a, b := ref{c.PathValue("id")}, ref{c.PathValue("toID")}
	if _, f := s.portal.connect(from, to, a.ID, b.ID, nil); f != nil {
		return reply{}, f
	}
	return replyTo(http.StatusOK, []wireDefault{{a, b, linkType{plain.category(), plain.ID}},
		{b, a, linkType{plain.category(), plain.Inverse}}}, nil, c.now), nil
}

// dissociateOne answers DELETE {from}/{id}/associations/{to}/{toID}.
func dissociateOne(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	return reply{status: http.StatusNoContent}, s.portal.disconnect(from, to, c.PathValue("id"), c.PathValue("toID"), nil)
}

// listLabels answers GET {from}/{to}/labels.
func listLabels(s *Server, c *call) (reply, *fault) {
	from, to, f := s.ends(c)
	if f != nil {
		return reply{}, f
	}
	results := []linkedType{}
	for i := range s.portal.labels {
		l := &s.portal.labels[i]
		if l.From != from.Name || l.To != to.Name {
			continue
		}
		lt := linkedType{Category: l.category(), TypeID: l.ID}
		if l.Name != "" {
			lt.Label = &l.Name
		}
		results = append(results, lt)
	}
	return reply{http.StatusOK, map[string]any{"results": results}}, nil
}
