package expr

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// maxSource and maxNodes bound what an expression can cost, to read and to run.
const (
	maxSource = 16 << 10
	maxNodes  = 1000
)

// parse reads the grammar. Every builtin of expr-lang is made a plain name, so
// that only the functions of this package are known.
func parse(src string) (tree ast.Node, err error) {
	switch {
	case strings.TrimSpace(src) == "":
		return nil, &Error{Msg: "the expression is empty", Hint: "write a column, a constant such as '\"text\"', or nil"}
	case len(src) > maxSource:
		return nil, &Error{Msg: "the expression is longer than 16 KiB", Hint: "split it over several fields"}
	case !utf8.ValidString(src):
		return nil, &Error{Msg: "the expression is not UTF-8 text"}
	}
	// The parser gets what people write; a panic in it must not end the process.
	defer func() {
		if r := recover(); r != nil {
			tree, err = nil, &Error{Msg: "the expression cannot be read", Hint: "check its operators and brackets"}
		}
	}()
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	c.DisableIfOperator = true
	for name, f := range c.Builtins {
		c.Disabled[name] = true
		c.Functions[name] = f
	}
	t, perr := parser.ParseWithConfig(src, c)
	if perr == nil {
		return t.Node, nil
	}
	var fe *file.Error
	if !errors.As(perr, &fe) {
		return nil, &Error{Msg: "the expression cannot be read", Hint: "check its operators and brackets"}
	}
	if strings.Contains(fe.Message, "invalid integer literal") {
		return nil, &Error{Offset: fe.From, Msg: "a whole number of more than 64 bits", Hint: "write it with a point, such as 10000000000000000000.0"}
	}
	return nil, &Error{Offset: fe.From, Msg: lowerFirst(fe.Message), Hint: parseHint(src, fe)}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// parseHint helps with what people who know SQL write first.
func parseHint(src string, fe *file.Error) string {
	runes := []rune(src)
	rest := ""
	if fe.From >= 0 && fe.From < len(runes) {
		rest = string(runes[fe.From:])
	}
	upper := strings.ToUpper(rest)
	switch {
	case strings.Contains(fe.Message, "maximum allowed nodes"):
		return "an expression may have at most 1000 parts"
	case strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "=="):
		return "compare with =="
	case strings.HasPrefix(rest, "<>"), strings.HasPrefix(rest, ">") && strings.Contains(src, "<>"):
		return "write != for not equal"
	case strings.HasPrefix(upper, "IS "):
		return "write x == nil or x != nil"
	case strings.HasPrefix(upper, "AND "), strings.HasPrefix(upper, "OR "):
		return "write && or ||"
	case strings.HasPrefix(rest, "||"):
		return "join texts with +"
	case strings.HasPrefix(upper, "LIKE "), strings.HasPrefix(upper, "ILIKE "):
		return "write x startsWith 'a', x contains 'a', or x matches '^a'"
	case strings.HasPrefix(rest, "::"), strings.HasPrefix(rest, ":") && strings.Contains(src, "::"):
		return "write string(x), int(x), decimal(x) or date(x)"
	case strings.HasPrefix(rest, "->"), strings.HasPrefix(rest, ">") && strings.Contains(src, "->"):
		return "write custom.tier, or string(custom.tier) as text"
	case strings.HasPrefix(strings.ToUpper(strings.TrimSpace(src)), "CASE "):
		return "write condition ? x : y"
	case strings.Contains(fe.Message, "not terminated"):
		return "close the quote"
	case strings.Contains(fe.Message, "EOF"):
		return "something is missing at the end; within braces { } a comma ends a value that is not in quotes"
	}
	return "check operators, quotes and brackets here"
}
