package restapi

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// control is what a person can switch at POST /_control; what is left out stays.
type control struct {
	// Rules are those of collections, by name; a collection that has records is held
	// against them from then on.
	Rules map[string]controlRules `json:"rules"`
	// Hooks are the keys of hooks, by name.
	Hooks map[string][]string `json:"hooks"`
	// RemoveHook takes a hook away.
	RemoveHook string `json:"remove_hook"`
	// Auth is who may call; an empty one is anybody.
	Auth      *controlAuth `json:"auth"`
	PerSecond *int         `json:"per_second"`
	SearchLag string       `json:"search_lag"`
}

// controlAuth is Auth on the wire; its lifetime stays.
type controlAuth struct {
	Token        string `json:"token"`
	User         string `json:"user"`
	Password     string `json:"password"`
	Header       string `json:"header"`
	HeaderValue  string `json:"header_value"`
	Secret       string `json:"secret"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

type controlRules struct {
	Required []string       `json:"required"`
	Unique   []string       `json:"unique"`
	Length   map[string]int `json:"length"`
	Numbers  []string       `json:"numbers"`
	Fields   []string       `json:"fields"`
}

// serveControl carries out switches, all or none. It asks for no token, as the sandbox's own.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	var in control
	if err == nil {
		err = decode(body, &in)
	}
	var lag time.Duration
	if err == nil && in.SearchLag != "" {
		if lag, err = time.ParseDuration(in.SearchLag); err == nil && lag < 0 {
			err = fmt.Errorf("search_lag %q: want a duration such as 5s", in.SearchLag)
		}
	}
	hooks := make(map[string]*hook, len(in.Hooks))
	for name, keys := range in.Hooks {
		if err == nil {
			if hooks[name], err = newHook(Hook{Keys: keys}); err != nil {
				err = fmt.Errorf("hooks.%s: %w", name, err)
			}
		}
	}
	if err != nil {
		out := unreadable(err)
		out.write(w)
		return
	}
	s.mu.Lock()
	s.switchLocked(&in, hooks, lag)
	s.mu.Unlock()
	out := reply{status: http.StatusOK, body: struct{}{}}
	out.write(w)
}

func (s *Server) switchLocked(in *control, hooks map[string]*hook, lag time.Duration) {
	if in.SearchLag != "" {
		s.options.SearchLag = lag
		for _, c := range s.collections {
			c.lag = lag
		}
	}
	for name, r := range in.Rules {
		c := newCollection(name, Rules(r), s.options.SearchLag)
		if had := s.collections[name]; had != nil {
			c.seq = had.seq
			for id, rec := range had.records {
				c.records[id] = rec
				c.set(rec, rec.fields)
			}
		}
		s.collections[name] = c
	}
	for name, h := range hooks {
		if had := s.hooks[name]; had != nil {
			h.events, h.byID = had.events, had.byID
		}
		s.hooks[name] = h
	}
	if in.RemoveHook != "" {
		s.removeLocked(in.RemoveHook)
	}
	if a := in.Auth; a != nil {
		s.options.Auth = Auth{Token: a.Token, User: a.User, Password: a.Password, Header: a.Header, HeaderValue: a.HeaderValue,
			Secret: a.Secret, ClientID: a.ClientID, ClientSecret: a.ClientSecret, Lifetime: s.options.Auth.Lifetime}
	}
	if in.PerSecond != nil {
		s.options.PerSecond = *in.PerSecond
		s.window = sim.Window{Max: s.options.PerSecond, Per: time.Second}
	}
}
