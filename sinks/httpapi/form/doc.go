// Package form is how an API is described, so that the http target can speak to it: a Form
// says which request carries which operation, what its path, query, headers and body are made
// of, how a client proves who it is, and where an answer says what became of each record.
//
// Compile holds a Form against what can work, with a Problem for each mistake, and makes a Plan
// of it; a Plan builds requests as bytes and reads answers, and is pure: no connection, no
// clock, no state. The client in the package above runs it.
//
// Templates are safe by construction. A body is a tree of JSON, of which texts may have
// placeholders such as {key}; a text that is nothing but a placeholder becomes the value itself,
// with the JSON text it has, so that no number changes on the way. In addresses a value is
// percent-encoded, and one that would change the meaning of a path is refused. There are no
// conditions, loops or functions.
package form
