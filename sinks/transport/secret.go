package transport

import (
	"encoding/json"
	"log/slog"
)

// Secret is a text that is shown nowhere: not by fmt, not by slog, not as JSON.
type Secret string

const hidden = "(hidden)"

// String hides the text.
func (Secret) String() string { return hidden }

// GoString hides the text.
func (Secret) GoString() string { return hidden }

// LogValue hides the text.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON hides the text.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// MarshalText hides the text.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reveal gives the text itself, for use.
func (s Secret) Reveal() string { return string(s) }
