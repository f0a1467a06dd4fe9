package salesforce

import (
	"encoding/json"
	"net/http"
	"time"
)

// control is what a person can switch at POST /_control; what is left out stays.
type control struct {
	ExpireSessions bool `json:"expire_sessions"`
	RevokeGrants   bool `json:"revoke_grants"`
	// RotateRefresh has each refresh give a new refresh token, as Refresh Token Rotation does.
	RotateRefresh *bool  `json:"rotate_refresh"`
	DailyCalls    *int   `json:"daily_calls"`
	SpendCalls    int    `json:"spend_calls"`
	WriteTime     string `json:"write_time"`
	BulkTime      string `json:"bulk_time"`
	// BreakJob makes the next bulk job fail when it has worked on so many rows.
	BreakJob *int `json:"break_job"`
}

// serveControl carries out switches. It asks for no session, as the sandbox's own.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	var in control
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	dec.DisallowUnknownFields()
	if r.Method != http.MethodPost {
		s.write(w, (&fault{Code: "METHOD_NOT_ALLOWED", Message: "switches are posted", status: http.StatusMethodNotAllowed}).reply())
		return
	}
	if err := dec.Decode(&in); err != nil {
		s.write(w, unreadable("JSON_PARSER_ERROR", "read switches: %v", err).reply())
		return
	}
	var times [2]time.Duration
	for i, text := range []string{in.WriteTime, in.BulkTime} {
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			s.write(w, unreadable("JSON_PARSER_ERROR", "%q: want a duration such as 250ms or 2s", text).reply())
			return
		}
		times[i] = d
	}
	s.mu.Lock()
	if in.ExpireSessions {
		clear(s.sessions)
	}
	s.revoked = s.revoked || in.RevokeGrants
	if in.RotateRefresh != nil {
		s.o.RotateRefresh = *in.RotateRefresh
	}
	if in.DailyCalls != nil {
		s.o.DailyCalls = *in.DailyCalls
	}
	if in.SpendCalls > 0 {
		s.usage.add(s.o.Now(), in.SpendCalls)
	}
	if in.WriteTime != "" {
		s.o.WriteTime = times[0]
	}
	if in.BulkTime != "" {
		s.o.BulkTime = times[1]
	}
	if in.BreakJob != nil {
		s.breaks = append(s.breaks, breakage{after: *in.BreakJob})
	}
	s.mu.Unlock()
	s.write(w, ok(struct{}{}))
}
