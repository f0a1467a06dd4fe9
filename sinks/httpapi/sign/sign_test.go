package sign

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The published vectors: that of the libraries of standard-webhooks for v1, and that of the
// Svix server for v1a (the example of the specification has the same signature).
const (
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody      = `{"test": 2432232314}`
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	vectorPrivate   = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	vectorEd25519   = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

var vectorTime = time.Unix(1614265330, 0)

func vector() Message { return Message{ID: vectorID, Time: vectorTime, Body: []byte(vectorBody)} }

func TestPublishedVectors(t *testing.T) {
	for name, c := range map[string]struct {
		keys []string
		want string
	}{
		"v1":             {[]string{vectorSecret}, vectorSignature},
		"v1a":            {[]string{vectorPrivate}, vectorEd25519},
		"v1a, seed only": {[]string{"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="}, vectorEd25519},
		"rotation":       {[]string{vectorPrivate, vectorSecret}, vectorEd25519 + " " + vectorSignature},
	} {
		w, err := NewWebhooks(c.keys)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h := http.Header{}
		w.Sign(h, vector())
		if h.Get("webhook-id") != vectorID || h.Get("webhook-timestamp") != "1614265330" || h.Get("webhook-signature") != c.want {
			t.Errorf("%s: %v", name, h)
		}
	}
}

func TestBadWebhookKeys(t *testing.T) {
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	mixed := append(append([]byte{}, other.Seed()...), make([]byte, 32)...)
	for _, bad := range [][]string{nil, {""}, {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, {"whsec_"}, {"whsec_%%"}, {"whsec_AAAA"}, {"whsk_AAAA"}, {"whsk_%"},
		{"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))}, {vectorSecret, "whsec_AAAA"}, {"whsk_" + base64.StdEncoding.EncodeToString(mixed)}} {
		_, err := NewWebhooks(bad)
		if err == nil {
			t.Errorf("keys %q are taken", bad)
			continue
		}
		for _, k := range bad {
			if len(k) > 8 && strings.Contains(err.Error(), k[6:]) {
				t.Errorf("a key is in %q", err)
			}
		}
	}
}

// What openssl dgst -sha256 -hmac key says of 1700000000.{"a":"{timestamp}"}, and the like.
const (
	spiffHex     = "644350a311bc235e658040ad2c2149d8f3d69b0aabf43426af67168f13cbb3f5"
	oldHex       = "fe92ec01918dfb368d5453d1a45c0b54942c9a2169eafda9f6a5cc9b0ffe3732"
	sha512Base64 = "0+qFoHscDBm/GuiKiHCp+oATxY0jp/iXyejyerjJD5unmgzp0/gdZA6wFDG//7m5010VHc2iRObkoP9e1EP29Q=="
)

func TestHMAC(t *testing.T) {
	m := Message{ID: "msg_1", Time: time.Unix(1700000000, 0), Body: []byte(`{"a":"{timestamp}"}`)}
	headers := []Header{{"Signature", "t={timestamp},{signatures}"}}
	for name, c := range map[string]struct {
		h    HMAC
		keys []string
		want string
	}{
		"like Spiff": {HMAC{Signature: "v1={hex}", Headers: headers}, []string{"key"}, "t=1700000000,v1=" + spiffHex},
		"two keys":   {HMAC{Signature: "v1={hex}", Headers: headers}, []string{"key", "old"}, "t=1700000000,v1=" + spiffHex + ",v1=" + oldHex},
		"hex key":    {HMAC{Signature: "v1={hex}", KeyEncoding: "hex", Headers: headers}, []string{"6b6579"}, "t=1700000000,v1=" + spiffHex},
		"base64 key": {HMAC{Signature: "v1={hex}", KeyEncoding: "base64", Headers: headers}, []string{"a2V5"}, "t=1700000000,v1=" + spiffHex},
		"body, sha512": {HMAC{Algorithm: "sha512", Signs: "{body}", Signature: "{base64}", Headers: []Header{{"Signature", "sha512={signatures}"}}}, []string{"key"},
			"sha512=" + sha512Base64},
	} {
		s, err := c.h.New(c.keys)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h := http.Header{}
		s.Sign(h, m)
		if got := h.Get("Signature"); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestBadHMAC(t *testing.T) {
	good := []Header{{"S", "{signatures}"}}
	for field, h := range map[string]HMAC{
		"algorithm":    {Algorithm: "md5", Headers: good},
		"key_encoding": {KeyEncoding: "base32", Headers: good},
		"signs":        {Signs: "{timestamp}", Headers: good},
		"signature":    {Signature: "v1", Headers: good},
		"headers":      {},
		"headers.S":    {Headers: []Header{{"S", "{signature}"}}},
		"headers.A B":  {Headers: []Header{{"A B", "{signatures}"}}},
	} {
		if err := h.Check(); err == nil || err.Field != field {
			t.Errorf("%s: %v", field, err)
		}
		if _, err := h.New([]string{"k"}); err == nil {
			t.Errorf("%s: it is made", field)
		}
	}
	h := HMAC{Headers: good, KeyEncoding: "hex"}
	for _, keys := range [][]string{nil, {""}, {"zz"}} {
		if _, err := h.New(keys); err == nil || strings.Contains(err.Error(), "zz") {
			t.Errorf("keys %q: %v", keys, err)
		}
	}
}
