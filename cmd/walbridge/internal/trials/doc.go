// Package trials is what walbridge test does around mapping/trial: it finds the
// mapping files and what was saved of the source's tables, runs the tests of each
// file, writes what is recorded, and tells people and machines what came of it.
//
// It works offline: it opens files, and no connection. A file with mistakes does
// not keep the tests of others from running, and all mistakes are told.
package trials
