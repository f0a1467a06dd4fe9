// Package trial runs the tests that a mapping file holds: a change of a row is
// given, and the record that the mapping makes of it is compared with the one
// that is expected.
//
// Parse reads the tests strictly, as mapping.Parse reads the rest, and gives the
// change the very JSON that the capture would: a value that a column of its type
// cannot have is a mistake, since a test that passes with it would say nothing.
// Suite.Run maps. Suite.Record writes what came out into the file's text, as what
// is expected, and leaves every other byte of the text as it is.
//
// It is pure: files are read and written by the command. It imports mapping,
// yamldoc and the two vocabularies.
package trial
