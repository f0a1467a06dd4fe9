package expr

import (
	"net/mail"
	"net/url"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// personName makes a function of a text that may give null, which an empty text is too.
func personName(f func(string) string) func(*compiler, *call) (typed, error) {
	return func(_ *compiler, k *call) (typed, error) {
		out := k.one(Text, func(v value) (value, failed) {
			if why := tooLong(v.text); why != "" {
				return value{}, why
			}
			if s := f(v.text); s != "" {
				return textOf(s), ""
			}
			return value{}, ""
		})
		out.maxLen = k.args[0].maxLen
		return out, nil
	}
}

// particles belong to the last name that follows.
var particles = map[string]bool{
	"von": true, "van": true, "de": true, "der": true, "den": true, "del": true, "della": true, "di": true, "da": true, "dos": true, "du": true,
	"la": true, "le": true, "zu": true, "zur": true, "ten": true, "ter": true, "bin": true, "ibn": true, "al": true,
}

// suffixes stay behind the last name.
var suffixes = map[string]bool{"jr": true, "jr.": true, "sr": true, "sr.": true, "ii": true, "iii": true, "iv": true, "phd": true, "md": true, "esq": true, "esq.": true}

// splitName parts a name. Of one word it is the last name, which a CRM requires.
func splitName(s string) (first, last string) {
	if l, f, ok := strings.Cut(s, ","); ok && !suffixes[strings.ToLower(strings.TrimSpace(f))] {
		f, _, _ = strings.Cut(f, ",") // Lovelace, Ada, PhD
		return squeezed(f), squeezed(l)
	}
	words := strings.Fields(strings.ReplaceAll(s, ",", " "))
	if len(words) == 0 {
		return "", ""
	}
	at := len(words) - 1
	for at > 1 && suffixes[strings.ToLower(words[at])] {
		at--
	}
	for at > 1 && particles[strings.ToLower(words[at-1])] || at == 1 && particles[words[0]] { // van Beethoven, but Van Morrison
		at--
	}
	return strings.Join(words[:at], " "), strings.Join(words[at:], " ")
}

func squeezed(s string) string { return strings.Join(strings.Fields(s), " ") }

func firstName(s string) string { first, _ := splitName(s); return first }
func lastName(s string) string  { _, last := splitName(s); return last }

// emailOf gives an address in its plain form; "" if it is none.
func emailOf(s string) string {
	s = strings.TrimSpace(s)
	a, err := mail.ParseAddress(s)
	if err != nil || !strings.EqualFold(a.Address, s) || !strings.Contains(a.Address[strings.LastIndexByte(a.Address, '@'):], ".") {
		return ""
	}
	return strings.ToLower(s)
}

// domainOf gives the domain of an e-mail or web address; "" if it has none.
func domainOf(s string) string {
	s = strings.TrimSpace(s)
	host := s
	if at := strings.LastIndexByte(s, '@'); at >= 0 && !strings.Contains(s, "/") {
		host = s[at+1:]
	} else {
		if !strings.Contains(s, "://") {
			s = "https://" + s
		}
		u, err := url.Parse(s)
		if err != nil {
			return ""
		}
		host = u.Hostname()
	}
	host = strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(host), "."), "www.")
	if !strings.Contains(host, ".") || strings.ContainsAny(host, " \t:") {
		return ""
	}
	return host
}

func phone(c *compiler, k *call) (typed, error) {
	regions := phonenumbers.GetSupportedRegions()
	if code := k.args[1].textLiteral; code != nil && !regions[strings.ToUpper(strings.TrimSpace(*code))] {
		return typed{}, c.fail(k.args[1].at, *code, "write a code of ISO 3166, such as 'DE'", "not a country's code of two letters:")
	}
	x, country := k.args[0], k.args[1]
	return typed{typ: Text, at: k.at, maxLen: len("+123456789012345"), eval: func(row *Row) (value, error) {
		a, b, err := both(row, x, country) // without a country numbers with + are still understood
		if err != nil || !a.set {
			return value{}, err
		}
		n, err := phonenumbers.Parse(a.text, strings.ToUpper(strings.TrimSpace(b.text)))
		if err != nil || !phonenumbers.IsValidNumber(n) {
			return value{}, nil
		}
		return textOf(phonenumbers.Format(n, phonenumbers.E164)), nil
	}}, nil
}
