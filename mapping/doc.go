// Package mapping turns mapping files into plans that make records of rows.
// One file is one mapping: one table of the source to one kind of object of one
// target.
//
// Reading has two steps. Parse needs nothing but the file: it finds mistakes of
// syntax and form. Compile needs a Catalog, and types every expression against
// the table's columns. Both report all mistakes of a file, each with its line
// and column, the value and what to do (Errors). What Compile gives is pure: it
// starts nothing, reads no clock, and is safe for concurrent use.
//
// Files may refer to each other (ref) and share lists of fields (use); CompileAll takes
// them together. Without a database, the catalog is one that was saved (LoadCatalog).
//
// It holds I5 for what is sent: a field all of whose inputs are absent is left
// out; a field with some of them absent, a condition, a key or a reference with any, makes
// the record Unresolved and is never guessed. It holds I12 and I14 for what
// cannot be mapped: the row is Rejected by name of the field, never by value.
//
// Below it are expr (the language), yamldoc (strict YAML), nearest (hints), trial (tests
// in mapping files), format (their form) and schema (their JSON Schema).
// It imports cdc and sinks, and is used by the delivery engine through a small
// interface of that one's own.
package mapping
