package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// The words of op on the wire.
const (
	opUpsert  = "upsert"
	opDelete  = "delete"
	opArchive = "archive"
)

// Record is one record of a request.
type Record struct {
	Op       string                     `json:"op"`
	Key      map[string]json.RawMessage `json:"key"`
	Fields   map[string]json.RawMessage `json:"fields"`
	Position string                     `json:"position"`
}

type request struct {
	Object  string   `json:"object"`
	Records []Record `json:"records"`
}

// result is the answer to one record.
type result struct {
	OK        bool   `json:"ok"`
	ID        string `json:"id,omitempty"`
	Code      string `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
}

type response struct {
	Results []result `json:"results"`
}

// problem is the body of an answer about the whole request.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// checked is a record ready to be applied, or refused.
type checked struct {
	Record
	key      string
	position cdc.Position
	refusal  *Refusal
}

// batch answers POST /{app}/batch. The body is read to its end before anything
// else: only then does the server see a client that goes away.
func (s *Server) batch(w http.ResponseWriter, r *http.Request) {
	a, err := s.app(r.PathValue("app"))
	if err != nil {
		writeProblem(w, http.StatusNotFound, "UNKNOWN_APP", err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	a.count(func(st *Stats) { st.Requests++; st.Bytes += int64(len(body)) })
	if err != nil {
		a.refuse(w, err)
		return
	}
	if !authorized(r, a.conf.Token) {
		a.count(func(st *Stats) { st.Unauthorized++ })
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeProblem(w, http.StatusUnauthorized, "UNAUTHORIZED", errors.New("the bearer token is missing or wrong"))
		return
	}
	if wait, ok := a.take(s.now()); !ok {
		setRetryAfter(w, wait)
		writeProblem(w, http.StatusTooManyRequests, "RATE_LIMIT", errors.New("too many requests"))
		return
	}
	req, err := parseRequest(body, a.conf.MaxRecords)
	if err != nil {
		a.refuse(w, err)
		return
	}
	s.answer(w, r, a, req)
}

// answer applies a request, with the fault that falls on it, if any.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, a *app, req request) {
	f, hit := s.faults.next(a.name, req.Object)
	if hit {
		a.count(func(st *Stats) { st.Faults++ })
		if f.Delay > 0 && cdc.Sleep(r.Context(), f.Delay) != nil {
			return
		}
		if !f.After && f.Kind != Delay && f.Kind != Truncate {
			f.show(w, r, nil)
			return
		}
	}
	results := a.apply(req.Object, s.check(a.name, req))
	body, err := json.Marshal(response{Results: results})
	if err != nil {
		writeProblem(w, http.StatusInternalServerError, "INTERNAL", fmt.Errorf("encode answer: %w", err))
		return
	}
	if hit && f.Kind != Delay {
		f.show(w, r, body)
		return
	}
	status := http.StatusOK
	for i := range results {
		if !results[i].OK {
			status = http.StatusMultiStatus
		}
	}
	writeBody(w, status, body)
}

// check decides which records are refused.
func (s *Server) check(app string, req request) []checked {
	out := make([]checked, len(req.Records))
	for i, rec := range req.Records {
		c := checked{Record: rec}
		var err error
		switch {
		case rec.Op != opUpsert && rec.Op != opDelete && rec.Op != opArchive:
			c.refusal = &Refusal{Code: "INVALID_OP", Message: "op must be upsert, delete or archive"}
		case len(rec.Key) == 0:
			c.refusal = &Refusal{Code: "MISSING_KEY", Message: "key must name a field"}
		default:
			if c.key, err = keyText(rec.Key); err != nil {
				c.refusal = &Refusal{Code: "INVALID_KEY", Message: err.Error()}
			}
		}
		if c.refusal == nil && rec.Position != "" {
			if c.position, err = cdc.ParsePosition(rec.Position); err != nil {
				c.refusal = &Refusal{Code: "INVALID_POSITION", Message: err.Error()}
			}
		}
		if c.refusal == nil {
			c.refusal = s.faults.refusal(app, req.Object, rec)
		}
		out[i] = c
	}
	return out
}

// keyText gives the identity of a key: the value of a single field, a string
// without its quotes, so that 1 and "1" are one object as in a URL; of several
// fields their JSON object in the order of names.
func keyText(key map[string]json.RawMessage) (string, error) {
	if len(key) > 1 {
		b, err := json.Marshal(key)
		if err != nil {
			return "", fmt.Errorf("read key: %w", err)
		}
		return string(b), nil
	}
	for _, v := range key {
		v = bytes.TrimSpace(v)
		if bytes.Equal(v, []byte("null")) {
			return "", errors.New("the key is null")
		}
		if len(v) == 0 || v[0] != '"' {
			return string(v), nil
		}
		var text string
		if err := json.Unmarshal(v, &text); err != nil {
			return "", fmt.Errorf("read key: %w", err)
		}
		return text, nil
	}
	return "", errors.New("the key is empty")
}

func parseRequest(body []byte, maxRecords int) (request, error) {
	var req request
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return request{}, fmt.Errorf("read request: %w", err)
	}
	if req.Object == "" {
		return request{}, errors.New("read request: object is empty")
	}
	if len(req.Records) > maxRecords {
		return request{}, fmt.Errorf("read request: %d records, at most %d are taken", len(req.Records), maxRecords)
	}
	return req, nil
}

// take takes a token of the rate limit.
func (a *app) take(now time.Time) (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait, ok := a.bucket.take(now)
	if !ok {
		a.stats.Throttled++
	}
	return wait, ok
}

func (a *app) refuse(w http.ResponseWriter, err error) {
	a.count(func(st *Stats) { st.BadRequests++ })
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		writeProblem(w, http.StatusRequestEntityTooLarge, "TOO_LARGE", err)
		return
	}
	writeProblem(w, http.StatusBadRequest, "BAD_REQUEST", err)
}

func authorized(r *http.Request, token string) bool {
	if token == "" {
		return true
	}
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
}

// setRetryAfter says whole seconds, rounded up, as the header allows no less.
func setRetryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}

func writeProblem(w http.ResponseWriter, status int, code string, err error) {
	writeJSON(w, status, problem{Code: code, Message: err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "encode answer", http.StatusInternalServerError)
		return
	}
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// An error here means that the client has gone; there is nobody to tell.
	_, _ = w.Write(body)
}
