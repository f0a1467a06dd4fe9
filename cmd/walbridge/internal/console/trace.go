package console

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Teller tells the story of a record, as walbridge trace does, without values of its row: who
// asks knows the key.
type Teller interface {
	// Story gives it line by line. Its errors are *UnknownError, or texts for who asks.
	Story(ctx context.Context, table, key string) ([]string, error)
}

// UnknownError says that there is no such record, or table.
type UnknownError struct{ Err error }

func (e *UnknownError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *UnknownError) Unwrap() error { return e.Err }

// storyTimeout bounds an answer: the log of a partition is read for it.
const storyTimeout = 20 * time.Second

// trace answers with the story of a record, one at a time.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	table, key := v.Get("table"), v.Get("key")
	switch {
	case s.teller == nil:
		s.refuse(w, http.StatusNotFound, errors.New("this process tells no stories; ask by walbridge trace"))
		return
	case table == "" || key == "":
		s.refuse(w, http.StatusBadRequest, errors.New("name a table and a key, such as ?table=deals&key=42"))
		return
	}
	select {
	case s.telling <- struct{}{}:
		defer func() { <-s.telling }()
	default:
		s.refuse(w, http.StatusServiceUnavailable, errors.New("another story is being told; ask again in a moment"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storyTimeout)
	defer cancel()
	lines, err := s.teller.Story(ctx, table, key)
	var unknown *UnknownError
	switch {
	case errors.As(err, &unknown):
		s.refuse(w, http.StatusNotFound, err)
	case err != nil:
		s.refuse(w, http.StatusServiceUnavailable, err)
	default:
		s.answer(w, http.StatusOK, struct {
			Lines []string `json:"lines"`
		}{lines})
	}
}
