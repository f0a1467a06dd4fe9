package salesforce

import (
	"fmt"
	"strings"
)

// lock locks the records that drafts write, and their parents, for the request. Drafts that
// find one locked by another request are refused, as they would be once they have waited for
// ten seconds in an org.
func (c *call) lock(w *writing, drafts []*draft) {
	if c.s.o.WriteTime <= 0 {
		return
	}
	for _, d := range drafts {
		if d.bad != nil {
			continue
		}
		names := c.s.store.lockNames(w, d)
		for _, name := range names {
			if holder := c.s.locks[name]; holder != nil && holder != c.top {
				d.bad = lockFault(d.table, name)
			}
		}
		if d.bad != nil {
			continue
		}
		for _, name := range names {
			if c.s.locks[name] == nil {
				c.s.locks[name] = c.top
				c.top.held = append(c.top.held, name)
			}
		}
	}
}

// unlock gives back what a request has locked.
func (s *Server) unlock(c *call) {
	for _, name := range c.held {
		delete(s.locks, name)
	}
	c.held = nil
}

// lockNames are the ids of what a draft locks; of a record that is not there yet, what it
// will be known by. Owners are not locked: they are parents of everything.
func (s *store) lockNames(w *writing, d *draft) (names []string) {
	add := func(r *record) {
		if !strings.HasPrefix(r.id, userPrefix) && !strings.HasPrefix(r.id, groupPrefix) {
			names = append(names, r.id)
		}
	}
	if r, _ := d.table.held(d.id); r != nil {
		add(r)
	}
	if w.op == opUpsert && w.key.Name != idField {
		v := d.values[w.key.Name]
		found := d.table.match(w.key, v)
		for _, r := range found {
			add(r)
		}
		if len(found) == 0 {
			names = append(names, d.table.Name+"/"+w.key.Name+"/"+folded(w.key, v))
		}
	}
	for i := range d.table.Fields {
		f := &d.table.Fields[i]
		if _, parent := s.parent(f, plain(d.values[f.Name])); parent != nil {
			add(parent)
		}
	}
	for _, l := range d.links {
		if l.by == nil {
			continue
		}
		for _, r := range l.parent.match(l.by, l.value) {
			add(r)
		}
	}
	return names
}

// lockFault tells of a lock as the org does: in plain words, or in those of the automation
// that met it.
func lockFault(t *table, id string) *fault {
	message := "unable to obtain exclusive access to this record or 1 records: " + id
	switch {
	case t.Trigger != "":
		return refuse("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", fmt.Sprintf("%s: execution of AfterUpdate\n\ncaused by: System.DmlException: "+
			"Update failed. First exception on row 0 with id %s; first error: UNABLE_TO_LOCK_ROW, %s: []\n\n(System Code)", t.Trigger, id, message))
	case t.Flow != "":
		return refuse("CANNOT_EXECUTE_FLOW_TRIGGER", fmt.Sprintf("We can't save this record because the “%s” process failed. "+
			"Give your Salesforce admin these details. This error occurred when the flow tried to update records: UNABLE_TO_LOCK_ROW: %s", t.Flow, message))
	}
	return refuse("UNABLE_TO_LOCK_ROW", message)
}
