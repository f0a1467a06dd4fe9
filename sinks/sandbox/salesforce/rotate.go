package salesforce

import (
	"crypto/rand"
	"slices"
)

// family are the refresh tokens that came of one another, from the one that a person got when
// he authorized the app, where the app has Refresh Token Rotation: each is good once, and one
// that is used again ends all of them and their sessions (Salesforce help, 005316711).
type family struct {
	newest string
	access []string // sessions that came along
	ended  bool
}

// goodRefresh tells whether a refresh token is taken.
func (s *Server) goodRefresh(token string) bool {
	f := s.families[token]
	if f == nil {
		return token != "" && (s.o.RefreshTokens == nil || slices.Contains(s.o.RefreshTokens, token))
	}
	if token != f.newest && !f.ended {
		s.calls["refresh_reused"]++
		f.ended = true
		for _, access := range f.access {
			delete(s.sessions, access)
		}
	}
	return !f.ended
}

// rotate gives what comes in place of a refresh token that was used to get a session.
func (s *Server) rotate(token, access string) string {
	f := s.families[token]
	if f == nil {
		f = &family{}
		s.families[token] = f
	}
	f.newest = "5Aep861SANDBOX." + rand.Text()
	f.access = append(f.access, access)
	s.families[f.newest] = f
	return f.newest
}

// RotateRefresh has each refresh give a new refresh token from now on, or no longer.
func (s *Server) RotateRefresh(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.RotateRefresh = on
}

// NewestRefresh gives the refresh token that is good now in place of one; itself if none came.
func (s *Server) NewestRefresh(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.families[token]; f != nil {
		return f.newest
	}
	return token
}
