// Package initial writes the first files of a bridge: from what a database has, a
// configuration and a mapping file for each chosen table, for a person to go on from.
//
// What it writes loads as it is, in the form of walbridge fmt, whatever the tables and
// their columns are called: Files parses and compiles each mapping before it gives it.
// What cannot be sent, or hardly is meant to be, stands in the file as a comment with the
// reason. Which columns hold personal data it does not guess.
//
// It is pure: tables in, files out. The command looks at the database through wire and
// writes the files.
package initial
