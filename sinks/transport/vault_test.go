package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// memory is a Vault for tests.
type memory struct {
	mu    sync.Mutex // covers all
	kept  map[string]string
	turns map[string]string
	ends  map[string]time.Time
	away  bool
	hung  func() // at each Give of a text
	looks func() // after each Load
	gives int    // of a text
}

func newMemory() *memory {
	return &memory{kept: map[string]string{}, turns: map[string]string{}, ends: map[string]time.Time{}}
}

var errAway = errors.New("connection refused")

func (m *memory) Load(_ context.Context, name string) (string, error) {
	if m.looks != nil {
		defer m.looks()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return "", errAway
	}
	return m.kept[name], nil
}

func (m *memory) Take(_ context.Context, name, who string, while time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return false, errAway
	}
	if m.turns[name] != "" && m.turns[name] != who && time.Now().Before(m.ends[name]) {
		return false, nil
	}
	m.turns[name], m.ends[name] = who, time.Now().Add(while)
	return true, nil
}

func (m *memory) Give(_ context.Context, name, who, text string) (bool, error) {
	if text != "" && m.hung != nil {
		m.hung()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if text != "" {
		m.gives++
	}
	switch {
	case m.away:
		return false, errAway
	case m.turns[name] != who || !time.Now().Before(m.ends[name]):
		return false, nil
	}
	delete(m.turns, name)
	if text != "" {
		m.kept[name] = text
	}
	return true, nil
}

// is changes what the vault is like.
func (m *memory) is(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

// grants is a server that gives tokens by refresh tokens. Where it rotates, each of these is
// good once, and one that is used again ends all.
type grants struct {
	rotates bool
	wait    time.Duration // until it answers

	mu      sync.Mutex // covers what follows
	newest  string
	given   int
	revoked bool
}

func (g *grants) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	time.Sleep(g.wait)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.revoked || r.PostForm.Get("refresh_token") != g.newest {
		g.revoked = true
		return reply(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"expired access/refresh token"}`), nil
	}
	g.given++
	out := map[string]any{"access_token": fmt.Sprintf("access-s3cret-%d", g.given), "instance_url": "https://here", "expires_in": 600}
	if g.rotates {
		g.newest = fmt.Sprintf("refresh-s3cret-%d", g.given)
	}
	if g.rotates || g.given%2 == 0 { // some tell the same one again
		out["refresh_token"] = g.newest
	}
	text, err := json.Marshal(out)
	return reply(http.StatusOK, string(text)), err
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: nopCloser{strings.NewReader(body)}}
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }

// worker is a process that logs in with a refresh token.
func worker(t *testing.T, g *grants, v Vault, refresh Secret) *Tokens {
	t.Helper()
	c := New(Options{Transport: g})
	t.Cleanup(c.Close)
	return NewTokens(c, Grant{URL: "https://login.example/token", Form: RefreshToken("app", "hush", refresh), Vault: v}, nil)
}

func want(t *testing.T, ts *Tokens, value Secret) Token {
	t.Helper()
	tok, err := ts.Get(t.Context())
	if err != nil || tok.Value != value {
		t.Errorf("token %q, %v, want %q", tok.Value.Reveal(), err, value.Reveal())
	}
	return tok
}

// What comes in place of a refresh token outlives the process, as does the access token.
func TestRefreshTokenOutlivesProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := &grants{rotates: true, newest: "r0"}, newMemory()
		tok := want(t, worker(t, g, v, "r0"), "access-s3cret-1")
		second := worker(t, g, v, "r0")
		if again := want(t, second, "access-s3cret-1"); again.Instance != tok.Instance || !again.Expires.Equal(tok.Expires) || g.given != 1 {
			t.Errorf("got %+v after %+v, with %d refreshes", again, tok, g.given)
		}
		time.Sleep(10 * time.Minute)
		third := worker(t, g, v, "r0")
		want(t, third, "access-s3cret-2")
		second.Spent(tok)
		want(t, second, "access-s3cret-2") // which another one has got
		last := want(t, third, "access-s3cret-2")
		third.Spent(last)
		want(t, third, "access-s3cret-3") // the one that is kept was refused
		if g.given != 3 || g.revoked {
			t.Errorf("%d refreshes, revoked %v", g.given, g.revoked)
		}
		for name, text := range v.kept {
			if all := fmt.Sprint(name, text, v.turns); strings.Contains(all, "s3cret") {
				t.Errorf("kept is %s", all)
			}
		}
		if len(v.kept) != 1 || len(v.turns) != 0 {
			t.Errorf("%d logins are kept, the turns are %v", len(v.kept), v.turns)
		}
	})
}

// Many processes refresh once, all of them at the same time; each asks as often as it likes.
func TestOneRefreshesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := &grants{rotates: true, newest: "r0", wait: 3 * time.Second}, newMemory()
		var all []*Tokens
		for range 5 {
			all = append(all, worker(t, g, v, "r0"))
		}
		for round := range 3 {
			var got atomic.Int64
			var wait sync.WaitGroup
			for i := range 20 {
				wait.Go(func() {
					ts := all[i%len(all)]
					want(t, ts, Secret(fmt.Sprintf("access-s3cret-%d", round+1)))
					got.Add(1)
				})
			}
			wait.Wait()
			if g.given != round+1 || g.revoked || got.Load() != 20 {
				t.Errorf("round %d: %d refreshes, revoked %v", round, g.given, g.revoked)
			}
			time.Sleep(10 * time.Minute)
		}
	})
}

// One that looked before another one refreshed, and has the turn after it, does not use what
// that one has used.
func TestRefreshedSinceTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := &grants{rotates: true, newest: "r0"}, newMemory()
		one, two := worker(t, g, v, "r0"), worker(t, g, v, "r0")
		v.looks = func() {
			v.looks = nil
			want(t, two, "access-s3cret-1")
		}
		want(t, one, "access-s3cret-1")
		if g.given != 1 || g.revoked {
			t.Errorf("%d refreshes, revoked %v", g.given, g.revoked)
		}
	})
}

// What a version of walbridge has kept, the next ones open: else each login would be lost.
// The name says nothing of the key.
func TestSealStays(t *testing.T) {
	s, err := newSeal("r0")
	if err != nil {
		t.Fatal(err)
	}
	if s.name != "06d12d7bd3ef945fa2201c8b522e7a70" {
		t.Errorf("the login's name is %s", s.name)
	}
	k, err := s.open("1:0n9nYZhZ1o2piFJfjTU6mIkqqiCO+9I6HzmuEoNLr/MN7aJ75N/8QIjfweRd2az2qTGwLWrmN/u9eaQrcNpm+4qy2Kc/ENK3l/8CukWdhgPcy6B2LJENDcaXlrdGmKf9hrloc+8vZhp5hFtgTUcAsOCUXMDf4mEddeboKGH3ohmhqvVI/MjbJ72hsjSwnp7njddXSfYKtw==")
	expires := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	if err != nil || k.number != 7 || k.refresh != "r7" || k.token != (Token{Value: "a7", Instance: "https://here", Expires: expires}) || !k.at.Equal(expires.Add(-time.Hour)) {
		t.Errorf("%+v, %v", k, err)
	}
}

// Where no other refresh token comes nothing is kept, and each process gets tokens for itself.
func TestNothingIsKeptWithoutRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := &grants{newest: "r0"}, newMemory()
		one, two := worker(t, g, v, "r0"), worker(t, g, v, "r0")
		want(t, one, "access-s3cret-1")
		want(t, two, "access-s3cret-2")
		time.Sleep(10 * time.Minute)
		want(t, one, "access-s3cret-3")
		if len(v.kept) != 0 || v.gives != 0 || len(v.turns) != 0 {
			t.Errorf("kept %v, turns %v", v.kept, v.turns)
		}
		g.rotates = true // somebody switches it on
		time.Sleep(10 * time.Minute)
		want(t, one, "access-s3cret-4")
		want(t, two, "access-s3cret-4")
		g.rotates = false // and off again
		time.Sleep(10 * time.Minute)
		want(t, two, "access-s3cret-5")
		want(t, one, "access-s3cret-5")
		if g.revoked || len(v.kept) != 1 {
			t.Errorf("revoked %v, kept %d", g.revoked, len(v.kept))
		}
	})
}

// A newly configured refresh token makes what was kept void; and another one cannot open it.
func TestNewRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := &grants{rotates: true, newest: "r0"}, newMemory()
		want(t, worker(t, g, v, "r0"), "access-s3cret-1")
		g.newest = "n0" // authorized anew
		want(t, worker(t, g, v, "n0"), "access-s3cret-2")
		if len(v.kept) != 2 || g.revoked {
			t.Errorf("%d are kept, revoked %v", len(v.kept), g.revoked)
		}
		one, err := newSeal("r0")
		if err != nil {
			t.Fatal(err)
		}
		two, err := newSeal("n0")
		if err != nil {
			t.Fatal(err)
		}
		if one.name == two.name {
			t.Error("two logins have one name")
		}
		text := v.kept[one.name]
		if k, err := one.open(text); err != nil || k.refresh != "refresh-s3cret-1" || k.number != 1 || k.token.Instance != "https://here" {
			t.Errorf("%+v, %v", k, err)
		}
		two.name = one.name
		for name, bad := range map[string]string{"another key": text, "cut": text[:len(text)-4], "changed": text[:10] + "AAAA" + text[14:], "no base64": "1:%", "another version": "2:x"} {
			s := one
			if name == "another key" {
				s = two
			}
			if k, err := s.open(bad); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: opened %+v, %v", name, k, err)
			}
		}
	})
}

// What is kept and cannot be read stops a new process, but not one that knows better: that
// one keeps it again. So it is with what Redis lost.
func TestKeptIsLost(t *testing.T) {
	for name, lose := range map[string]func(map[string]string, string){
		"gone":    func(kept map[string]string, _ string) { clear(kept) },
		"older":   func(kept map[string]string, before string) { kept[only(kept)] = before },
		"changed": func(kept map[string]string, _ string) { kept[only(kept)] = "1:x" },
	} {
		synctest.Test(t, func(t *testing.T) {
			g, v := &grants{rotates: true, newest: "r0"}, newMemory()
			one := worker(t, g, v, "r0")
			want(t, one, "access-s3cret-1")
			before := v.kept[only(v.kept)]
			time.Sleep(10 * time.Minute)
			want(t, one, "access-s3cret-2")
			lose(v.kept, before)
			if name == "changed" {
				if _, err := worker(t, g, v, "r0").Get(t.Context()); outcome(err) != "unauthorized" || !strings.Contains(err.Error(), "login.refresh_token") {
					t.Errorf("%s: %v", name, err)
				}
			}
			time.Sleep(10 * time.Minute)
			want(t, one, "access-s3cret-3")
			want(t, worker(t, g, v, "r0"), "access-s3cret-3")
			if g.revoked {
				t.Errorf("%s: revoked", name)
			}
		})
	}
}

func only(m map[string]string) string {
	for k := range maps.Keys(m) {
		return k
	}
	return ""
}

// Without Redis nobody refreshes; what is held goes on. What was got as Redis went is kept
// before it is used, as soon as that is possible.
func TestVaultAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := &grants{rotates: true, newest: "r0"}, newMemory()
		one, two := worker(t, g, v, "r0"), worker(t, g, v, "r0")
		want(t, one, "access-s3cret-1")
		v.is(true)
		want(t, one, "access-s3cret-1")
		if _, err := two.Get(t.Context()); outcome(err) != "retry unknown=false after 0s" || !errors.Is(err, errAway) || g.given != 1 {
			t.Errorf("%v, %d refreshes", err, g.given)
		}
		v.is(false)
		time.Sleep(10 * time.Minute)
		v.hung = func() { v.is(true) } // between the answer and that it is kept
		if _, err := one.Get(t.Context()); outcome(err) != "retry unknown=false after 0s" || g.given != 2 {
			t.Errorf("%v, %d refreshes", err, g.given)
		}
		if v.gives < 10 {
			t.Errorf("it was tried %d times", v.gives)
		}
		v.hung = nil
		v.is(false)
		want(t, one, "access-s3cret-2")
		want(t, two, "access-s3cret-2")
		if g.given != 2 || g.revoked {
			t.Errorf("%d refreshes, revoked %v", g.given, g.revoked)
		}
	})
}

// A process that is killed in its turn holds the others up for no longer than that. If it was
// before the answer was kept, what is known is void, and the error says what to do.
func TestKilledInItsTurn(t *testing.T) {
	for lost, wanted := range map[bool]string{false: "", true: "unauthorized"} {
		synctest.Test(t, func(t *testing.T) {
			g, v := &grants{rotates: true, newest: "r0"}, newMemory()
			want(t, worker(t, g, v, "r0"), "access-s3cret-1")
			time.Sleep(10 * time.Minute)
			if ok, err := v.Take(t.Context(), only(v.kept), "one that is killed", turn); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if lost {
				g.newest = "only in its memory"
			}
			began := time.Now()
			_, err := worker(t, g, v, "r0").Get(t.Context())
			if took := time.Since(began); took != turn {
				t.Errorf("it took %v", took)
			}
			if !lost {
				if err != nil || g.revoked {
					t.Errorf("%v, revoked %v", err, g.revoked)
				}
				return
			}
			if outcome(err) != wanted || sinks.Unknown(err) {
				t.Fatalf("%v", err)
			}
			for _, part := range []string{"invalid_grant", "login.refresh_token at 2000-01-01T00:00:00Z", "authorize the app anew"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A process that was stopped in its turn for longer than it lasts takes over what another one
// has got meanwhile.
func TestTurnIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, v := &grants{rotates: true, newest: "r0"}, newMemory()
		one, two := worker(t, g, v, "r0"), worker(t, g, v, "r0")
		v.hung = func() { // it has its answer, and is stopped
			v.hung = nil
			time.Sleep(turn + 10*time.Second)
			g.mu.Lock()
			g.newest = "r0" // the server has not heard of it, or takes a token twice for a while
			g.mu.Unlock()
			want(t, two, "access-s3cret-2")
		}
		want(t, one, "access-s3cret-2")
		time.Sleep(10 * time.Minute)
		want(t, one, "access-s3cret-3")
		if g.given != 3 || g.revoked {
			t.Errorf("%d refreshes, revoked %v", g.given, g.revoked)
		}
	})
	synctest.Test(t, func(t *testing.T) { // likewise with its request, which is refused then
		g, v := &grants{rotates: true, newest: "r0"}, newMemory()
		one, two := worker(t, g, v, "r0"), worker(t, g, v, "r0")
		other := &grants{rotates: true, newest: "none"}
		one.client.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			one.client.http.Transport = g
			v.mu.Lock()
			clear(v.turns)
			v.mu.Unlock()
			want(t, two, "access-s3cret-1")
			return other.RoundTrip(r)
		})
		want(t, one, "access-s3cret-1")
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
