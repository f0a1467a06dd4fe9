// Package format writes mapping files, and walbridge.yaml, in the one form that walbridge
// fmt keeps: one order of keys, two spaces for each level, flow maps as {a: b}, line
// comments of neighbouring lines below each other, quotes only where it is sure that the
// text needs none.
//
// It holds that the formatted text is the same document, as mapping/yamldoc reads it, but
// for the order of keys that have one; that every comment is in it; and that formatting
// it again changes nothing. The first two are checked each time: where they do not hold,
// Source gives an error and no text.
//
// The text is read into a tree of its own, with scalars as they are written, because the
// trees of the YAML libraries lose what people arrange: go.yaml.in/yaml/v3 drops blank
// lines and moves comments out of empty sections, goccy/go-yaml puts comments of flow
// maps where they swallow the closing brace. What is read so is only the part of YAML
// that yamldoc takes.
//
// It is pure. The command reads and writes the files.
package format
