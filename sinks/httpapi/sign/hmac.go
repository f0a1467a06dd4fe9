package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// HMAC describes signatures. Its texts have placeholders:
//
//	{timestamp}   the time of the try, in seconds since 1970
//	{id}          Message.ID
//	{body}        the body as it is sent; in Signs only
//	{hex} {base64} {base64url}   the signature of one key; in Signature only
//	{signatures}  all signatures, with the Separator between them; in Headers only
type HMAC struct {
	// Algorithm is sha256, if empty, or sha512.
	Algorithm string
	// Signs is what the signature is of; {timestamp}.{body} if empty.
	Signs string
	// Signature is what one looks like; {hex} if empty. With several keys there are several,
	// joined with the Separator, which is a comma if empty.
	Signature, Separator string
	// KeyEncoding is how keys are written down: text, if empty, hex or base64.
	KeyEncoding string
	// Headers are those that are set; there has to be one with {signatures}.
	Headers []Header
}

// Header is a header with the template of its value.
type Header struct{ Name, Value string }

// FieldError is a mistake in an HMAC.
type FieldError struct{ Field, Msg, Value, Hint string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Msg + "; " + e.Hint }

func (h *HMAC) defaults() HMAC {
	d := *h
	for _, f := range []struct {
		dst  *string
		text string
	}{{&d.Algorithm, "sha256"}, {&d.Signs, "{timestamp}.{body}"}, {&d.Signature, "{hex}"}, {&d.Separator, ","}, {&d.KeyEncoding, "text"}} {
		if *f.dst == "" {
			*f.dst = f.text
		}
	}
	return d
}

// Check says what makes it no description; nil if nothing does.
func (h *HMAC) Check() *FieldError {
	d := h.defaults()
	switch {
	case d.Algorithm != "sha256" && d.Algorithm != "sha512":
		return &FieldError{"algorithm", "unknown value", d.Algorithm, "write sha256 or sha512"}
	case !slices.Contains([]string{"text", "hex", "base64"}, d.KeyEncoding):
		return &FieldError{"key_encoding", "unknown value", d.KeyEncoding, "write text, hex or base64"}
	case !strings.Contains(d.Signs, "{body}"):
		return &FieldError{"signs", "it has no {body}", d.Signs, "a signature that is not over the body proves nothing: write {timestamp}.{body}"}
	}
	for _, f := range []struct {
		field, text string
		known       []string
	}{{"signs", d.Signs, []string{"timestamp", "id", "body"}}, {"signature", d.Signature, []string{"hex", "base64", "base64url"}}} {
		if bad := unknown(f.text, f.known); bad != "" {
			return &FieldError{f.field, "nothing is known as", bad, "known are " + strings.Join(f.known, ", ")}
		}
	}
	if !strings.Contains(d.Signature, "{hex}") && !strings.Contains(d.Signature, "{base64") {
		return &FieldError{"signature", "it has no signature", d.Signature, "write {hex} or {base64} into it"}
	}
	found := false
	for _, x := range d.Headers {
		if x.Name == "" || strings.ContainsAny(x.Name, " :\r\n") {
			return &FieldError{"headers." + x.Name, "not the name of a header", x.Name, "write one such as Signature"}
		}
		if bad := unknown(x.Value, []string{"timestamp", "id", "signatures"}); bad != "" {
			return &FieldError{"headers." + x.Name, "nothing is known as", bad, "known are timestamp, id, signatures"}
		}
		found = found || strings.Contains(x.Value, "{signatures}")
	}
	if !found {
		return &FieldError{"headers", "no header has the signature", "", `write headers: {Signature: "t={timestamp},{signatures}"}`}
	}
	return nil
}

// unknown gives the first placeholder that is not known.
func unknown(text string, known []string) string {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "{")
		name, tail, closed := strings.Cut(after, "}")
		switch {
		case !found:
			return ""
		case !closed || !slices.Contains(known, name):
			return "{" + name
		}
		rest = tail
	}
}

// New makes a Signer with some keys, the newest first. The error does not quote them.
func (h *HMAC) New(keys []string) (Signer, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key")
	}
	s := &signer{HMAC: h.defaults(), algorithm: sha256.New}
	if s.Algorithm == "sha512" {
		s.algorithm = sha512.New
	}
	for _, k := range keys {
		b, err := s.decode(k)
		if err != nil || len(b) == 0 {
			return nil, fmt.Errorf("a key is empty, or not %s", s.KeyEncoding)
		}
		s.keys = append(s.keys, b)
	}
	return s, nil
}

func (h *HMAC) decode(key string) ([]byte, error) {
	switch h.KeyEncoding {
	case "hex":
		return hex.DecodeString(key)
	case "base64":
		return base64.StdEncoding.DecodeString(key)
	}
	return []byte(key), nil
}

type signer struct {
	HMAC
	algorithm func() hash.Hash
	keys      [][]byte
}

// Sign sets the headers.
func (s *signer) Sign(h http.Header, m Message) {
	at := strconv.FormatInt(m.Time.Unix(), 10)
	// One pass, so that a body with {timestamp} in it stays what it is.
	content := []byte(strings.NewReplacer("{timestamp}", at, "{id}", m.ID, "{body}", string(m.Body)).Replace(s.Signs))
	all := make([]string, len(s.keys))
	for i, k := range s.keys {
		mac := hmac.New(s.algorithm, k)
		mac.Write(content)
		sum := mac.Sum(nil)
		all[i] = strings.NewReplacer("{hex}", hex.EncodeToString(sum), "{base64}", base64.StdEncoding.EncodeToString(sum),
			"{base64url}", base64.RawURLEncoding.EncodeToString(sum)).Replace(s.Signature)
	}
	for _, x := range s.Headers {
		h.Set(x.Name, strings.NewReplacer("{timestamp}", at, "{id}", m.ID, "{signatures}", strings.Join(all, s.Separator)).Replace(x.Value))
	}
}
