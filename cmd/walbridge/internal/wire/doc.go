// Package wire puts the parts of walbridge together as a configuration says: it
// is the only package that knows all of them. It owns the order of starting and
// stopping, and turns what the parts count into the status that the console
// serves. Decisions live in the parts.
package wire
