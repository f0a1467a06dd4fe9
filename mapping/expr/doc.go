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
//   - dates, instants and local times are types of their own, and lists have the type of
//     their items; JSON is passed on, or a path is taken of it.
//   - a column that is only passed on is copied as JSON text, byte for byte.
//   - there is no clock, no randomness and no loop, so a replay gives the same
//     and the cost is bounded by the size of the expression and its row. Time zones come
//     with the binary.
//
// Absent values are not its business: who evaluates has made sure that no input is absent
// (I5; see Program.Inputs), and gets an error otherwise. Errors never hold values of a row
// (I14).
//
// The expressions of a mapping share a Scope, which gives each column that is used a
// slot, and are evaluated over a Row of that scope: a column is decoded once for all of
// them. Programs are closures over typed nodes, immutable, and safe for concurrent use; a
// Row is not.
//
// The functions are a table (Functions), from which people are told of them: the
// documentation has its rows, and each example in it is a test.
package expr
