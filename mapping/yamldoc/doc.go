// Package yamldoc reads YAML files that people write, strictly: every value
// knows its line, column and path, unknown and repeated keys and values of a
// wrong type are errors, and a file's errors are collected so that all of them
// can be told at once.
//
// It takes the plain part of YAML: one document, text keys, no anchors, aliases,
// merge keys or tags. A key without a value counts as not given, so an empty
// section keeps its defaults.
//
// The package mapping and the process configuration decode with it; it knows
// nothing of either. Parsing is goccy/go-yaml's.
package yamldoc
