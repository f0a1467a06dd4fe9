package transport

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// Vault keeps what comes in place of a configured refresh token where all processes see it, and
// lets one of them at a time refresh: a server that gives a new refresh token with each answer
// takes a used one for a stolen one, and ends them all (RFC 9700, 4.14.2). What it keeps is
// sealed. Its errors hold nothing of it.
type Vault interface {
	// Load gives what is kept under a name; nothing if there is none.
	Load(ctx context.Context, name string) (string, error)
	// Take gives who asks the turn of a name, until a while has passed or he gives it back;
	// false while another one has it. Who has it may take it again.
	Take(ctx context.Context, name, who string, while time.Duration) (bool, error)
	// Give gives a turn back, and keeps a text with it, if there is one. False if the turn is
	// not his any more: nothing was kept.
	Give(ctx context.Context, name, who, text string) (bool, error)
}

const (
	// turn is how long a worker has to refresh and to keep what came of it. As long the others
	// wait after one that was killed in it.
	turn = time.Minute
	// turnEnds is how much sooner who has it stops: no request of his is begun so late that
	// another one has the turn meanwhile, whatever the clocks do.
	turnEnds = 5 * time.Second
	// turnLook is how often one looks whether another one is done.
	turnLook = 100 * time.Millisecond
	// keepWait is the greatest wait between two tries to keep what was got.
	keepWait = 2 * time.Second
)

// share gets a token as one of several processes: the one that another has got, or one of its
// own in its turn.
//
// What comes in place of a refresh token is kept before the access token that came along is
// used, and is tried again to be kept until it is. A process that is killed after the answer
// and before that takes it along: nothing can make the two one. The next refresh is then
// refused, and says what to do.
func (t *Tokens) share(ctx context.Context, form url.Values) (Token, error) {
	s, err := newSeal(Secret(form.Get("refresh_token")))
	if err != nil {
		return Token{}, &sinks.Unauthorized{Err: fmt.Errorf("get a token: %w", err)}
	}
	for {
		if err := t.look(ctx, s); err != nil {
			return Token{}, err
		}
		if tok, ok := t.held(); ok {
			return tok, nil
		}
		tok, done, err := t.myTurn(ctx, s, form)
		if done || err != nil {
			return tok, err
		}
		if cdc.Sleep(ctx, turnLook) != nil {
			return Token{}, &sinks.Retryable{Err: errors.New("get a token: another worker has the turn to, and is not done")}
		}
	}
}

// look takes over what is kept, if it is newer than what this process knows.
func (t *Tokens) look(ctx context.Context, s *seal) error {
	text, err := t.grant.Vault.Load(ctx, s.name)
	if err != nil {
		return vaultAway("read the refresh token that is kept", err)
	}
	var have kept
	if text != "" {
		have, err = s.open(text)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case have.number < t.kept.number: // Redis lost it, or it was changed
		t.unkept = true
	case err != nil:
		return &sinks.Unauthorized{Err: fmt.Errorf("get a token: open the refresh token that is kept in Redis: %w; %s", err, authorizeAnew)}
	case have.number > 0:
		t.kept, t.unkept = have, false
		if have.token.Value != t.refused {
			t.token = have.token
		}
	}
	return nil
}

// myTurn gets a token if nobody else does, and tells whether it did.
func (t *Tokens) myTurn(ctx context.Context, s *seal, form url.Values) (tok Token, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, turn-turnEnds)
	defer cancel()
	mine, err := t.grant.Vault.Take(ctx, s.name, t.who, turn)
	if err != nil {
		return Token{}, false, vaultAway("take the turn to refresh", err)
	}
	if !mine {
		return Token{}, false, nil
	}
	if err := t.look(ctx, s); err != nil { // somebody may have got one since the last look
		t.giveBack(ctx, s)
		return Token{}, false, err
	}
	if tok, ok := t.held(); ok {
		t.giveBack(ctx, s)
		return tok, true, nil
	}
	last := t.number()
	next, err := t.next(ctx, form)
	switch {
	case err != nil:
		t.giveBack(ctx, s)
		var una *sinks.Unauthorized
		if errors.As(err, &una) && t.look(ctx, s) == nil && t.number() > last {
			return Token{}, false, nil // it lost its turn meanwhile, and another one has used what it used
		}
		return Token{}, false, err
	case next.number == 0: // nothing comes in place of a refresh token here, and so nothing is kept
		t.giveBack(ctx, s)
		return t.hold(next.token), true, nil
	}
	return t.keep(ctx, s, next)
}

