// Package plan says what mapping files would send, from what each row makes now and what was
// delivered of it: it judges rows, counts them, counts requests and the time that they take at the
// least, and says all that for people. It is pure; package wire reads the rows and the state.
package plan
