package hubspot

import (
	"net/http"
	"time"
)

// control is what a person can switch at POST /_control; what is left out stays.
type control struct {
	// Lock is how many of the next calls that write meet a lock.
	Lock *int `json:"lock"`
	// Migrate is how long the account is moved for, such as 90m.
	Migrate string `json:"migrate"`
	// Uninstall takes the public app from the account.
	Uninstall bool `json:"uninstall"`
	// Restore takes a record out of the recycling bin.
	Restore *struct {
		Object string `json:"object"`
		ID     string `json:"id"`
	} `json:"restore"`
	// Limits take the place of those of the account; SpendCalls counts as calls of today.
	Limits     *controlLimits `json:"limits"`
	SpendCalls int            `json:"spend_calls"`
}

type controlLimits struct {
	TenSecondly int `json:"ten_secondly"`
	Secondly    int `json:"secondly"`
	Daily       int `json:"daily"`
	Search      int `json:"search"`
}

// serveControl carries out switches. It asks for no token, as the sandbox's own.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	body, f := readBody(w, r)
	var in control
	if f == nil {
		f = decode(body, &in)
	}
	var moved time.Duration
	if f == nil && in.Migrate != "" {
		var err error
		if moved, err = time.ParseDuration(in.Migrate); err != nil || moved < 0 {
			f = badRequest("migrate %q: want a duration such as 90m", in.Migrate)
		}
	}
	if f == nil && in.Restore != nil && !s.Restore(in.Restore.Object, in.Restore.ID) {
		f = badRequest("there is no such archived record, or another has its unique value")
	}
	if f != nil {
		answer(w, f.status, f.body(""))
		return
	}
	if in.Lock != nil {
		s.Lock(*in.Lock)
	}
	if moved > 0 {
		s.Migrate(moved)
	}
	if in.Uninstall {
		s.Uninstall()
	}
	s.mu.Lock()
	if l := in.Limits; l != nil {
		s.options.Limits = Limits{TenSecondly: l.TenSecondly, Secondly: l.Secondly, Daily: l.Daily, Search: l.Search}
		today, day := s.limiter.today, s.limiter.day
		s.limiter = newLimiter(s.options.Limits, s.options.Zone)
		s.limiter.today, s.limiter.day = today, day
	}
	s.limiter.spend(s.options.Now(), in.SpendCalls)
	s.mu.Unlock()
	answer(w, http.StatusOK, struct{}{})
}
