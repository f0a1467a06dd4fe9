package expr

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// textFunctions are those of texts.
func textFunctions() []*function {
	const g = "text"
	return []*function{
		{Function: Function{"upper", g, "upper(x)", "in capitals", "upper(stage)", `"WON"`}, params: []Type{Text}, least: 1, make: plainText(strings.ToUpper)},
		{Function: Function{"lower", g, "lower(x)", "in small letters", "lower('ÅSE')", `"åse"`}, params: []Type{Text}, least: 1, make: plainText(strings.ToLower)},
		{Function: Function{"title", g, "title(x)", "each word with a capital", "title('acme GMBH')", `"Acme Gmbh"`}, params: []Type{Text}, least: 1, changing: true, make: plainText(titled)},
		{Function: Function{"trim", g, "trim(x)", "without space at both ends", "trim('  Acme ')", `"Acme"`}, params: []Type{Text}, least: 1, make: plainText(strings.TrimSpace)},
		{Function: Function{"squeeze", g, "squeeze(x)", "trimmed, and each run of space within is one space", "squeeze('  Acme   Inc ')", `"Acme Inc"`}, params: []Type{Text}, least: 1,
			make: plainText(func(s string) string { return strings.Join(strings.Fields(s), " ") })},
		{Function: Function{"truncate", g, "truncate(x, 80), truncate(x, 80, '…')", "at most so many characters, the last of them the third argument's where something was cut off", "truncate('Ada Lovelace', 5, '…')", `"Ada …"`}, params: []Type{Text, Int, Text}, least: 2, make: truncate},
		{Function: Function{"pad", g, "pad(x, 8, '0')", "filled up from the left to so many characters", "pad(string(id), 6, '0')", `"000042"`}, params: []Type{Text, Int, Text}, least: 3, make: pad},
		{Function: Function{"length", g, "length(x)", "how many characters a text has, or items a list", "length(name)", `12`}, params: []Type{anyValue}, least: 1, make: length},
		{Function: Function{"replace", g, "replace(x, 'pattern', 'with')", "each match of a regular expression (RE2) replaced; $1 is its first group", `replace(email, '@.*', '')`, `"Ada.L"`}, params: []Type{Text, Text, Text}, least: 3, make: replace},
		{Function: Function{"extract", g, "extract(x, 'pattern')", "the first group of the first match, or the match; null if there is none", `extract(email, '@(.*)$')`, `"Example.COM"`}, params: []Type{Text, Text}, least: 2, mayBeNull: true, make: extract},
		{Function: Function{"split", g, "split(x, ',')", "the list of the parts between a separator, trimmed, without empty ones", "split('a, b,,c', ',')", `["a","b","c"]`}, params: []Type{Text, Text}, least: 2, make: split},
		{Function: Function{"hash", g, "hash(x), hash(x, 'md5')", "a checksum of the text's UTF-8 bytes in small hexadecimal digits: sha256, or sha512, sha1, md5", "hash('ada', 'md5')", `"8c8d357b5e872bbacd45197626bd5759"`}, params: []Type{Text, Text}, least: 1, make: checksum},
	}
}

func plainText(f func(string) string) func(*compiler, *call) (typed, error) {
	return func(_ *compiler, k *call) (typed, error) {
		out := k.one(Text, func(v value) (value, failed) { return textOf(f(v.text)), "" })
		out.maxLen = k.args[0].maxLen
		return out, nil
	}
}

func titled(s string) string { return cases.Title(language.Und).String(s) }

// maxLength bounds the lengths that can be asked for.
const maxLength = 100_000

func truncate(c *compiler, k *call) (typed, error) {
	n, err := k.whole(c, 1, 0, maxLength)
	if err != nil {
		return typed{}, err
	}
	end, err := k.text(c, 2, "")
	if err != nil {
		return typed{}, err
	}
	keep := n - utf8.RuneCountInString(end)
	if keep < 0 {
		return typed{}, c.fail(k.args[2].at, k.f.Name, "make it shorter", "the ending is longer than the whole, in")
	}
	out := k.one(Text, func(v value) (value, failed) {
		if len(v.text) <= n || utf8.RuneCountInString(v.text) <= n {
			return v, ""
		}
		at := 0
		for range keep {
			_, size := utf8.DecodeRuneInString(v.text[at:])
			at += size
		}
		return textOf(v.text[:at] + end), ""
	})
	out.maxLen = n
	return out, nil
}

func pad(c *compiler, k *call) (typed, error) {
	n, err := k.whole(c, 1, 0, maxLength)
	if err != nil {
		return typed{}, err
	}
	with, err := k.text(c, 2, "")
	if err == nil && utf8.RuneCountInString(with) != 1 {
		err = c.fail(k.args[2].at, with, "write "+k.f.Usage, "it must be one character:")
	}
	out := k.one(Text, func(v value) (value, failed) {
		return textOf(strings.Repeat(with, max(0, n-utf8.RuneCountInString(v.text))) + v.text), ""
	})
	if most := k.args[0].maxLen; most > 0 {
		out.maxLen = max(n, most)
	}
	return out, err
}

func length(c *compiler, k *call) (typed, error) {
	switch x := k.args[0]; {
	case x.typ == Text:
		return k.one(Int, func(v value) (value, failed) { return intOf(int64(utf8.RuneCountInString(v.text))), "" }), nil
	case x.typ.IsList(), x.typ == Nil:
		return k.one(Int, func(v value) (value, failed) { return intOf(int64(len(v.list))), "" }), nil
	case x.typ == JSON:
		return typed{}, c.jsonError(x)
	default:
		return typed{}, c.fail(x.at, k.f.Name, "string(x) makes text of it", "the function needs text or a list, not %s:", x.typ)
	}
}

