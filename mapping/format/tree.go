package format

import (
	"regexp"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// kind is what a value is, and how it is written.
type kind uint8

const (
	nothing kind = iota
	scalar       // plain or quoted
	block        // literal or folded: | or >
	mapping
	list
)

// value is a value as it is written.
type value struct {
	kind kind
	// text is a scalar, or its first line; of a block the header. more are the lines
	// below it without their indentation; a block's have what is beyond its own.
	text string
	more []string
	// entries are those of a mapping or a list; foot are the comments below them.
	entries []*entry
	foot    []string
	// flow is for {…} and […] in one line; open for those that run over several.
	flow, open bool
	comment    string // behind it in its line
}

// entry is a key with its value, or an item of a list.
type entry struct {
	// lead are the comments above it, and "" for blank lines.
	lead  []string
	key   string // as it is written; empty in a list
	colon bool   // of a key without a value in a flow map: whether it has a colon
	value *value
	// tail are comments below it that are indented deeper.
	tail []string
}

// hoist moves what is above the first entry of an item's collection above the item: both
// begin in one line.
func (v *value) hoist() {
	for _, e := range v.entries {
		e.value.hoist()
		if v.kind != list || !e.value.isBlock() || len(e.value.entries) == 0 {
			continue
		}
		if e.value.comment != "" {
			e.lead = append(e.lead, e.value.comment)
		}
		first := e.value.entries[0]
		e.lead = append(e.lead, comments(first.lead)...)
		e.value.comment, first.lead = "", nil
	}
}

// document is a file.
type document struct {
	head []string // comments of the file
	root *value   // a mapping; nil if there is nothing but comments
}

// notPlain are texts that are no text where they stand without quotes, in some YAML.
var notPlain = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}

// plainForm are texts that need no quotes wherever they stand.
var plainForm = regexp.MustCompile(`^[A-Za-z_]([A-Za-z0-9_ .()+*/<>=!-]*[A-Za-z0-9_.()])?$`)

func isPlain(text string) bool {
	return plainForm.MatchString(text) && !slices.Contains(notPlain, strings.ToLower(text))
}

// Scalar gives a text as YAML has it: without quotes where it is sure to need none.
func Scalar(text string) string {
	if isPlain(text) {
		return text
	}
	special := strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 || r == 0x2028 || r == 0x2029 || r == 0xFEFF || r == 0xFFFD
	})
	if !special {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return yamldoc.Quote(text)
}

// unquoted gives a scalar without quotes where it is sure to need none.
func unquoted(text string) string {
	if len(text) < 2 {
		return text
	}
	q := text[0]
	if inner := text[1 : len(text)-1]; (q == '"' || q == '\'') && text[len(text)-1] == q && isPlain(inner) {
		return inner
	}
	return text
}
