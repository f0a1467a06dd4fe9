package transport

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// kept is the newest refresh token of a login, with the access token that came along.
type kept struct {
	// number counts what was kept of the login, from 1; zero is nothing: the configured refresh
	// token is the newest.
	number  int64
	refresh Secret
	token   Token
	at      time.Time // when it was got
}

// sealedKept is kept as it is sealed. Its fields are no Secrets, which would hide themselves.
type sealedKept struct {
	Number   int64     `json:"n"`
	Refresh  string    `json:"refresh"`
	Access   string    `json:"access"`
	Instance string    `json:"instance,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	At       time.Time `json:"at"`
}

// seal closes what is kept of a login, so that only who has the configured refresh token can
// read it (I14), by AES-256-GCM. Key and name are derived from that token by HKDF (RFC 5869):
// with a newly configured one there is nothing kept, and what was is of no use to anybody. No
// salt is needed, as a refresh token cannot be guessed (RFC 6749, 10.10).
type seal struct {
	name string // of the login; it tells nothing of the token
	aead cipher.AEAD
}

// sealVersion begins a sealed text: what follows is base64 of the nonce and what was sealed.
const sealVersion = "1:"

func newSeal(refresh Secret) (*seal, error) {
	derive := func(info string, n int) ([]byte, error) {
		return hkdf.Key(sha256.New, []byte(refresh.Reveal()), nil, "walbridge refresh token: "+info, n)
	}
	name, err := derive("name", 16)
	if err != nil {
		return nil, fmt.Errorf("derive the name of the login: %w", err)
	}
	key, err := derive("key", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of the login: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the seal of the login: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the seal of the login: %w", err)
	}
	return &seal{name: hex.EncodeToString(name), aead: aead}, nil
}

func (s *seal) close(k kept) (string, error) {
	text, err := json.Marshal(sealedKept{Number: k.number, Refresh: k.refresh.Reveal(), Access: k.token.Value.Reveal(),
		Instance: k.token.Instance, Expires: k.token.Expires, At: k.at})
	if err != nil {
		return "", fmt.Errorf("encode the refresh token: %w", err)
	}
	return sealVersion + base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, text, []byte(s.name))), nil
}

// open gives what was sealed. The error quotes nothing of it.
func (s *seal) open(text string) (kept, error) {
	rest, ok := strings.CutPrefix(text, sealVersion)
	if !ok {
		return kept{}, errors.New("it is of another version of walbridge")
	}
	data, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return kept{}, errors.New("it is cut short or changed")
	}
	var in sealedKept
	plain, err := s.aead.Open(nil, nil, data, []byte(s.name))
	if err != nil || json.Unmarshal(plain, &in) != nil || in.Number <= 0 || in.Refresh == "" {
		return kept{}, errors.New("it is cut short or changed")
	}
	return kept{number: in.Number, refresh: Secret(in.Refresh), at: in.At,
		token: Token{Value: Secret(in.Access), Instance: in.Instance, Expires: in.Expires}}, nil
}
