package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// Secret is a text that does not show itself: not when printed with any verb,
// logged, or encoded. Only Reveal gives it.
type Secret string

const hidden = "[hidden]"

// Reveal gives the text.
func (s Secret) Reveal() string { return string(s) }

// String hides the text; an empty secret is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the text.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// Format hides the text under every verb: %d and %x would not ask String.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	// An error of Write is the printer's to notice; Format has no way to tell it.
	_, _ = f.Write([]byte(text))
}

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the text from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Redacted gives what may be shown of an address: scheme, user, host and
// database, without password and parameters. Of the web address of a target the
// path is left out too, as it may be a key. What is not understood is hidden.
func (s Secret) Redacted() string {
	if !strings.Contains(string(s), "://") {
		return s.redactedWords()
	}
	u, err := url.Parse(string(s))
	if err != nil || u.Host == "" {
		return s.String()
	}
	out := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	web := u.Scheme == "http" || u.Scheme == "https"
	if web && len(u.Path) > 1 {
		out.Path = "/…"
	}
	text := out.Scheme + "://"
	if u.User != nil {
		if name := u.User.Username(); name != "" && !web {
			text += url.User(name).String() + ":xxxxx@"
		} else {
			text += "xxxxx@"
		}
	}
	return text + out.Host + out.Path
}

// redactedWords is for PostgreSQL's other form, host=… user=… password=….
func (s Secret) redactedWords() string {
	if strings.ContainsAny(string(s), `'\`) { // quoting could hide a word in another
		return s.String()
	}
	var shown []string
	for _, word := range strings.Fields(string(s)) {
		key, _, ok := strings.Cut(word, "=")
		switch {
		case !ok:
			return s.String()
		case key == "host" || key == "port" || key == "user" || key == "dbname":
			shown = append(shown, word)
		}
	}
	if len(shown) == 0 {
		return s.String()
	}
	return strings.Join(shown, " ")
}
