package transport

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// ClientCredentials is the form of a client that acts for itself (RFC 6749, 4.4).
func ClientCredentials(id string, secret Secret, scope string) func(time.Time) (url.Values, error) {
	return func(time.Time) (url.Values, error) {
		v := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret.Reveal()}}
		if scope != "" {
			v.Set("scope", scope)
		}
		return v, nil
	}
}

// RefreshToken is the form of a client that was given a refresh token (RFC 6749, 6).
func RefreshToken(id string, secret, refresh Secret) func(time.Time) (url.Values, error) {
	return func(time.Time) (url.Values, error) {
		v := url.Values{"grant_type": {"refresh_token"}, "client_id": {id}, "refresh_token": {refresh.Reveal()}}
		if secret != "" {
			v.Set("client_secret", secret.Reveal())
		}
		return v, nil
	}
}

// Assertion is who a JWT bearer grant is for (RFC 7523).
type Assertion struct {
	// Issuer is the client id, Subject the user, Audience the host that gives the token.
	Issuer, Subject, Audience string
	Key                       *rsa.PrivateKey
}

// assertionLife is how long an assertion holds: Salesforce takes three minutes
// (help.salesforce.com, remoteaccess_oauth_jwt_flow).
const assertionLife = 3 * time.Minute

// JWTBearer is the form of a client that signs who it is with a key (RFC 7523), by RS256.
func JWTBearer(a Assertion) func(time.Time) (url.Values, error) {
	return func(now time.Time) (url.Values, error) {
		jwt, err := a.sign(now)
		if err != nil {
			return nil, &sinks.Misconfigured{Err: fmt.Errorf("sign the assertion: %w", err), Hint: "check the target's private key"}
		}
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {jwt}}, nil
	}
}

func (a *Assertion) sign(now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{"iss": a.Issuer, "sub": a.Subject, "aud": a.Audience, "exp": now.Add(assertionLife).Unix()})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, a.Key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + b64.EncodeToString(sig), nil
}

// ParseKey reads an RSA private key in PEM form, PKCS #1 or #8. The error does not quote it.
func ParseKey(text Secret) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, errors.New("it is not in PEM form")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is no private key of PKCS #1 or #8 without a password")
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is no RSA key")
	}
	return key, nil
}
