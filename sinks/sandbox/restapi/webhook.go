package restapi

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Hook is an address for webhooks.
type Hook struct {
	// Keys are those that signatures are held against, any of them: whsec_ and 24 to 64
	// bytes in base64, or whpk_ and an Ed25519 public key. With none, signatures are not
	// looked at.
	Keys []string
}

// Event is a webhook that arrived.
type Event struct {
	ID      string // webhook-id, the same in each try
	Body    []byte
	Arrived time.Time
	Times   int // how often it arrived
}

// maxEvents is how many events a hook keeps; the oldest go first.
const maxEvents = 10_000

// hook keeps what arrived at an address. It is pure.
type hook struct {
	keys   []webhookKey
	events []*Event
	byID   map[string]*Event
	gone   bool
}

// webhookKey is one of a hook's keys.
type webhookKey struct {
	secret []byte
	public ed25519.PublicKey
}

// newHook reads the keys of a hook.
func newHook(h Hook) (*hook, error) {
	out := &hook{byID: make(map[string]*Event)}
	for i, text := range h.Keys {
		secret, symmetric := strings.CutPrefix(text, "whsec_")
		public, asymmetric := strings.CutPrefix(text, "whpk_")
		encoded := secret
		if asymmetric {
			encoded = public
		}
		b, err := base64.StdEncoding.DecodeString(encoded)
		switch {
		case err != nil:
			return nil, fmt.Errorf("read key %d: it is no base64", i+1) // which would be quoted by the error
		case symmetric && (len(b) < 24 || len(b) > 64):
			return nil, fmt.Errorf("read key %d: %d bytes, want 24 to 64", i+1, len(b))
		case symmetric:
			out.keys = append(out.keys, webhookKey{secret: b})
		case asymmetric && len(b) == ed25519.PublicKeySize:
			out.keys = append(out.keys, webhookKey{public: b})
		default:
			return nil, fmt.Errorf("read key %d: want whsec_ with a secret or whpk_ with an Ed25519 public key", i+1)
		}
	}
	return out, nil
}

// wrong says why a webhook is none of Standard Webhooks with one of the keys: its code and
// the words; both are empty if it is one.
func (h *hook) wrong(header http.Header, body []byte, now time.Time) (code, why string) {
	if len(h.keys) == 0 {
		return "", ""
	}
	id, at, signatures := header.Get("webhook-id"), header.Get("webhook-timestamp"), header.Get("webhook-signature")
	if id == "" || strings.Contains(id, ".") {
		return "bad_id", "webhook-id is missing or has a full stop"
	}
	if why := wrongTime(at, now); why != "" {
		return "bad_timestamp", why
	}
	signed := []byte(id + "." + at + "." + string(body))
	for s := range strings.FieldsSeq(signatures) {
		version, text, _ := strings.Cut(s, ",")
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue
		}
		for _, k := range h.keys {
			if k.signed(version, b, signed) {
				return "", ""
			}
		}
	}
	return "bad_signature", "none of the signatures is of one of the keys"
}

func (k webhookKey) signed(version string, signature, signed []byte) bool {
	switch {
	case version == "v1" && k.secret != nil:
		mac := hmac.New(sha256.New, k.secret)
		mac.Write(signed)
		return hmac.Equal(signature, mac.Sum(nil))
	case version == "v1a" && k.public != nil:
		return ed25519.Verify(k.public, signed, signature)
	}
	return false
}

// take keeps an event, one that arrived before only once, and tells whether it did. One
// without an id is told from no other.
func (h *hook) take(id string, body []byte, now time.Time) (repeated bool) {
	if e := h.byID[id]; e != nil {
		e.Times++
		return true
	}
	e := &Event{ID: id, Body: body, Arrived: now, Times: 1}
	h.events = append(h.events, e)
	if id != "" {
		h.byID[id] = e
	}
	if len(h.events) > maxEvents {
		delete(h.byID, h.events[0].ID)
		h.events = h.events[1:]
	}
	return false
}
