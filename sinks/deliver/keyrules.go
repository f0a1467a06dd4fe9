package deliver

import (
	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
)

// keyRules tell target keys of one target apart, and which of them need an owner.
type keyRules struct {
	folds sinks.Collation // nil if all texts are told apart
	// sole has the mappings whose keys are those of their rows, and whose objects no other
	// mapping leads to.
	sole map[string]bool
}

func newKeyRules(o *Options) *keyRules {
	r := &keyRules{sole: map[string]bool{}}
	if c, ok := sinks.As[sinks.Collation](o.Target); ok && c.Folds() {
		r.folds = c
	}
	count := map[string]int{}
	for _, m := range o.Mappers {
		count[m.Object()]++
	}
	for _, m := range o.Mappers {
		r.sole[m.Name()] = m.KeyIsSource() && count[m.Object()] == 1
	}
	return r
}

// id gives the ID of a target key.
func (r *keyRules) id(object string, key sinks.Field) targetkey.ID {
	if r.folds != nil {
		return targetkey.Of(object, key.Name, r.folds.FoldKey(object, key))
	}
	return targetkey.Of(object, key.Name, sinks.ExactKey(key.Value))
}

// same tells whether two fields are the same target key.
func (r *keyRules) same(object string, a, b sinks.Field) bool {
	if a.Name != b.Name {
		return false
	}
	return string(a.Value) == string(b.Value) || r.id(object, a) == r.id(object, b)
}

// sure tells that no other row can make the target key of a record, so that nobody needs
// to be told whose it is. The key of a record that is to be removed may be one that the
// mapping made when it was another.
func (r *keyRules) sure(rec *sinks.Record) bool {
	if !r.sole[rec.Mapping] || r.folds != nil && len(rec.Key.Value) > 0 && rec.Key.Value[0] == '"' {
		return false
	}
	if !leaving(rec) {
		return true
	}
	row, err := cdc.ParseRow(rec.Source)
	return err == nil && len(row) == 1 && sinks.ExactKey(rec.Key.Value) == sinks.ExactKey([]byte(row[0].Value.JSON()))
}

// leaving tells whether a record takes another one away, or marks it as such.
func leaving(rec *sinks.Record) bool { return rec.Op != sinks.Upsert || rec.Left }

// standing is how a row stands to a target key by what is known of it.
type standing uint8

const (
	// strange: the row does not name the key.
	strange standing = iota
	// has: the record of the row may lie there, and it wants it there.
	has
	// quits: its record may lie there, but it does not want it there any more.
	quits
)

// standing looks for a key in what is known of a row.
func (r *keyRules) standing(object string, k *state.Known, id targetkey.ID) standing {
	if (k.Live || k.Doubt) && r.id(object, k.Key) == id {
		return has
	}
	for _, f := range k.Old {
		if r.id(object, f) == id {
			return quits
		}
	}
	return strange
}
