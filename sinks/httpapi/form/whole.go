package form

import (
	"maps"
	"slices"

	"github.com/walbridge/walbridge/sinks"
)

// whole looks whether the requests fit together: whatever happens between two of them, a
// record must not be made twice (I9).
func (c *compiler) whole() {
	p := c.plan
	batch := p.calls[Batch]
	upserts := p.calls[Upsert] != nil || batch != nil && batch.records[sinks.Upsert] != nil
	switch {
	case !upserts && p.calls[Create] == nil:
		c.fail("requests", "no request makes records", "", "add upsert, or create and update")
	case upserts && (p.calls[Create] != nil || p.calls[Update] != nil):
		c.fail("requests", "both an upsert, and create or update", "", "keep the upsert where the API has one that goes by a key, and else the other two")
	case p.calls[Create] != nil && p.calls[Update] == nil:
		c.fail("requests.update", "missing", "", "add it: a record that is there already is not made once more")
	}
	for _, name := range []string{Upsert, Create} {
		if call := p.calls[name]; call != nil && call.UsesID {
			c.fail("requests."+name, "{id} is not known before a record is made", "", "use {key}")
		}
	}
	for _, name := range Names() {
		if call := p.calls[name]; call != nil && call.Many && call.UsesID {
			c.fail("requests."+name, "a request for several records cannot use {id}", "", "use {key}, or send one record in a request")
		}
	}
	for _, name := range []string{Update, Delete, Archive} {
		if call := p.calls[name]; call != nil && call.UsesID && p.calls[Lookup] == nil {
			c.fail("requests.lookup", "missing", "", "it is needed since requests."+name+" goes by {id}: add the request that finds a record by its key, so that an answer that is lost does not make a second record")
		}
	}
	if u := p.calls[Update]; u != nil && !u.UsesID && !u.uses(markKey, markKeyText, markRow) {
		c.fail("requests.update", "it does not say which record", "", "use {id}, which the request lookup finds, or {key}")
	}
	if u := p.calls[Update]; u != nil && u.Many {
		c.fail("requests.update", "an update carries one record", "", "leave out its record, and write what one looks like in its body")
	}
	c.asking()
}

// asking looks at the requests that only ask.
func (c *compiler) asking() {
	p := c.plan
	if l := p.calls[Lookup]; l != nil {
		if l.Many {
			c.fail("requests.lookup", "a lookup is for one key", "", "use {key}")
		} else if !l.uses(markKey, markKeyText) {
			c.fail("requests.lookup", "it does not say which record", "", "use {key} in its path or query")
		}
		if l.results.id == nil {
			c.fail("requests.lookup.results.id", "missing", "", "add it, such as id: id")
		}
	}
	if r := p.calls[Read]; r != nil && !r.uses(markKey, markKeyText, markKeys) {
		c.fail("requests.read", "it does not say which records", "", "use {key} in its path or query, or {keys} in its body")
	}
	if call := p.calls[Create]; call != nil && call.Many {
		c.fail("requests.create", "a create carries one record", "", "leave out its record, and write what one looks like in its body")
	}
}

// For gives the request that carries an operation, where one does by itself: nil where the
// operation takes several, as Create and Update do, or there is none.
func (p *Plan) For(op sinks.Op) *Call {
	if b := p.calls[Batch]; b != nil && b.records[op] != nil {
		return b
	}
	switch op {
	case sinks.Upsert:
		return p.calls[Upsert]
	case sinks.Delete:
		return p.calls[Delete]
	case sinks.Archive:
		return p.calls[Archive]
	}
	return nil
}

// Call gives a request by its name; nil if there is none.
func (p *Plan) Call(name string) *Call { return p.calls[name] }

// Form gives what the Plan was made of. It must not be changed.
func (p *Plan) Form() *Form { return p.form }

// MaxBatch is the most records of a request: one, where none that writes carries several.
func (p *Plan) MaxBatch() int {
	if !slices.ContainsFunc([]string{Batch, Upsert, Delete, Archive}, func(name string) bool { return p.calls[name] != nil && p.calls[name].Many }) {
		return 1
	}
	if p.form.MaxBatch > 0 {
		return p.form.MaxBatch
	}
	return DefaultMaxBatch
}

// Abilities are what a target can do that speaks so.
func (p *Plan) Abilities() sinks.Abilities {
	return sinks.Abilities{
		Delete: p.For(sinks.Delete) != nil, Archive: p.For(sinks.Archive) != nil,
		Partial: !p.form.Replace, Clear: p.form.Nulls != NullsOmit, Parents: true,
	}
}

// Schema gives what is known of an object; nil if nothing is.
func (p *Plan) Schema(object string) *sinks.Schema {
	if s, ok := p.form.Schema[object]; ok {
		return s
	}
	return p.form.Schema["*"]
}

// Named lists the objects that Form.Objects has names for, sorted.
func (p *Plan) Named() []string { return slices.Sorted(maps.Keys(p.form.Objects)) }
