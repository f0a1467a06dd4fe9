// Package schema holds the JSON Schema (draft 2020-12) of mapping files, by which
// editors complete and check them while they are written: walbridge schema prints it.
//
// It describes the same form that package mapping reads. The parser is the truth: tests
// there hold the two together, key by key and file by file. What needs the database or
// an expression to be understood is the parser's alone.
package schema

import _ "embed"

//go:embed mapping.schema.json
var mapping []byte

// Mapping gives the schema of mapping files, and of the files that they share fields by.
func Mapping() []byte { return mapping }

// File is how the schema's file is named beside the mapping files' directory.
const File = "mapping.schema.json"
