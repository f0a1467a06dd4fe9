// Package nearest finds the name that a person probably meant, for the
// "did you mean" of error texts. It is pure and imports only the standard
// library; the loaders of mapping files and of the configuration and the
// expression compiler use it.
package nearest

import "strings"

// maxLen bounds the work done for one name.
const maxLen = 100

// Name gives the candidate closest to name by edit distance without regard to
// case, or "" when none is close enough to be a likely slip.
func Name(name string, candidates []string) string {
	if len(name) > maxLen {
		return ""
	}
	best, bestDistance := "", limit(name)+1
	for _, c := range candidates {
		if len(c) > maxLen || c == name {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// Hint gives "did you mean X?", or else the fallback.
func Hint(name string, candidates []string, fallback string) string {
	if n := Name(name, candidates); n != "" {
		return "did you mean " + n + "?"
	}
	return fallback
}

// List joins names for a text, at most twenty of them.
func List(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// limit is the greatest distance that still counts as a slip of the pen.
func limit(name string) int {
	switch n := len(name); {
	case n <= 2:
		return 1
	case n <= 5:
		return 2
	}
	return 3
}

// distance is Levenshtein's, with a swap of neighbours counted as one.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before := make([]int, len(t)+1)
	last := make([]int, len(t)+1)
	row := make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
