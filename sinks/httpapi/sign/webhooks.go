package sign

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Message is what is signed.
type Message struct {
	// ID is the same for each try of the same request.
	ID   string
	Time time.Time // of this try
	Body []byte
}

// Signer puts signatures into the headers of a request.
type Signer interface {
	Sign(h http.Header, m Message)
}

// Webhooks signs as Standard Webhooks says.
type Webhooks struct{ keys []webhookKey }

var _ Signer = (*Webhooks)(nil)

type webhookKey struct {
	secret  []byte             // of v1
	private ed25519.PrivateKey // of v1a, nil for v1
}

// The bounds of a secret in bytes, as the specification has them.
const leastSecret, mostSecret = 24, 64

// NewWebhooks takes secrets as they are written down: whsec_ and base64 of 24 to 64 bytes, for
// v1 (HMAC-SHA256), or whsk_ and base64 of an ed25519 private key, for v1a. The first is the
// newest. The error does not quote them.
func NewWebhooks(secrets []string) (*Webhooks, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no key")
	}
	w := &Webhooks{}
	for _, s := range secrets {
		k, err := parseWebhookKey(s)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, k)
	}
	return w, nil
}

func parseWebhookKey(s string) (k webhookKey, err error) {
	if text, ok := strings.CutPrefix(s, "whsk_"); ok {
		b, err := base64.StdEncoding.DecodeString(text)
		switch {
		case err != nil:
			return k, errors.New("what follows whsk_ is not base64")
		case len(b) == ed25519.SeedSize: // some write the seed only
			k.private = ed25519.NewKeyFromSeed(b)
		case len(b) == ed25519.PrivateKeySize && ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]).Equal(ed25519.PrivateKey(b)):
			k.private = b
		default:
			return k, errors.New("what follows whsk_ is no private key of ed25519")
		}
		return k, nil
	}
	text, ok := strings.CutPrefix(s, "whsec_")
	if !ok {
		return k, errors.New("a key begins with whsec_ or whsk_")
	}
	if k.secret, err = base64.StdEncoding.DecodeString(text); err != nil {
		return k, errors.New("what follows whsec_ is not base64")
	}
	if len(k.secret) < leastSecret || len(k.secret) > mostSecret {
		return k, errors.New("a secret has 24 to 64 bytes")
	}
	return k, nil
}

// Sign sets webhook-id, webhook-timestamp and webhook-signature, which has a signature of each
// key.
func (w *Webhooks) Sign(h http.Header, m Message) {
	at := strconv.FormatInt(m.Time.Unix(), 10)
	content := append([]byte(m.ID+"."+at+"."), m.Body...)
	all := make([]string, len(w.keys))
	for i, k := range w.keys {
		if k.private != nil {
			all[i] = "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, content))
			continue
		}
		mac := hmac.New(sha256.New, k.secret)
		mac.Write(content)
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h.Set("Webhook-Id", m.ID)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", strings.Join(all, " "))
}