func (t *Tokens) number() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept.number
}

// next refreshes, unless what came of the last time is good and only has to be kept.
func (t *Tokens) next(ctx context.Context, form url.Values) (kept, error) {
	t.mu.Lock()
	last, good := t.kept, t.unkept && t.kept.token.Value != t.refused && t.kept.token.holds(t.now())
	t.mu.Unlock()
	if good {
		return last, nil
	}
	return t.refresh(ctx, last, form)
}

// refresh asks for a token with the newest refresh token. What it gives has no number where
// none ever came in place of the configured one.
func (t *Tokens) refresh(ctx context.Context, last kept, form url.Values) (kept, error) {
	if last.number > 0 {
		form.Set("refresh_token", last.refresh.Reveal())
	}
	tok, newer, err := t.ask(ctx, form)
	if err != nil {
		return kept{}, voidRefresh(err, last)
	}
	used := Secret(form.Get("refresh_token"))
	if newer == "" {
		newer = used
	}
	if newer == used && last.number == 0 {
		return kept{token: tok}, nil
	}
	next := kept{number: last.number + 1, refresh: newer, token: tok, at: t.now().UTC()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept, t.unkept = next, true
	return next, nil
}

// keep keeps what was got, and only then lets its token be used. It tells whether it did: not
// where the turn was lost.
func (t *Tokens) keep(ctx context.Context, s *seal, next kept) (Token, bool, error) {
	text, err := s.close(next)
	if err != nil {
		return Token{}, false, &sinks.Unauthorized{Err: fmt.Errorf("get a token: %w", err)}
	}
	for wait := turnLook; ; wait = min(2*wait, keepWait) {
		done, err := t.grant.Vault.Give(ctx, s.name, t.who, text)
		if err == nil && !done {
			return Token{}, false, nil
		}
		if err == nil {
			t.mu.Lock()
			t.unkept = false
			t.mu.Unlock()
			return t.hold(next.token), true, nil
		}
		if cdc.Sleep(ctx, wait) != nil {
			return Token{}, false, vaultAway("keep the new refresh token", err)
		}
	}
}

// giveBack gives a turn back. Where that fails it ends by itself.
func (t *Tokens) giveBack(ctx context.Context, s *seal) {
	_, _ = t.grant.Vault.Give(ctx, s.name, t.who, "")
}

// vaultAway is of a token that is not got, as what would come with it could not be kept.
func vaultAway(what string, err error) error {
	return &sinks.Retryable{Err: fmt.Errorf("get a token: %s: %w; without redis no login is refreshed", what, err)}
}

// authorizeAnew is what a person does about a refresh token that is void.
const authorizeAnew = "authorize the app anew, and write the refresh token that this gives to login.refresh_token"

// voidRefresh says more of a refusal that is about the refresh token.
func voidRefresh(err error, last kept) error {
	var (
		una *sinks.Unauthorized
		ans *sinks.Answer
	)
	if !errors.As(err, &una) || !errors.As(err, &ans) || ans.Code != "invalid_grant" && ans.Code != "BAD_REFRESH_TOKEN" {
		return err
	}
	which := "the one of login.refresh_token"
	if last.number > 0 {
		which = "the one that came in place of login.refresh_token at " + last.at.Format(time.RFC3339)
	}
	return &sinks.Unauthorized{Forbidden: una.Forbidden, Err: fmt.Errorf("%w: the refresh token (%s) is void: it was revoked, or has ended, or was used without walbridge keeping the one that came in its place; %s",
		err, which, authorizeAnew)}
}