// pattern gives the regular expression of an argument.
func (k *call) pattern(c *compiler, i int) (*regexp.Regexp, error) {
	text, err := k.text(c, i, "")
	if err != nil {
		return nil, err
	}
	return c.pattern(text, k.args[i].at)
}

// maxPattern bounds the instructions of a regular expression: its time grows with them
// times the length of the text.
const maxPattern = 1000

func (c *compiler) pattern(text string, at int) (*regexp.Regexp, error) {
	re, err := regexp.Compile(text)
	if err == nil && patternSize(re) > maxPattern {
		return nil, c.fail(at, text, "make it simpler; a count such as {100} repeats what is before it", "the regular expression is too large:")
	}
	if err != nil {
		what := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return nil, c.fail(at, text, "patterns are RE2's: github.com/google/re2/wiki/Syntax; a backslash is doubled within quotes", "not a regular expression (%s):", what)
	}
	return re, nil
}

func replace(c *compiler, k *call) (typed, error) {
	re, err := k.pattern(c, 1)
	if err != nil {
		return typed{}, err
	}
	with, err := k.text(c, 2, "")
	if err == nil {
		with, err = c.template(with, re, k.args[2].at)
	}
	if err != nil {
		return typed{}, err
	}
	return k.search(re, Text, func(text string) (value, failed) {
		// Each place between two characters may match: what comes out is bounded before
		// it is made.
		if n := len(text); (n+1)*len(with)+n*strings.Count(with, "$") > maxWork {
			return value{}, "the text is too long for it"
		}
		return textOf(re.ReplaceAllString(text, with)), ""
	}), nil
}

// groupMark is how a template names a group: $1, ${1}, ${name}; $$ is a dollar.
var groupMark = regexp.MustCompile(`\$(?:\$|(\d+)|\{(\w+)\}|)`)

// template makes $1 stand for the first group whatever follows it, where regexp takes as
// much for a name as it can. A group that is not there is a mistake.
func (c *compiler) template(with string, re *regexp.Regexp, at int) (string, error) {
	var bad string
	out := groupMark.ReplaceAllStringFunc(with, func(mark string) string {
		m := groupMark.FindStringSubmatch(mark)
		name := m[1] + m[2]
		n, err := strconv.Atoi(name)
		switch {
		case mark == "$$":
			return mark
		case err == nil && n <= re.NumSubexp(), err != nil && name != "" && re.SubexpIndex(name) >= 0:
			return "${" + name + "}"
		}
		bad = mark
		return mark
	})
	if bad != "" {
		return "", c.fail(at, bad, "write $1 for what the first brackets of the pattern match, $0 for all of it, $$ for a dollar", "the pattern has no such group:")
	}
	return out, nil
}

func extract(c *compiler, k *call) (typed, error) {
	re, err := k.pattern(c, 1)
	if err != nil {
		return typed{}, err
	}
	return k.search(re, Text, func(text string) (value, failed) {
		m := re.FindStringSubmatchIndex(text)
		switch {
		case m == nil:
			return value{}, ""
		case len(m) > 2 && m[2] < 0: // the group took no part in the match
			return value{}, ""
		case len(m) > 2:
			return textOf(text[m[2]:m[3]]), ""
		}
		return textOf(text[m[0]:m[1]]), ""
	}), nil
}

// patternSize gives how many instructions a regular expression has.
func patternSize(re *regexp.Regexp) int {
	parsed, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil { // it was read before
		return maxPattern + 1
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return maxPattern + 1
	}
	return len(prog.Inst)
}

// matched tells whether a regular expression may be run over a text: that costs a quarter
// of a byte for each instruction and byte.
func (r *Row) matched(size int, text string) bool {
	return len(text) <= maxText && r.spend(len(text)*size/4)
}

// search makes a call that runs a regular expression over its first argument.
func (k *call) search(re *regexp.Regexp, result Type, f func(string) (value, failed)) typed {
	x, size := k.args[0], patternSize(re)
	return typed{typ: result, at: k.at, notNull: x.notNull && !k.f.mayBeNull, eval: func(row *Row) (value, error) {
		v, err := x.eval(row)
		if err != nil || !v.set {
			return value{}, err
		}
		if !row.matched(size, v.text) {
			return value{}, k.err("the text is too long for it")
		}
		out, why := f(v.text)
		if why != "" {
			return value{}, k.err(why)
		}
		return k.spent(row, out)
	}}
}

func tooLong(s string) failed {
	if len(s) > maxText {
		return "the text is too long for it"
	}
	return ""
}

func split(c *compiler, k *call) (typed, error) {
	by, err := k.text(c, 1, "")
	if err == nil && by == "" {
		err = c.fail(k.args[1].at, k.f.Name, "write "+k.f.Usage, "the separator must not be empty, in")
	}
	return k.one(ListOf(Text), func(v value) (value, failed) {
		if why := tooLong(v.text); why != "" {
			return value{}, why
		}
		items := []value{}
		for part := range strings.SplitSeq(v.text, by) {
			if part = strings.TrimSpace(part); part != "" {
				items = append(items, textOf(part))
			}
		}
		return listOf(items), ""
	}), err
}

// checksums are what hash can make. The weak ones are what advertising platforms and
// older systems ask for.
var checksums = map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New, "sha1": sha1.New, "md5": md5.New}

func checksum(c *compiler, k *call) (typed, error) {
	name, err := k.choice(c, 1, "sha256", []string{"sha256", "sha512", "sha1", "md5"})
	if err != nil {
		return typed{}, err
	}
	make := checksums[name]
	out := k.one(Text, func(v value) (value, failed) {
		h := make()
		h.Write([]byte(v.text))
		return textOf(hex.EncodeToString(h.Sum(nil))), ""
	})
	out.maxLen = 2 * make().Size()
	return out, nil
}
