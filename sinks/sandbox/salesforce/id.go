package salesforce

import "strings"

// idLetters are the digits of an id, in order: ids made later are greater texts.
const idLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// makeID gives the n-th id of a prefix, in its form of 18 characters.
func makeID(prefix string, n int64) string {
	b := []byte(prefix + "5g0000000000")
	for i := len(b) - 1; i >= len(prefix)+2 && n > 0; i-- {
		b[i] = idLetters[n%int64(len(idLetters))]
		n /= int64(len(idLetters))
	}
	return long(string(b))
}

// long gives the id of 18 characters of one of 15: the last three tell which letters are
// capitals, so that it means the same where the case of letters is lost.
func long(id string) string {
	const checks = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	out := []byte(id)
	for part := range 3 {
		bits := 0
		for i := range 5 {
			if c := id[part*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		out = append(out, checks[bits])
	}
	return string(out)
}

// readID gives an id in its long form; false if the text is none.
func readID(text string) (string, bool) {
	if len(text) != 15 && len(text) != 18 {
		return "", false
	}
	for _, c := range []byte(text) {
		if !strings.ContainsRune(idLetters, rune(c)) {
			return "", false
		}
	}
	id := long(text[:15])
	return id, len(text) == 15 || id == text
}
