// Package vendors opens targets as a configuration describes them: it knows each of their
// packages, so that package wire knows none of them by name. One file is about one type.
package vendors
