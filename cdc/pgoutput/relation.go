package pgoutput

import (
	"fmt"
	"slices"

	"github.com/walbridge/walbridge/cdc"
)

// Identity is the replica identity of a table, as the server writes it.
type Identity byte

// The replica identities.
const (
	IdentityDefault Identity = 'd'
	IdentityNothing Identity = 'n'
	IdentityFull    Identity = 'f'
	IdentityIndex   Identity = 'i'
)

// Column is a column of a Relation.
type Column struct {
	Name string
	OID  uint32
	Type Type
	// Key tells whether it belongs to the key of the table's entries.
	Key bool
	// name is the column's name as JSON with its colon.
	name []byte
}

// Relation is a table as PostgreSQL last described it in the stream.
type Relation struct {
	OID      uint32
	Table    cdc.Table
	Identity Identity
	Columns  []Column
	// Name is Table.String, as entries have it.
	Name string
	keys int
	// until is how far the key is known that the stream does not tell.
	until cdc.Position
}

// Catalog answers what the stream itself does not tell.
type Catalog interface {
	// Type gives the type of an OID that is not the server's own.
	Type(oid uint32) (Type, error)
	// Refresh is Type for a type that is found to be otherwise than it was said
	// to be: a composite that ALTER TYPE has changed. It may answer from memory
	// if that is young, for a type that does not fit may have a million rows.
	Refresh(oid uint32) (Type, error)
	// PrimaryKey names the primary key's columns of a table as the stream last
	// described it, for rows from a Position on; none if it has no such columns. Above
	// until it is asked again. It is asked for tables with REPLICA IDENTITY FULL, where
	// the stream calls every column part of the key.
	PrimaryKey(rel *Relation, from cdc.Position) (names []string, until cdc.Position, err error)
}

func readRelation(r *reader, cat Catalog, from cdc.Position) (*Relation, error) {
	rel := &Relation{OID: r.uint32()}
	rel.Table.Schema = r.string()
	if rel.Table.Schema == "" {
		rel.Table.Schema = "pg_catalog"
	}
	rel.Table.Name = r.string()
	rel.Name = rel.Table.String()
	rel.Identity = Identity(r.byte())
	n := int(r.uint16())
	for range n {
		var c Column
		c.Key = r.byte()&1 != 0
		c.Name = r.string()
		c.OID = r.uint32()
		r.uint32() // type modifier
		if r.err != nil {
			return nil, r.err
		}
		c.name = append(appendString(nil, []byte(c.Name)), ':')
		var ok bool
		if c.Type, ok = Builtin(c.OID); !ok {
			var err error
			if c.Type, err = cat.Type(c.OID); err != nil {
				return nil, fmt.Errorf("find type %d of column %s of %s: %w", c.OID, c.Name, rel.Name, err)
			}
		}
		rel.Columns = append(rel.Columns, c)
	}
	if r.err != nil {
		return nil, r.err
	}
	return rel, rel.findKey(cat, from)
}

func (rel *Relation) findKey(cat Catalog, from cdc.Position) error {
	if rel.Identity == IdentityFull {
		names, until, err := cat.PrimaryKey(rel, from)
		if err != nil {
			return fmt.Errorf("find primary key of %s: %w", rel.Name, err)
		}
		for i := range rel.Columns {
			rel.Columns[i].Key = slices.Contains(names, rel.Columns[i].Name)
		}
		rel.until = until
	}
	rel.keys = 0
	for i := range rel.Columns {
		if rel.Columns[i].Key {
			rel.keys++
		}
	}
	return nil
}

// Has tells whether a relation has all columns of a list that is not empty.
func (rel *Relation) Has(names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(rel.Columns, func(c Column) bool { return c.Name == name }) {
			return false
		}
	}
	return len(names) > 0
}

// Keyless tells that nothing tells the table's rows apart. The server refuses
// updates and deletes of it; its inserts cannot be entries.
func (rel *Relation) Keyless() bool { return rel.keys == 0 }
