// Package expr compiles the expressions of mapping files, typed against the
// columns of a table, and evaluates them on JSON values.
//
// The grammar is that of expr-lang/expr, whose parser it uses with every
// builtin switched off and the number of nodes bounded. Types, names and
// evaluation are its own, because SQL's rules run through all of them:
//
//   - null is a third value. An operator or function with a null operand gives
//     null; && || ! follow SQL (null && false is false); a condition that is null
//     counts as false; x == nil asks whether x is null; a ?? b replaces null.
//   - numbers are exact: whole numbers are 64 bits and overflow is an error, all
//     others are decimals of any scale. No number passes through a float, neither
//     a column nor a literal. Only division rounds, to 34 digits.
//   - a column that is only passed on is copied as JSON text, byte for byte.
//   - there is no clock, no randomness and no loop, so a replay gives the same
//     and the cost is bounded by the size of the expression and its row.
//
// Absent values are not its business: who calls Eval has made sure that no
// input is absent (I5; see Program.Columns), and gets an error otherwise.
// Errors never hold values of a row (I14).
//
// Programs are closures over typed nodes, immutable, and safe for concurrent
// use. The package mapping is its only user.
package expr
